"""Ignore files against BuildKit's answers, and against time.

ignore_cases.json holds rule sets and what BuildKit 0.25 (docker 28.5) copied of one tree under each: about 4,600 pairs.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.context.glob import PatternError
from builder.context.ignore import exclude_patterns, parse_ignore
from builder.context.ignore_pattern import _expression, _is_tame, parse_path_pattern, run_automaton
from builder.errors import SourceError

TABLE = json.loads((Path(__file__).parent / "ignore_cases.json").read_text())
FILES: list[str] = TABLE["files"]
DIRECTORIES = sorted({parent.as_posix() for file in FILES for parent in Path(file).parents} - {"."})


def seen_of(rules: str) -> list[str]:
    patterns = parse_ignore(rules, ".dockerignore")
    files = [file for file in FILES if not patterns.state_of(file).excluded]
    shown = [d for d in DIRECTORIES if not patterns.state_of(d).excluded or any(f.startswith(d + "/") for f in files)]
    return sorted(files + shown)


@pytest.mark.rule("I-2")
@pytest.mark.rule("I-3")
@pytest.mark.parametrize("case", TABLE["cases"], ids=[repr(case["rules"]) for case in TABLE["cases"]])
def test_a_rule_set_hides_what_buildkit_hides(case: dict[str, object]) -> None:
    rules = str(case["rules"])
    if case.get("error"):
        with pytest.raises(SourceError):
            parse_ignore(rules, ".dockerignore")
    else:
        assert seen_of(rules + "\n") == case["seen"]


def test_the_table_is_large_enough_to_mean_something() -> None:
    assert sum("seen" in case for case in TABLE["cases"]) * len(FILES) > 4000


@pytest.mark.rule("I-2")
@pytest.mark.parametrize(("text", "line"), [("a\n\n[", 3), ("!\n", 1), ("#x\nb\\", 2), ("a\n!  ", 2)])
def test_a_bad_pattern_is_an_error_with_file_and_line(text: str, line: int) -> None:
    with pytest.raises(SourceError) as caught:
        parse_ignore(text, "app.dockerignore")
    assert caught.value.location is not None
    assert (caught.value.location.file, caught.value.location.line) == ("app.dockerignore", line)


@pytest.mark.rule("I-2")
def test_bom_blanks_comments_and_leading_slashes_mean_nothing() -> None:
    patterns = parse_ignore("\ufeff  /a/ \r\n# b\n\n ! /a/x\n", ".dockerignore")
    assert [(rule.line, rule.pattern, rule.is_exception) for rule in patterns.rules] == [
        (1, "a", False),
        (4, "a/x", True),
    ]


@pytest.mark.parametrize(
    ("path", "excluded", "line"),
    [
        ("docs/x", True, 1),
        ("docs/keep/x", False, 2),
        ("docs/keep/x.tmp", True, 3),
        ("src", False, None),
        ("b.tmp", True, 3),
    ],
)
def test_a_decision_names_the_rule_that_decided(path: str, excluded: bool, line: int | None) -> None:
    decision = parse_ignore("docs\n!docs/keep\n**/*.tmp\n", ".dockerignore").decide(path)
    assert decision.excluded is excluded
    assert (decision.rule.line if decision.rule else None) == line


@pytest.mark.parametrize(
    ("rules", "directory", "expected"),
    [
        ("*\n!a/b", "a", True), ("*\n!a/b", "c", False), ("*\n!**/x", "c", True), ("!a/b\n*", "a", False),
        ("*\n!a*/x", "ab", True), ("*\n!a*/x", "b", False), ("*\n!a", "a/b", False), ("*\n![a]/x", "a", True),
    ],
)  # fmt: skip
def test_an_excluded_directory_is_entered_only_for_a_later_exception(
    rules: str, directory: str, expected: bool
) -> None:
    patterns = parse_ignore(rules, ".dockerignore")
    assert patterns.may_reinclude_below(directory, patterns.state_of(directory)) is expected


@pytest.mark.rule("C-21")
def test_exclude_flags_are_the_same_language() -> None:
    patterns = exclude_patterns(["sub", "!sub/b"])
    assert patterns.state_of("sub").excluded
    assert not patterns.state_of("sub/b").excluded


EVIL = [
    "*a" * 40 + "b",
    "**/" + "*a" * 40 + "b",
    "**/a*/" * 30 + "b",
    "a**" * 30 + "b",
    "[^x]*" * 40 + "y",
    "*a*/" * 20 + "**/" + "*a" * 20 + "/z",
    "**/*a**/" * 20 + "c",
    "?*" * 60 + "/q",
]
LONG = ["a" * 4000, "a/" * 2000 + "a", ("a" * 40 + "/") * 90 + "c", ("ab" * 20 + "/") * 90]


@pytest.mark.parametrize("pattern", EVIL)
def test_attack_patterns_that_make_backtracking_explode_take_linear_time(pattern: str) -> None:
    patterns = parse_ignore(pattern, ".dockerignore")
    started = time.process_time()
    for path in LONG:
        patterns.enter(path, patterns.ROOT)
    assert time.process_time() - started < 2


def test_attack_a_large_ignore_file_is_compiled_in_a_moment() -> None:
    text = "\n".join(f"**/d{number}*/x?y[a-z]/**" for number in range(2000))
    started = time.process_time()
    patterns = parse_ignore(text, ".dockerignore")
    patterns.enter("d7/xAyz/q", patterns.ROOT)
    assert time.process_time() - started < 10


PATTERN = st.text(alphabet="ab*/?.[]^-\\", min_size=1, max_size=10)


@given(PATTERN, st.lists(st.text(alphabet="ab.", min_size=1, max_size=3), min_size=1, max_size=4))
def test_the_expression_and_the_automaton_agree(pattern: str, names: list[str]) -> None:
    try:
        tokens = tuple(parse_path_pattern(pattern))
    except PatternError:
        return
    if not _is_tame(tokens):
        return
    path = "/".join(names)
    expression = re.compile(_expression(tokens), re.DOTALL)
    assert (expression.match(path) is not None) == run_automaton(tokens, path)
