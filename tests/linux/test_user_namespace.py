"""Subordinate id files, as people have them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from builder.linux.capabilities import DOCKER_DEFAULT, mask
from builder.linux.subordinate_ids import ALL_IDS, find_tool, mapped_ids, subordinate_ranges


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tester:100000:65536\n", ((100000, 65536),)),
        ("other:1:2\ntester:200000:65536\n", ((200000, 65536),)),
        ("1000:300000:1000\n", ((300000, 1000),)),
        ("tester:100000:1000000\n", ((100000, 1000000),)),
        ("tester:100000:65536", ((100000, 65536),)),
        ("tester:100000:10\ntester:300000:20\n", ((100000, 10), (300000, 20))),
        ("tester:300000:20\nother:1:1\n1000:100000:10\n", ((300000, 20), (100000, 10))),
        ("tester:100000:10\n1000:100000:10\n", ((100000, 10),)),
        ("tester:100000:10\n1000:100005:10\n", ((100000, 10), (100010, 5))),
        ("tester:100005:5\ntester:100000:20\n", ((100005, 5), (100000, 5), (100010, 10))),
        ("tester:990:20\n", ((990, 10), (1001, 9))),
        ("tester:4294967290:100\n", ((4294967290, 5),)),
        ("tester:9999999999:5\n", ()),
        ("", ()),
        ("other:100000:65536\n", ()),
        ("tester:x:65536\n", ()),
        ("tester:100000:0\n", ()),
        ("tester\n# a comment\n\n", ()),
    ],
)
def test_all_ranges_of_a_user_are_found_and_no_id_twice(
    tmp_path: Path, text: str, expected: tuple[tuple[int, int], ...]
) -> None:
    (tmp_path / "subuid").write_text(text)
    assert subordinate_ranges(str(tmp_path / "subuid"), "tester", 1000) == expected


def test_no_file_is_no_range(tmp_path: Path) -> None:
    assert subordinate_ranges(str(tmp_path / "none"), "tester", 1000) == ()


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, first on PATH, with the tools as they should be."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("newuidmap", "newgidmap"):
        (folder / name).write_bytes(b"")
        (folder / name).chmod(0o4755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make set-user-ID programs of root")


@needs_root
def test_the_tools_are_found_on_path(tools: Path) -> None:
    assert find_tool("newuidmap") == f"{tools}/newuidmap"
    assert find_tool("newgidmap") == f"{tools}/newgidmap"


@needs_root
@pytest.mark.parametrize("mode", [0o755, 0o2755, 0o4644, 0o644])
def test_a_tool_that_gains_no_rights_is_passed_over(tools: Path, mode: int) -> None:
    (tools / "newuidmap").chmod(mode)
    assert find_tool("newuidmap") != f"{tools}/newuidmap"


@needs_root
def test_a_tool_of_somebody_else_gains_no_rights(tools: Path) -> None:
    os.chown(tools / "newuidmap", 1000, 1000)
    (tools / "newuidmap").chmod(0o4755)
    assert find_tool("newuidmap") != f"{tools}/newuidmap"


@needs_root
def test_a_tool_with_a_file_capability_does(tools: Path) -> None:
    (tools / "newuidmap").chmod(0o755)
    capability = bytes.fromhex("0100000280000000000000000000000000000000")  # cap_setuid=ep
    os.setxattr(tools / "newuidmap", "security.capability", capability)
    assert find_tool("newuidmap") == f"{tools}/newuidmap"


@needs_root
def test_a_process_that_can_gain_nothing_has_no_tool(tools: Path) -> None:
    asked = "from builder.linux.subordinate_ids import find_tool; print(find_tool('newuidmap'))"
    words = ["setpriv", "--no-new-privs", sys.executable, "-c", asked]
    assert subprocess.run(words, capture_output=True, check=True, text=True).stdout == "None\n"


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
