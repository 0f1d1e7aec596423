"""Walking a directory: tree order, every kind, nothing followed."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from builder.filesystem.entry import tree_key
from tests.support.walk import read_xattrs, walk_entries


def test_entries_come_in_tree_order(tmp_path: Path) -> None:
    for name in ("b/x", "b!", "a/z/y", "a-b", "B", "é", "\udcff", "\U0001f600", "\uffff"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [entry.path for entry, _ in walk_entries(str(tmp_path))]
    assert found == sorted(found, key=tree_key)
    assert len(found) == 12
    assert found.index("b/x") < found.index("b!")


def test_every_kind_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir(mode=0o2750)
    (tmp_path / "d").chmod(0o2750)
    (tmp_path / "f").write_bytes(b"abc")
    (tmp_path / "l").symlink_to("d/../nowhere")
    os.mkfifo(tmp_path / "p")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
    os.utime(tmp_path / "f", ns=(0, -1))
    found = {entry.path: entry for entry, _ in walk_entries(str(tmp_path))}
    assert {path: entry.kind for path, entry in found.items()} == {
        "d": "directory", "f": "file", "l": "symlink", "p": "fifo", "s": "file",
    }  # fmt: skip
    assert (found["d"].mode, found["d"].size) == (0o2750, 0)
    assert (found["f"].size, found["f"].mtime) == (3, -1)
    assert found["l"].link == "d/../nowhere"
    assert found["s"].size == 0


def test_links_to_directories_are_not_entered(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "loop").symlink_to("..")
    assert [entry.path for entry, _ in walk_entries(str(tmp_path))] == ["d", "d/loop"]


def test_a_pruned_directory_is_named_and_not_entered(tmp_path: Path) -> None:
    for name in ("keep/x", "skip/y"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    found = [entry.path for entry, _ in walk_entries(str(tmp_path), prune=lambda path: path == "skip")]
    assert found == ["keep", "keep/x", "skip"]


def test_hard_links_are_plain_files_and_the_status_tells(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    os.link(tmp_path / "a", tmp_path / "b")
    (first, status), (second, other) = walk_entries(str(tmp_path))
    assert (first.kind, second.kind) == ("file", "file")
    assert (status.st_ino, status.st_nlink) == (other.st_ino, 2)


def test_a_descriptor_can_be_walked_and_stays_open(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").touch()
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(2):
            assert [entry.path for entry, _ in walk_entries(descriptor)] == ["d", "d/f"]
        os.fstat(descriptor)
    finally:
        os.close(descriptor)


def test_a_walk_that_is_not_finished_leaves_no_descriptors_open(tmp_path: Path) -> None:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    before = len(os.listdir("/proc/self/fd"))
    walk = walk_entries(str(tmp_path))
    next(walk)
    next(walk)
    walk.close()  # type: ignore[attr-defined]
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_tree_deeper_than_the_recursion_limit_is_walked(tmp_path: Path) -> None:
    depth = 800
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert sum(1 for _ in walk_entries(str(tmp_path))) == depth


def test_extended_attributes_are_read_without_following_links(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    try:
        os.setxattr(tmp_path / "f", "user.b", b"2\0")
        os.setxattr(tmp_path / "f", "user.a", b"1")
    except OSError:
        pytest.skip("this file system has no user attributes")
    (tmp_path / "l").symlink_to("f")
    found = {entry.path: entry.xattrs for entry, _ in walk_entries(str(tmp_path), xattrs=True)}
    assert found == {"f": (("user.a", b"1"), ("user.b", b"2\0")), "l": ()}
    assert read_xattrs(str(tmp_path / "missing")) == ()
