"""Trees are removed whatever they hold, and nothing beside them is."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.filesystem.remove import remove_tree


@pytest.fixture
def here(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_a_tree_a_file_and_nothing_are_gone_afterwards(tmp_path: Path, here: int) -> None:
    (tmp_path / "tree/sub/closed").mkdir(parents=True)
    (tmp_path / "tree/sub/file").touch()
    os.mkfifo(tmp_path / "tree/fifo")
    (tmp_path / "tree/sub/closed").chmod(0)
    (tmp_path / "file").touch()
    (tmp_path / "kept").touch()
    for name in ("tree", "file", "nothing"):
        remove_tree(here, name)
    assert os.listdir(tmp_path) == ["kept"]


def test_attack_links_are_removed_and_what_they_point_to_stays(tmp_path: Path, here: int) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/canary").touch()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/link").symlink_to(tmp_path / "outside")
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    remove_tree(here, "tree")
    remove_tree(here, "link")
    assert os.listdir(tmp_path) == ["outside"]
    assert os.listdir(tmp_path / "outside") == ["canary"]


def test_attack_a_deep_tree_does_not_exhaust_the_stack(tmp_path: Path, here: int) -> None:
    deep = tmp_path / "deep"
    for _ in range(200):
        deep.mkdir()
        deep /= "d"
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 50)
    try:
        remove_tree(here, "deep")
    finally:
        sys.setrecursionlimit(limit)
    assert os.listdir(tmp_path) == []
