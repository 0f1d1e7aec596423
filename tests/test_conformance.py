"""docs/conformance.md: each row names a test that is there, and no row is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs/conformance.md"
_ROW = re.compile(r"\| (?P<id>[A-Z]+[0-9-][A-Z0-9-]*) \| (?P<asks>[^|]+) \| (?P<test>[^|]*)\| (?P<state>[^|]+) \|")
_TEST = re.compile(r"`(?P<file>[\w/]+\.py)::(?P<name>test_\w+)` ")

ROWS = [match.groupdict() for match in map(_ROW.fullmatch, PAGE.read_text("utf-8").splitlines()) if match]


def test_every_line_of_the_tables_is_a_row() -> None:
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    assert len(ROWS) == sum(not line.startswith("| id ") for line in lines)


COUNTS = {"RG": 23, "DG": 6, "DS": 4, "MT": 8, "MF": 7, "IX": 8, "CF": 6, "ID": 3, "LY": 13, "IL": 6, "FM": 10, "BI": 6}
"""How many requirements of each kind there are."""


def test_every_requirement_has_a_row() -> None:
    wanted = {f"{kind}{number}" for kind, count in COUNTS.items() for number in range(1, count + 1)}
    assert {row["id"] for row in ROWS} >= wanted


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['id']}: {row['asks']}")
def test_the_test_of_a_row_is_there(row: dict[str, str]) -> None:
    if not row["test"].strip():
        assert row["state"].startswith("not used: "), "a row without a test says why"
        return
    match = _TEST.fullmatch(row["test"])
    assert match is not None
    assert f"\ndef {match['name']}(" in (TESTS / match["file"]).read_text("utf-8")
