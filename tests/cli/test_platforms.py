"""Bases of another platform than asked for, of which there is no other: built with a warning, as docker does."""

from __future__ import annotations

import pytest

from builder.oci.platform import host_platform
from tests.cli.program import Program

OTHER = "linux/s390x"


@pytest.fixture
def single(runs: Program) -> Program:
    """The store has an image `single` for this machine's platform alone."""
    runs.build("FROM base\n", "-t", "single").succeeded()
    return runs


@pytest.mark.parametrize(
    ("dockerfile", "words"),
    [
        (f"FROM --platform={OTHER} single\nRUN echo it ran\n", ()),
        (f"FROM --platform={OTHER} single AS a\nRUN true\nFROM a\nRUN echo it ran\n", ()),
        (f"ARG p={OTHER}\nFROM --platform=$p single\nRUN echo it ran\n", ()),
        ("FROM single\nRUN echo it ran\n", ("--platform", OTHER)),
    ],
)
def test_its_programs_run_without_an_emulator(single: Program, dockerfile: str, words: tuple[str, ...]) -> None:
    outcome = single.build(dockerfile, *words).succeeded()
    assert " it ran\n" in outcome.err
    assert f'was pulled with platform "{host_platform()}", expected "{OTHER}"' in outcome.err


def test_a_base_for_another_machine_needs_one(runs: Program) -> None:
    runs.build("FROM base\n", "--platform", OTHER, "-t", "other").succeeded()
    for word in ("", f"--platform={OTHER} "):
        outcome = runs.build(f"FROM {word}other\nCOPY Dockerfile /\nRUN true\n")
        outcome.failed(1, f"RUN for {OTHER} cannot be executed on", "no emulator is registered", "Dockerfile:3:1")
    runs.build("FROM other\nCOPY Dockerfile /\n").succeeded()
