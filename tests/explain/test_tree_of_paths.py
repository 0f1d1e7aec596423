"""The rows after a step: what is there, what the step did, what is folded, hidden and filtered; against the view."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from builder.cli.display.explained_files import changed_by
from builder.cli.display.explained_tree import PathTree, View, fate_of, mark_of
from builder.errors import LayerError
from builder.explain.union import PathStory, path_stories
from builder.layer.view import MergedView
from tests.explain.test_union import BIG, SMALL, stories_of
from tests.layer.archives import Member, layer, pack
from tests.layer.stacks import stacks

BASE = [Member("a/one", content=BIG), Member("a/two"), Member("b/deep/x", content=SMALL), Member("c", content=SMALL)]
SECOND = [Member(".wh.a"), Member("b/deep/y", content=BIG), Member("c", mode=0o600, content=SMALL)]
THIRD = [Member("d"), Member("b/deep/.wh.y")]


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> list[PathStory]:
    return list(stories_of(tmp_path_factory.mktemp("layers"), BASE, SECOND, THIRD).values())


def shown(stories: list[PathStory], number: int, view: View) -> list[str]:
    """Return the rows after layer `number` as people read them."""
    tree = PathTree(stories)
    tree.choose(range(number, number + 1))
    tree.arrange(view)
    rows = [tree.row(at) for at in range(len(tree))]
    return [
        f"{row.mark.letter} {'  ' * row.depth}{row.name}{('+', '-')[row.is_open] if row.is_folder else ''} {row.size}"
        for row in rows
    ]


@pytest.mark.parametrize(
    ("number", "view", "expected"),
    [
        (0, View(pattern="DEEP"), ["  b- 10", "    deep- 10", "A     x 10"]),
        (1, View(), ["D a+ 1000", "  b- 1010", "    deep- 1010", "      x 10", "A     y 1000", "M c 10"]),
        (1, View(is_layer_only=True, hidden={"D"}), ["  b- 1000", "    deep- 1000", "A     y 1000", "M c 10"]),
        (1, View(hidden={" ", "A", "M"}), ["D a+ 1000"]),
        (1, View(folding="all"), ["D a+ 1000", "  b+ 1010", "M c 10"]),
        (
            *(1, View(folding="all", toggled={"a": True})),
            ["D a- 1000", "D   one 1000", "D   two 0", "  b+ 1010", "M c 10"],
        ),
        (2, View(is_layer_only=True), ["  b- 0", "    deep- 0", "D     y 1000", "A d 0"]),
        (2, View(), ["  b- 10", "    deep- 10", "      x 10", "D     y 1000", "  c 10", "A d 0"]),
        (2, View(has_ghosts=True, hidden={" "}), ["x a+ 1000", "  b- 0", "    deep- 0", "D     y 1000", "A d 0"]),
        (2, View(pattern="*/o?e", has_ghosts=True), ["x a- 1000", "x   one 1000"]),
        (2, View(pattern="["), []),
    ],
)  # fmt: skip
def test_a_view_shows_its_rows(stories: list[PathStory], number: int, view: View, expected: list[str]) -> None:
    # Whether a layer of a test has entries for its folders is the archive's affair: here they are implied.
    assert shown(stories, number, view) == expected


@pytest.mark.parametrize(
    ("path", "number", "said"),
    [
        ("a/one", 0, "deleted by L2"),
        ("a/one", 1, "deleted by L2, still in L1"),
        ("a/one", 2, "deleted by L2, still in L1"),
        ("b/deep/y", 0, ""),
        ("c", 0, "copied again with the same content by L2"),
        ("c", 2, "hides 10B of L1"),
        ("b/deep/x", 2, ""),
    ],
)
def test_what_is_hidden_says_by_whom(stories: list[PathStory], path: str, number: int, said: str) -> None:
    story = next(story for story in stories if story.path == path)
    assert fate_of(story.versions, range(number, number + 1), ["L1", "L2", "L3"]) == said


@given(stacks)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_after_each_layer_the_tree_has_what_the_view_shows(stack: list[list[Member]]) -> None:
    with tempfile.TemporaryDirectory(prefix="pybuild-test-") as directory, ExitStack() as held:
        try:
            layers = [layer(Path(directory), pack(members)) for members in stack]
            views = [{e.entry.path for e in MergedView(layers[: n + 1]).walk()} for n in range(len(layers))]
        except LayerError:
            return
        for each in layers:
            held.callback(each.index.close)
        stories = list(path_stories([each.index for each in layers]))
        tree = PathTree(stories)
        for number, view in enumerate(views):
            own = range(number, number + 1)
            tree.choose(own)
            tree.arrange(View(folding="none"))
            rows = [tree.row(at) for at in range(len(tree))]
            assert {row.story.path for row in rows if row.mark.letter != "D"} | {""} == view
            assert [row.story.path for row in rows] == [s.path for s in stories if s.path and _is_shown(s, own)]
            letters = {line.path: line.letter for line in changed_by(stories, own) if line.letter and line.path}
            assert {row.story.path: row.mark.letter for row in rows if row.mark.letter != " "} == letters


def _is_shown(story: PathStory, layers: range) -> bool:
    return mark_of(story.versions, layers).letter not in ("", "x")
