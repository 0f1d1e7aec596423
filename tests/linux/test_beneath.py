"""Paths in a root: the fallback must decide as the kernel does, and nothing may get out."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.linux.beneath import open_by_steps, open_in_root, walk_in_root

Opener = Callable[..., int]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/file").write_text("inside")
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text("image")
    (tmp_path / "canary").write_text("outside")
    for name, target in {
        "abs": "/a/b",
        "up": "../../../../a",
        "out": "../canary",
        "etclink": "/etc/passwd",
        "loop": "loop",
        "chain": "abs",
        "dangling": "/new/place",
        "proc": "/proc/self/root",
    }.items():
        (root / name).symlink_to(target)
    return root


PATHS = [
    *("a/b/file", "/a/b/file", "abs/file", "up/b/file", "chain/file", "a/../a/./b//file", "../../a/b/file", "etclink"),
    *("out", "loop", "dangling", "a/b/file/x", "a/b/file/..", "missing", "missing/../a", ".", "", "..", "/", "abs/.."),
]


def outcome(opener: Opener, root: Path, path: str, flags: int) -> object:
    descriptor = os.open(root, os.O_RDONLY)
    try:
        opened = opener(descriptor, path, flags)
    except OSError as error:
        return error.errno
    finally:
        os.close(descriptor)
    found = os.readlink(f"/proc/self/fd/{opened}")
    os.close(opened)
    return found


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_PATH, os.O_PATH | os.O_NOFOLLOW, os.O_RDONLY | os.O_DIRECTORY])
@pytest.mark.parametrize("path", [path for path in PATHS if path not in ("missing/../a", "a/b/file/..")])
def test_the_steps_find_what_the_kernel_finds(tree: Path, path: str, flags: int) -> None:
    assert outcome(open_by_steps, tree, path, flags) == outcome(open_in_root, tree, path, flags)


@pytest.mark.parametrize("opener", [open_in_root, open_by_steps])
@pytest.mark.parametrize(
    "path", ["out", "../canary", "../../canary", "a/../../canary", "proc/tmp", "abs/../../../canary"]
)
def test_cve_2026_42574_nothing_outside_is_reached(tree: Path, opener: Opener, path: str) -> None:
    assert isinstance(outcome(opener, tree, path, os.O_RDONLY), int)


@pytest.mark.parametrize("opener", [open_in_root, open_by_steps])
def test_a_file_can_be_created_through_links_inside_only(tree: Path, opener: Opener) -> None:
    (tree / "evil").symlink_to("/../created")
    root = os.open(tree, os.O_RDONLY)
    os.close(opener(root, "evil", os.O_WRONLY | os.O_CREAT, 0o600))
    os.close(opener(root, "abs/new", os.O_WRONLY | os.O_CREAT, 0o600))
    os.close(root)
    assert (tree / "created").exists()
    assert not (tree.parent / "created").exists()
    assert (tree / "a/b/new").exists()


@pytest.mark.parametrize(
    ("path", "found", "missing"),
    [
        ("a/b", ("a", "b"), ()),
        ("dangling/x", (), ("new", "place", "x")),
        ("abs/x/../y", ("a", "b"), ("y",)),
        ("x/../../../a", ("a",), ()),
        ("up/z", ("a",), ("z",)),
        ("/", (), ()),
    ],
)
def test_a_walk_says_what_is_missing(tree: Path, path: str, found: tuple[str, ...], missing: tuple[str, ...]) -> None:
    root = os.open(tree, os.O_RDONLY)
    with walk_in_root(root, path) as walk:
        assert (walk.found, walk.missing) == (found, missing)
    os.close(root)


@pytest.mark.parametrize("opener", [open_in_root, open_by_steps])
def test_a_directory_moved_out_under_the_walk_does_not_lead_out(tree: Path, opener: Opener) -> None:
    (tree / "x/y/z").mkdir(parents=True)
    stop = threading.Event()

    def move() -> None:
        while not stop.is_set():
            os.rename(tree / "x/y", tree.parent / "y")
            os.rename(tree.parent / "y", tree / "x/y")

    thread = threading.Thread(target=move)
    thread.start()
    root = os.open(tree, os.O_RDONLY)
    try:
        for _ in range(3000):
            try:
                opened = opener(root, "x/y/z/../../../canary", os.O_RDONLY)
            except OSError:
                continue
            pytest.fail(f"reached {os.readlink(f'/proc/self/fd/{opened}')}")
    finally:
        stop.set()
        thread.join()
        os.close(root)


def test_no_descriptor_is_left_open(tree: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for path in PATHS:
        outcome(open_by_steps, tree, path, os.O_RDONLY)
    assert len(os.listdir("/proc/self/fd")) == before
