"""A file that grows while it is read is taken as long as it was listed; one that changes is an error."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from builder.context.directory import DirectoryTree
from builder.context.reading import hash_node
from builder.context.tree import Node, Prune
from builder.errors import ContextError
from builder.layer.tar_writer import write_layer
from builder.layer.view import MergedView
from builder.plan.step import ContextSource, Paths
from builder.solve.copy.layer import CopyLayer
from builder.solve.copy.selection import CopySelection
from builder.solve.run.materialize import materialize
from tests.solve.copying import copy_step

SIZES = [0, 5, 3 << 20]


class MovingTree(DirectoryTree):
    """A context in which something happens to the file `log` each time it has been listed."""

    told: list[str]

    def __init__(self, path: Path, act: Callable[[Path], object], digest: str = "") -> None:
        self.told = []
        super().__init__(str(path), grew=self.told.append)
        self._act = act
        self._digest = digest

    def __enter__(self) -> MovingTree:
        return self

    def walk(self, path: str, *, deep: bool = True, prune: Prune | None = None) -> Iterator[Node]:
        nodes = list(super().walk(path, deep=deep, prune=prune))
        self._act(Path(self.path) / "log")
        for node in nodes:
            is_log = node.entry.path == "log"
            yield node._replace(entry=node.entry._replace(digest=self._digest)) if is_log else node


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def replace(path: Path) -> None:
    old = path.read_bytes()
    path.rename(path.with_name("old"))
    path.write_bytes(old + b"more")


def chmod_and_append(path: Path) -> None:
    append(path)
    path.chmod(0o600)


def overwrite(path: Path) -> None:
    data = path.read_bytes()
    with path.open("r+b") as file:
        file.write(b"Z" * len(data) + b"more")


def copied(tree: DirectoryTree, folder: Path) -> bytes:
    step = copy_step((Paths(ContextSource(), (".",)),), "/")
    layer = CopyLayer(CopySelection(step, lambda source: tree), MergedView(()))
    tar = bytearray()
    index = folder / "index"
    written = write_layer(layer.items(), tar.extend, str(index))
    at = tar.find(b"ustar")
    size = int(tar[at - 257 + 124 : at - 257 + 135], 8)
    content = bytes(tar[at - 257 + 512 : at - 257 + 512 + size])
    layer.inputs(written.hashed)
    return content


def written(tree: DirectoryTree, folder: Path) -> bytes:
    materialize(tree.walk(""), str(folder / "to"), owners=False, cancel=Event())
    return (folder / "to/log").read_bytes()


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "context").mkdir()
    return tmp_path / "context"


@pytest.mark.parametrize("read", [copied, written])
@pytest.mark.parametrize("size", SIZES)
def test_what_a_growing_file_held_when_it_was_listed_is_taken(
    context: Path, tmp_path: Path, size: int, read: Callable[[DirectoryTree, Path], bytes]
) -> None:
    (context / "log").write_bytes(b"a" * size)
    with MovingTree(context, append) as tree:
        assert read(tree, tmp_path) == b"a" * size
        assert set(tree.told) == {"log"}


@pytest.mark.parametrize("size", SIZES)
def test_a_growing_file_is_hashed_as_long_as_it_was_listed(context: Path, size: int) -> None:
    (context / "log").write_bytes(b"a" * size)
    with MovingTree(context, append) as tree:
        (node,) = [node for node in tree.walk("") if node.entry.path == "log"]
        assert hash_node(node) == hashlib.sha256(b"a" * size).hexdigest()
        assert tree.told == ["log"]


@pytest.mark.parametrize("read", [copied, written])
@pytest.mark.parametrize("act", [replace, chmod_and_append, lambda path: os.truncate(path, 1)])
@pytest.mark.parametrize("size", SIZES[1:])
def test_a_file_that_changes_otherwise_is_an_error(
    context: Path,
    tmp_path: Path,
    size: int,
    act: Callable[[Path], object],
    read: Callable[[DirectoryTree, Path], bytes],
) -> None:
    (context / "log").write_bytes(b"a" * size)
    with MovingTree(context, act) as tree, pytest.raises(ContextError, match="changed while it was read"):
        read(tree, tmp_path)


@pytest.mark.parametrize("read", [copied, written])
@pytest.mark.parametrize("size", SIZES[1:])
def test_a_file_that_is_known_and_begins_otherwise_is_an_error(
    context: Path, tmp_path: Path, size: int, read: Callable[[DirectoryTree, Path], bytes]
) -> None:
    data = b"a" * size
    (context / "log").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    with MovingTree(context, overwrite, digest) as tree, pytest.raises(ContextError, match="changed while it was read"):
        read(tree, tmp_path)


def test_without_anybody_to_tell_growing_is_an_error(context: Path) -> None:
    (context / "log").write_bytes(b"a")
    with DirectoryTree(str(context)) as tree:
        nodes = list(tree.walk(""))
        append(context / "log")
        with pytest.raises(ContextError, match="changed while it was read"):
            hash_node(nodes[-1])
