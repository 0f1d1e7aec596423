"""A frontend that a file asks for is never run, and the user is told."""

from __future__ import annotations

import pytest

from tests.cli.program import Program

SAID = "ForeignFrontend: the frontend acme/other:1 is not run; the file is read as a Dockerfile"


@pytest.mark.rule("D-5")
@pytest.mark.parametrize(
    ("directive", "words", "told"),
    [
        ("# syntax=acme/other:1", (), True),
        ("# syntax=docker/dockerfile:1", (), False),
        ("# syntax=docker/dockerfile:1", ("--build-arg", "BUILDKIT_SYNTAX=acme/other:1"), True),
        ("# nothing", ("--build-arg", "BUILDKIT_SYNTAX=acme/other:1"), True),
        ("# syntax=acme/other:1", ("--build-arg", "BUILDKIT_SYNTAX=docker/dockerfile:1"), False),
    ],
)
def test_attack_a_frontend_of_the_files_choice_is_not_run(
    pybuild: Program, directive: str, words: tuple[str, ...], told: bool
) -> None:
    outcome = pybuild.build(f"{directive}\nFROM scratch\nENV A=1\n", "--progress=plain", *words)
    assert outcome.code == 0
    assert (SAID in outcome.err) is told
