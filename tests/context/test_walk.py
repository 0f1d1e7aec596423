"""The walk through an ignored tree: what it reaches, what is seen of it, and that its users agree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.context.directory import DirectoryTree
from builder.context.ignore import IgnorePatterns, parse_ignore
from builder.context.listing import list_context
from builder.context.select import filtered
from builder.context.signature import context_signature
from builder.context.tree import Node, Prune
from builder.context.walk import Found, seen, walk_ignored
from builder.errors import SourceError
from builder.filesystem.entry import DIRECTORY

FILES = ("a/a/a", "a/a/b", "a/b/a", "a/c", "ab", "b/a/b/a", "b/b", "c")
DIRECTORIES = ("a", "a/a", "a/b", "b", "b/a", "b/a/b", "d")
TREE_ORDER = sorted([*FILES, *DIRECTORIES], key=lambda path: path.split("/"))
RULES = st.lists(st.text(alphabet="abc*/?!", min_size=1, max_size=6), max_size=5)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("context")
    for directory in DIRECTORIES:
        (root / directory).mkdir()
    for file in FILES:
        (root / file).touch()
    return root


def parsed(lines: list[str]) -> IgnorePatterns:
    try:
        return parse_ignore("\n".join(lines), ".dockerignore")
    except SourceError:
        return parse_ignore("", ".dockerignore")


def found_in(tree: DirectoryTree, prune: Prune) -> Iterator[Found[Node]]:
    return ((node.entry.path, node.entry.kind == DIRECTORY, node) for node in tree.walk("", prune=prune))


def seen_by_definition(ignore: IgnorePatterns, *, under: str = "") -> list[str]:
    """What is not excluded and what is above it, found by asking for each path on its own."""
    shown = [path for path in TREE_ORDER if path.startswith(under)]
    kept = {path for path in shown if not ignore.state_of(path.removeprefix(under)).excluded}
    return [path for path in shown if path in kept or any(other.startswith(path + "/") for other in kept)]


@given(RULES)
def test_a_context_shows_what_is_not_excluded_and_what_is_above_it(context: Path, lines: list[str]) -> None:
    ignore = parsed(lines)
    with DirectoryTree(str(context), ignore) as tree:
        assert [node.entry.path for node in tree.walk("")][1:] == seen_by_definition(ignore)


@given(RULES, st.sampled_from(["", "a", "b"]))
def test_a_copy_excludes_relative_to_its_directory(context: Path, lines: list[str], root: str) -> None:
    exclude = parsed(lines)
    with DirectoryTree(str(context)) as tree:
        found = [node.entry.path for node in filtered(tree, root, exclude)]
    assert found == seen_by_definition(exclude, under=f"{root}/" if root else "")


@given(RULES, RULES)
def test_exclusions_of_a_copy_come_on_top_of_the_ignore_file(
    context: Path, ignored: list[str], more: list[str]
) -> None:
    ignore, exclude = parsed(ignored), parsed(more)
    with DirectoryTree(str(context), ignore) as tree:
        found = [node.entry.path for node in filtered(tree, "", exclude)]
    files = [f for f in FILES if not ignore.state_of(f).excluded and not exclude.state_of(f).excluded]
    assert [path for path in found if path in FILES] == sorted(files, key=lambda path: path.split("/"))
    assert len(found) == len(set(found))


@given(RULES)
def test_a_listing_says_of_each_file_what_a_build_decides(context: Path, lines: list[str]) -> None:
    ignore = parsed(lines)
    listed = {file.path: (file.included, file.rule) for file in list_context(str(context), ignore, "/nowhere")}
    decided = {path: ignore.decide(path) for path in FILES}
    assert listed == {path: (not decision.excluded, decision.rule) for path, decision in decided.items()}


@settings(max_examples=25)
@given(RULES)
def test_a_signature_tells_of_what_the_walk_reaches(context: Path, lines: list[str]) -> None:
    ignore = parsed(lines)
    with DirectoryTree(str(context)) as tree:
        walk = walk_ignored(lambda prune: found_in(tree, prune), ignore, ignore.ROOT)
        reached = {
            path
            for (path, is_directory, _), state in walk
            if not state.excluded or (is_directory and ignore.may_reinclude_below(path, state))
        }
    for path in TREE_ORDER:
        before = context_signature(str(context), [""], ignore, "/nowhere")
        mode = (context / path).stat().st_mode
        (context / path).chmod(mode ^ 0o020)
        after = context_signature(str(context), [""], ignore, "/nowhere")
        (context / path).chmod(mode)
        assert (before != after) is (path in reached), path


def test_a_directory_that_is_not_to_be_entered_is_yielded_first(context: Path) -> None:
    ignore = parse_ignore("a\n!a/b\n", ".dockerignore")
    asked: list[str] = []

    def is_pruned(path: str) -> bool:
        asked.append(path)
        return path == "b"

    with DirectoryTree(str(context), ignore) as tree:
        found = [node.entry.path for node in tree.walk("", prune=is_pruned)]
    assert found == ["", "a", "a/b", "a/b/a", "ab", "b", "c", "d"]
    assert asked == ["", "a/b", "b", "d"], "an excluded directory is not asked about: it is looked into or not"


def test_nothing_is_seen_of_nothing() -> None:
    assert list(seen([])) == []
