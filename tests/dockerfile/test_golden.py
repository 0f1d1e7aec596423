"""Each directory under fixtures/dockerfile is a case; adding one adds no code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.dockerfile.cases import as_text, cases, outcome


def name(case: Path) -> str:
    return case.name


@pytest.mark.parametrize("case", cases("valid"), ids=name)
def test_a_valid_dockerfile_gives_the_expected_ast(case: Path) -> None:
    document = outcome(case)
    assert "errors" not in document
    assert document == json.loads((case / "expected.json").read_text(encoding="ascii")), as_text(document)


@pytest.mark.parametrize("case", cases("invalid"), ids=name)
def test_an_invalid_dockerfile_gives_every_expected_error(case: Path) -> None:
    document = outcome(case)
    assert "errors" in document
    assert document == json.loads((case / "expected.json").read_text(encoding="ascii")), as_text(document)


def test_there_are_enough_cases_to_trust() -> None:
    assert len(cases("valid")) >= 150
    assert len(cases("invalid")) >= 50
