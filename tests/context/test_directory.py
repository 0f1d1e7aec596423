"""Context directories as trees: what is seen, in which order, and what a hostile one can't do."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from builder.context.directory import DirectoryTree
from builder.context.ignore import parse_ignore
from builder.context.reading import hash_node, read_node
from builder.errors import ContextError
from builder.filesystem.entry import tree_key
from builder.store.stat_cache import StampedFile


def fill(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(os.fsencode(name))


def paths_of(root: Path, rules: str = "", under: str = "") -> list[str]:
    with DirectoryTree(str(root), parse_ignore(rules, ".dockerignore")) as tree:
        return [node.entry.path for node in tree.walk(under)]


def test_a_walk_is_in_tree_order_whatever_the_names(tmp_path: Path) -> None:
    fill(tmp_path, "a/b", "a-b", "a.b", "a/b0", "é", "z", "\udcff", "a\n/x")
    paths = paths_of(tmp_path)
    assert paths == sorted(paths, key=tree_key)
    assert len(paths) == 11


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("*\n!d/e/f", ["", "d", "d/e", "d/e/f"]), ("*\n!**/x", ["", "d", "d/e", "d/e/x", "x"]), ("d", ["", "x"]),
        ("**", [""]), ("d/e\n!d/e/g", ["", "d", "x"]), ("x\n!x", ["", "d", "d/e", "d/e/f", "d/e/x", "x"]),
    ],
)  # fmt: skip
def test_an_excluded_directory_appears_when_something_in_it_does(
    tmp_path: Path, rules: str, expected: list[str]
) -> None:
    fill(tmp_path, "d/e/f", "d/e/x", "x")
    assert paths_of(tmp_path, rules) == expected
    with DirectoryTree(str(tmp_path), parse_ignore(rules, ".dockerignore")) as tree:
        for path in ("d", "d/e", "d/e/f", "x"):
            assert (tree.find(path) is not None) == (path in expected), path
        assert [n.entry.path for n in tree.walk("", deep=False)] == [p for p in expected if p and "/" not in p]


def test_an_excluded_directory_is_not_even_opened(tmp_path: Path) -> None:
    fill(tmp_path, "node_modules/x", "a")
    os.chmod(tmp_path / "node_modules", 0)
    assert paths_of(tmp_path, "node_modules") == ["", "a"]
    os.chmod(tmp_path / "node_modules", 0o755)


def test_a_deep_tree_needs_no_recursion(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(900):
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    assert len(paths_of(tmp_path)) == 901


def test_attack_a_link_is_reported_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    fill(tmp_path / "secret", "key")
    (tmp_path / "context").mkdir()
    os.symlink("../secret", tmp_path / "context/way")
    assert paths_of(tmp_path / "context") == ["", "way"]
    with DirectoryTree(str(tmp_path / "context")) as tree:
        assert tree.find("way/key") is None
        assert tree.find(tree.resolve("way/key")) is None


@pytest.mark.parametrize("swap", ["link", "fifo", "other file", "gone", "longer"])
def test_attack_a_file_that_is_swapped_after_listing_is_noticed(tmp_path: Path, swap: str) -> None:
    fill(tmp_path / "context", "file")
    fill(tmp_path, "secret")
    target = tmp_path / "context/file"
    with DirectoryTree(str(tmp_path / "context")) as tree:
        node = next(node for node in tree.walk("") if node.entry.path == "file")
        target.unlink()
        match swap:
            case "link":
                os.symlink("../secret", target)
            case "fifo":
                os.mkfifo(target)
            case "other file":
                target.write_text("evil")
            case "longer":
                target.write_text("file" * 1000)
        for read in (read_node, hash_node):
            with pytest.raises(ContextError):
                read(node)


class Stamps:
    """What the stat cache is to a tree, in memory."""

    def __init__(self) -> None:
        self.files: dict[str, StampedFile] = {}

    def walk(self, under: str = "") -> Iterator[StampedFile]:
        yield from sorted(self.files.values(), key=lambda file: tree_key(file.path))

    def put(self, files: Iterable[StampedFile]) -> None:
        self.files |= {file.path: file for file in files}

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            del self.files[path]


def remembered(root: Path, stamps: Stamps) -> dict[str, str]:
    with DirectoryTree(str(root), stamps=stamps) as tree:
        found = {node.entry.path: node.entry.digest for node in tree.walk("") if node.entry.kind == "file"}
        for node in tree.walk(""):
            if node.entry.kind == "file" and not node.entry.digest:
                tree.remember(node, hash_node(node), 1 << 62)
        return found


def test_digests_are_remembered_until_a_file_changes_or_goes(tmp_path: Path) -> None:
    fill(tmp_path, "a", "d/b", "z")
    stamps = Stamps()
    assert set(remembered(tmp_path, stamps).values()) == {""}
    assert all(remembered(tmp_path, stamps).values())
    (tmp_path / "d/b").write_text("other")
    (tmp_path / "a").unlink()
    fill(tmp_path, "c")
    assert {path for path, digest in remembered(tmp_path, stamps).items() if not digest} == {"c", "d/b"}
    assert set(stamps.files) == {"c", "d/b", "z"}


def test_a_young_file_is_not_remembered(tmp_path: Path) -> None:
    fill(tmp_path, "a")
    stamps = Stamps()
    with DirectoryTree(str(tmp_path), stamps=stamps) as tree:
        node = list(tree.walk(""))[1]
        assert node.status is not None
        tree.remember(node, hash_node(node), node.status.st_mtime_ns + 1)
    assert not stamps.files


def test_a_context_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(ContextError, match="cannot be opened"):
        DirectoryTree(str(tmp_path / "none"))
