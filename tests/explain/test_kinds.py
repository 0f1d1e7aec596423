"""The list of kinds of reasons is closed: docs/reasons.md has each, and a test provokes each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builder.filesystem.entry import Entry
from builder.solve.difference import KINDS
from builder.solve.reason.compare import Look, differences
from tests.explain.mutations import MUTATIONS
from tests.solve.test_reason import COPY, FILE, RUN, SOURCES, found, seen

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reasons.md"
_ROW = re.compile(r"^\| `([\w-]+)` \|", re.MULTILINE)

RUNS: dict[str, dict[str, Any]] = {
    "cache-format": {"version": 3},
    "heredoc-name": {"script_path": "/dev/pipes/E"},
    "security": {"security": "insecure"},
    "platform": {"platform": "linux/arm64"},
    "isolation": {"isolation": "chroot"},
    "user-ids": {"single_id": True},
    "follows-step": {"parent": "sha256:b"},
    "other": {"anything new": 3},
}
"""Kinds that a mutation of mutations.py can't have, or has beside others: what has to change of a RUN's preimage."""
FILES: dict[str, Entry] = {
    "file-owner": FILE._replace(uid=1),
    "file-attribute": FILE._replace(xattrs=(("user.a", b"1"),)),
    "file-device": Entry("f", "character", 0o644, device=(1, 3)),
}
PLANNED = ("first-build", "waits", "not-fetched")
"""Provoked in tests/cli/test_explain_why.py, where there is a plan."""


def test_the_page_has_every_kind_in_the_order_of_the_code() -> None:
    assert tuple(_ROW.findall(PAGE.read_text("utf-8"))) == KINDS


@pytest.mark.parametrize("kind", RUNS)
def test_what_changes_of_a_run_has_its_kind(kind: str) -> None:
    assert [each.kind for each in found(RUN, **RUNS[kind])] == [kind]


@pytest.mark.parametrize("kind", FILES)
def test_what_changes_of_a_file_has_its_kind(kind: str) -> None:
    before = Entry("f", "character", 0o644, device=(1, 5)) if kind == "file-device" else FILE
    other = COPY | {"inputs": [COPY["inputs"][0] | {"digest": "2"}]}
    assert [each.kind for each in differences(Look(COPY, seen(before)), Look(other, seen(FILES[kind])), SOURCES)] == [
        kind
    ]


def test_a_repository_has_its_kind() -> None:
    part = {"source": "https://h/r.git", "kind": "directory", "commit": "1"}
    before, now = (Look(COPY | {"inputs": [part | {"commit": digit}]}) for digit in "12")
    assert [each.kind for each in differences(before, now, SOURCES)] == ["repository"]


def _provoked() -> Iterator[str]:
    yield from (row.kind for row in MUTATIONS if row.kind is not None)
    yield from (*RUNS, *FILES, "repository", *PLANNED)


def test_every_kind_is_provoked_by_a_test() -> None:
    assert set(_provoked()) == set(KINDS)
