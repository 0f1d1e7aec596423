"""Subordinate id files, as people have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.linux.capabilities import DOCKER_DEFAULT, mask
from builder.linux.subordinate_ids import ALL_IDS, mapped_ids, subordinate_range


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tester:100000:65536\n", (100000, 65536)),
        ("other:1:2\ntester:200000:65536\n", (200000, 65536)),
        ("1000:300000:1000\n", (300000, 1000)),
        ("tester:100000:1000000\n", (100000, 65536)),
        ("tester:100000:65536", (100000, 65536)),
        ("", None),
        ("other:100000:65536\n", None),
        ("tester:x:65536\n", None),
        ("tester:100000:0\n", None),
        ("tester\n# a comment\n\n", None),
    ],
)
def test_a_range_is_found(tmp_path: Path, text: str, expected: tuple[int, int] | None) -> None:
    (tmp_path / "subuid").write_text(text)
    assert subordinate_range(str(tmp_path / "subuid"), "tester", 1000) == expected


def test_no_file_is_no_range(tmp_path: Path) -> None:
    assert subordinate_range(str(tmp_path / "none"), "tester", 1000) is None


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("         0          0 4294967295\n", ALL_IDS),
        ("0 1000 1\n1 100000 65536\n", 65537),
        ("1 100000 65536\n0 1000 1\n", 65537),
        ("0 1000 1\n", 1),
        ("0 1000 1\n5 100000 10\n", 1),
        ("1000 1000 1\n", 0),
        ("", 0),
        ("what\n", 0),
    ],
)
def test_ids_are_counted_from_zero_without_gaps(tmp_path: Path, text: str, count: int) -> None:
    (tmp_path / "uid_map").write_text(text)
    assert mapped_ids(str(tmp_path / "uid_map")) == count
    assert mapped_ids(str(tmp_path / "none")) == 0


def test_dockers_capabilities_are_the_fourteen() -> None:
    assert len(DOCKER_DEFAULT) == 14
    assert mask(DOCKER_DEFAULT) == 0xA80425FB
