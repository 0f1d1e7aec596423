"""Deep trees by few descriptors: the way down and back, removal, and paths for single system calls."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.filesystem.remove import remove_tree
from builder.filesystem.still import StillTree, listing
from builder.filesystem.trail import Trail

DEPTH = 3000


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    """A directory with 3,000 below each other, as a descriptor; removed by what is tested."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    trail = Trail(descriptor)
    for number in range(DEPTH):
        name = f"{number % 10}"
        os.mkdir(name, dir_fd=trail.descriptor)
        trail.down(name)
    os.mknod("leaf", dir_fd=trail.descriptor)
    trail.close()
    yield descriptor
    remove_tree(descriptor, "0")
    assert os.listdir(descriptor) == []
    os.close(descriptor)


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_each_step_back_is_where_the_way_down_was(root: int, few_descriptors: None) -> None:
    trail = Trail(root)
    seen = []
    for number in range(DEPTH):
        seen.append(os.fstat(trail.down(f"{number % 10}")).st_ino)
    assert "leaf" in os.listdir(trail.descriptor)
    for depth in (DEPTH, DEPTH - 1, DEPTH - 63, DEPTH - 64, DEPTH - 65, 200, 65, 64, 1):
        assert os.fstat(trail.up(depth)).st_ino == seen[depth - 1]
        assert len(trail.names) == depth
    assert os.fstat(trail.up(0)).st_ino == os.fstat(root).st_ino
    trail.close()


def test_a_link_on_the_way_is_refused_on_the_way_back_too(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    for number in range(70):
        (tmp_path / "/".join("d" * (number + 1))).mkdir()
    descriptor = os.open(tmp_path, os.O_RDONLY)
    trail = Trail(descriptor)
    for _ in range(70):
        trail.down("d")
    (tmp_path / "d").rename(tmp_path / "moved")
    (tmp_path / "d").symlink_to("outside")
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        trail.up(2)
    trail.close()
    os.close(descriptor)


@pytest.mark.parametrize("length", [3900, 4001, 4094])
def test_a_path_that_linux_can_take_is_reached_whatever_is_in_front(tmp_path: Path, length: int) -> None:
    names = ["a" * 199] * (length // 200)
    names.append("b" * (length - 200 * len(names)))
    path = "/".join(name for name in names if name)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    os.makedirs(f"/proc/self/fd/{descriptor}/{'/'.join(names[:10])}")
    trail = Trail(descriptor)
    for name in names[:10]:
        trail.down(name)
    for name in names[10:-1]:
        os.mkdir(name, dir_fd=trail.descriptor)
        trail.down(name)
    os.symlink("target", names[-1], dir_fd=trail.descriptor)
    trail.close()
    with StillTree(str(tmp_path)) as tree:
        assert os.readlink(tree.at(path)) == "target"
        with listing(tree.at(os.path.dirname(path))) as found:
            assert [entry.name for entry in found if entry.is_symlink()] == [names[-1]]
        with pytest.raises(OSError, match="File name too long") as caught:
            tree.at(path + "/" + "x" * 4095)
        assert caught.value.errno == errno.ENAMETOOLONG
    remove_tree(descriptor, names[0])
    os.close(descriptor)
