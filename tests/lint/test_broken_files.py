"""What is said of a file that can't be read to its end: the findings up to the fault, and no guesses beyond it."""

from __future__ import annotations

import pytest

from builder.dockerfile.parser import parse_dockerfile, parse_partially
from builder.engine.checks import check_broken
from builder.errors import DockerfileSyntaxError
from builder.lint.finding import LintInputs
from builder.lint.linter import lint_until
from tests.lint.checking import found


def said(text: str, **build_args: str) -> list[tuple[int, str]]:
    dockerfile, faults = parse_partially(text)
    assert faults
    assert faults[0].location
    findings = lint_until(dockerfile, faults[0].location.line, LintInputs(build_args=build_args))
    return [(finding.instruction.line, finding.rule.name) for finding in findings]


def test_findings_before_the_fault_are_kept() -> None:
    text = "FROM scratch AS Upper\nMAINTAINER someone\nCOPPY a /b\n"
    assert said(text) == [(1, "StageNameCasing"), (2, "MaintainerDeprecated")]


def test_nothing_is_said_of_what_stands_behind_the_fault() -> None:
    assert said("FROM scratch\nWOKDIR /x\nMAINTAINER someone\n") == []


def test_the_line_at_fault_is_still_looked_at() -> None:
    # The name can't be read, but how it is cased can be.
    assert said("FROM scratch as 1Stage\n") == [(1, "FromAsCasing"), (1, "StageNameCasing")]
    assert said("MAINTAINER someone\nFROM scratch\n") == [(1, "MaintainerDeprecated")]


def test_what_needs_the_whole_file_is_left_out() -> None:
    assert said("FROM scratch\nenv a b\nCMD x\nWHAT\n") == []


def test_options_hold_for_broken_files_too() -> None:
    text = "# check=skip=MaintainerDeprecated\nFROM scratch AS Upper\nMAINTAINER someone\nWHAT\n"
    assert said(text) == [(2, "StageNameCasing")]
    assert said(text, BUILDKIT_DOCKERFILE_CHECK="skip=all") == []


def test_a_fall_back_does_not_declare_an_argument_of_from() -> None:
    undeclared = [(1, "UndefinedArgInFrom", "FROM argument 'BASE' is not declared")]
    assert found("FROM ${BASE:-alpine}\n") == undeclared
    assert found("FROM ${BASE-alpine}\n") == undeclared
    assert found("ARG BASE\nFROM ${BASE:-alpine}\n") == []


@pytest.mark.parametrize("text", ["", "# nothing\n", "# check=skp=all\nWHAT\n"])
def test_a_file_without_instructions_or_with_bad_options_has_its_fault_alone(text: str) -> None:
    with pytest.raises(DockerfileSyntaxError) as caught:
        parse_dockerfile(text)
    assert check_broken(text, caught.value, {}) == ()
