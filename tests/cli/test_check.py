"""`pybuild --check` on files that cannot be built: what is still said of them, and in which form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.program import Program


def checked(program: Program, text: str, *words: str) -> dict[str, Any]:
    """Return the report as data; it must be one of a file that cannot be built."""
    outcome = program.build(text, "--check", "--format=json", *words)
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    report: dict[str, Any] = json.loads(outcome.out)
    assert "buildError" in report
    return report


def found(report: dict[str, Any]) -> list[tuple[int, str]]:
    return [(item["location"]["ranges"][0]["start"]["line"], item["detail"]) for item in report["warnings"]]


@pytest.mark.rule("B-11")
def test_variables_are_judged_in_a_stage_that_cannot_be_built(pybuild: Program) -> None:
    report = checked(pybuild, "FROM scratch\nCOPY $x /y\nVOLUME $v\nENV c=$d\n")
    assert report["buildError"]["message"] == "VOLUME specified can not be an empty string"
    assert found(report) == [
        (line, f"Usage of undefined variable '${name}'") for line, name in ((2, "x"), (3, "v"), (4, "d"))
    ]


@pytest.mark.rule("B-11")
def test_stages_beside_one_that_cannot_be_built_are_judged(pybuild: Program) -> None:
    text = "FROM scratch AS a\nVOLUME $v\nFROM a AS b\nFROM scratch AS c\nENV c=$d\nFROM scratch\nUSER $e\nVOLUME $f\n"
    report = checked(pybuild, text)
    assert report["buildError"]["location"]["line"] == 8
    assert [line for line, _ in found(report)] == [2, 5, 7, 8]


@pytest.mark.rule("B-11")
def test_of_a_target_only_what_it_needs_stops_a_check(pybuild: Program) -> None:
    text = "FROM scratch AS a\nENV b=c\nFROM scratch\nVOLUME $v\n"
    report = json.loads(pybuild.build(text, "--check", "--format=json", "--target=a").out)
    assert "buildError" not in report


@pytest.mark.rule("Z-25")
def test_with_a_target_only_what_it_needs_is_judged_and_without_one_all_is(pybuild: Program) -> None:
    text = "FROM scratch AS a\nENV x=$a\nFROM scratch AS b\nENV x=$b\nFROM a AS c\nENV x=$c\nFROM scratch\nENV x=$d\n"
    for target, lines in (("", [2, 4, 6, 8]), ("c", [2, 6]), ("a", [2]), ("b", [4])):
        report = json.loads(pybuild.build(text, "--check", "--format=json", f"--target={target}").out)
        assert [line for line, _ in found(report)] == lines


@pytest.mark.parametrize("base", ["127.0.0.1:1/none/such", "127.0.0.1:1/none@sha256:0", "empty"])
@pytest.mark.parametrize("more", ["", "ENV a=$b\n", "MAINTAINER x\nENV a=$b\n"])
def test_a_check_without_its_base_is_never_called_complete(pybuild: Program, base: str, more: str) -> None:
    empty = pybuild.folder.parent / "empty"
    empty.mkdir()
    (empty / "index.json").write_text('{"schemaVersion": 2, "manifests": []}')
    words = ("--check", "--build-context", f"empty=oci-layout://{empty}")
    outcome = pybuild.build(f"FROM scratch AS fine\nENV c=$d\nFROM {base}\n{more}", *words)
    assert outcome.code == 1
    assert "Check complete" not in outcome.out
    assert "Check incomplete: " in outcome.out.splitlines()[-1]
    assert "so far." in outcome.out.splitlines()[-1]


def test_a_check_that_found_all_there_is_says_so_also_when_findings_are_errors(pybuild: Program) -> None:
    outcome = pybuild.build("# check=error=true\nFROM scratch\nENV a=$b\n", "--check")
    assert outcome.code == 1
    assert outcome.out.splitlines()[-1] == "Check complete, 1 warning has been found!"
    assert pybuild.build("FROM scratch\n", "--check").succeeded().out == "Check complete, no warnings found.\n"


@pytest.mark.parametrize("words", [(), ("--build-arg", "BUILDKIT_DOCKERFILE_CHECK=nonsense=1")])
@pytest.mark.parametrize("kind", ["json", "sarif"])
def test_a_malformed_check_directive_is_part_of_the_report(pybuild: Program, kind: str, words: tuple[str, ...]) -> None:
    text = "# check=nonsense=1\nFROM scratch\n" if not words else "FROM scratch\n"
    outcome = pybuild.build(text, "--check", f"--format={kind}", *words)
    assert outcome.code == 1
    document = json.loads(outcome.out)
    said = document["buildError"]["message"] if kind == "json" else document["runs"][0]["results"][0]["message"]["text"]
    assert said == 'failed to parse check options: invalid check option "nonsense"'


@pytest.mark.rule("B-14")
def test_a_layout_in_the_place_of_an_image_has_the_platform_that_its_giver_chose(pybuild: Program) -> None:
    outcome = pybuild.build("FROM --platform=linux/s390x base\nENV A=1\n", "--check", "--format=json")
    names = [item["ruleName"] for item in json.loads(outcome.out).get("warnings") or []]
    assert names == ["FromPlatformFlagConstDisallowed"]


NOTED = 'FROM known:1\nWORKDIR /w\nCOPY ../here .\nENTRYPOINT ["wrap"]\n'


def test_a_note_is_shown_with_its_hint_and_place_in_the_course_and_fails_nothing(pybuild: Program) -> None:
    pybuild.build('FROM scratch\nCMD ["serve", "-x"]\n', "-t", "known:1").succeeded()
    (pybuild.folder / "here").write_text("x")
    text = pybuild.build(f"# check=error=true\n{NOTED}", "--check").succeeded().out.splitlines()
    assert "NOTE: ParentLandsOnOtherFile - docs/course/05-cache.md#check-parentlandsonotherfile" in text
    # Of an image of the store the CMD is known.
    said = 'Dockerfile:5:1: This ENTRYPOINT empties CMD ["serve", "-x"], which known:1 has'
    assert text[text.index(said) + 1 :][-3].startswith("hint: Write CMD ")
    assert text[-1] == "Check complete, no warnings found. 2 notes, which fail nothing."

    warnings = json.loads(pybuild.build(NOTED, "--check", "--format=json").succeeded().out)["warnings"]
    assert [(item["ruleName"], item["level"]) for item in warnings] == [
        ("ParentLandsOnOtherFile", "note"),
        ("EntrypointDropsCmd", "note"),
    ]
    assert all(item["hint"] and item["url"].startswith("docs/course/") for item in warnings)
    run = json.loads(pybuild.build(NOTED, "--check", "--format=sarif").succeeded().out)["runs"][0]
    assert [item["level"] for item in run["results"]] == ["note", "note"]
    assert all(
        "helpUri" not in rule and "docs/course/" in rule["help"]["text"] for rule in run["tool"]["driver"]["rules"]
    )

    # Asked for, they count; a build says nothing of them.
    assert pybuild.build(NOTED, "--call=check,advice=true").code == 1
    assert "warning" not in pybuild.build(f"# check=error=true\n{NOTED}").succeeded().err.lower()


def test_a_source_that_leads_out_is_meant_from_where_the_dockerfile_lies(pybuild: Program) -> None:
    (pybuild.folder / "here").write_text("x")
    (pybuild.folder / "docker").mkdir()
    (pybuild.folder / "docker" / "Dockerfile").write_text("FROM scratch\nCOPY ../here /\n")
    outcome = pybuild.build(None, "--check", "-f", "docker/Dockerfile").succeeded()
    assert outcome.out == "Check complete, no warnings found.\n"
