"""Which checks run: the directive, the comment above an instruction, the build argument (D-6, D-7)."""

from __future__ import annotations

import pytest

from builder.dockerfile.parser import parse_dockerfile
from builder.errors import DockerfileSyntaxError
from builder.lint.finding import LintInputs
from builder.lint.linter import OVERRIDE, lint, violation
from builder.lint.options import CheckOptions, parse_check, unknown_rules
from builder.lint.rules import RULES
from tests.lint.checking import findings, names

BAD = "FROM scratch as base\ncopy Dockerfile .\n"


@pytest.mark.rule("D-6")
@pytest.mark.parametrize(
    ("check", "left"),
    [
        ("", ["FromAsCasing", "ConsistentInstructionCasing"]),
        ("#check=skip=all\n", []),
        ("#check=skip=all;error=true\n", []),
        ("# check=skip=ConsistentInstructionCasing,FromAsCasing\n", []),
        ("# check=skip=ConsistentInstructionCasing , Other\n", ["FromAsCasing"]),
        ("# check=skip=FromAsCasing;error=true\n", ["ConsistentInstructionCasing"]),
    ],
)
def test_the_directive_skips_rules(check: str, left: list[str]) -> None:
    assert [rule for _, rule in names(check + BAD)] == left


@pytest.mark.rule("D-6")
def test_error_turns_findings_into_a_failure() -> None:
    found = findings("# check=error=true\n" + BAD)
    assert {finding.level for finding in found} == {"error"}
    assert violation(found) == "lint violation found for rules: FromAsCasing, ConsistentInstructionCasing"
    assert violation(findings(BAD)) == ""


@pytest.mark.rule("D-6", "A-8")
def test_the_build_argument_takes_the_place_of_the_directive() -> None:
    text = "# check=skip=all\n" + BAD
    assert names(text, build_args={OVERRIDE: "skip=FromAsCasing"}) == [(3, "ConsistentInstructionCasing")]
    assert names("# check=error=true\n" + BAD, build_args={OVERRIDE: "skip=all"}) == []


@pytest.mark.rule("D-6")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("foo", 'invalid check option "foo"'),
        ("skip", 'invalid check option "skip"'),
        ("skp=all", 'invalid check option "skp" (did you mean skip?)'),
        ("skip=A;x", 'invalid check option "x"'),
        (
            "error=maybe",
            'failed to parse check option "error=maybe": strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
    ],
)
def test_bad_options_are_refused(text: str, expected: str) -> None:
    with pytest.raises(DockerfileSyntaxError) as caught:
        lint(parse_dockerfile(f"# check={text}\nFROM scratch\n"), LintInputs())
    assert caught.value.message == f"failed to parse check options: {expected}"
    assert caught.value.location is not None
    assert caught.value.location.line == 1


def test_options_are_parsed_into_sets() -> None:
    assert parse_check(" skip=A, B ; error = TRUE;experimental=all") == CheckOptions(
        skip=frozenset({"A", "B"}), enable=frozenset({"all"}), error=True
    )
    assert parse_check("") == CheckOptions()


def test_names_that_belong_to_no_rule_are_told() -> None:
    assert unknown_rules(parse_check("skip=JSONArgsRecomended,FromAsCasing;experimental=all")) == (
        ("JSONArgsRecomended", " (did you mean JSONArgsRecommended?)"),
    )
    text = "# check=skip=JSONArgsRecomended,Zzz\nFROM scratch\n"
    found = lint(parse_dockerfile(text), LintInputs(enable=frozenset({"advice"})))
    assert [(finding.location.line, finding.message) for finding in found if finding.rule.name == "UnknownCheck"] == [
        (1, "unknown check: JSONArgsRecomended (did you mean JSONArgsRecommended?)"),
        (1, "unknown check: Zzz"),
    ]
    assert names(text) == []


@pytest.mark.rule("D-7")
def test_a_comment_above_an_instruction_skips_for_that_instruction_alone() -> None:
    text = "FROM scratch\n# check=skip=JSONArgsRecommended // why\nCMD x\n# check=skip=all\n# more\nENV k v\nENV k v\n"
    assert names(text) == [(7, "LegacyKeyValueFormat")]


@pytest.mark.rule("D-7")
def test_a_malformed_comment_is_ignored() -> None:
    assert names("FROM scratch\n# check=nonsense\nENV k v\n") == [(3, "LegacyKeyValueFormat")]


def test_the_22_rules_of_buildkit_have_their_pages() -> None:
    theirs = [rule for rule in RULES.values() if not rule.ours]
    assert len(theirs) == 22
    assert RULES["JSONArgsRecommended"].url.endswith("/json-args-recommended/")
    assert RULES["InvalidDefaultArgInFrom"].url.endswith("/invalid-default-arg-in-from/")
    assert [rule.name for rule in theirs if rule.optional] == ["InvalidDefinitionDescription"]
    assert all(rule.optional for rule in RULES.values() if rule.ours)
