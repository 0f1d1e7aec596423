"""The story of each path: who hides what is what the view of each lower part of the stack shows."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from builder.errors import LayerError
from builder.explain.compare import differing_paths
from builder.explain.totals import leftovers, sum_up
from builder.explain.union import PathStory, path_stories
from builder.filesystem.entry import DIRECTORY, HARDLINK
from builder.layer.view import MergedView
from tests.layer.archives import Member, layer, pack
from tests.layer.stacks import stacks

BIG, SMALL = b"x" * 1000, b"y" * 10


def stories_of(directory: Path, *layers: list[Member]) -> dict[str, PathStory]:
    """Return the stories of layers given as members, by path."""
    indexes = [layer(directory, pack(members)).index for members in layers]
    return {story.path: story for story in path_stories(indexes)}


@given(stacks)
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_after_each_layer_the_stories_see_what_the_view_shows(stack: list[list[Member]]) -> None:
    with tempfile.TemporaryDirectory(prefix="pybuild-test-") as directory, ExitStack() as held:
        try:
            layers = [layer(Path(directory), pack(members)) for members in stack]
            views = [{e.entry.path: e for e in MergedView(layers[: n + 1]).walk()} for n in range(len(layers))]
        except LayerError:
            return
        for each in layers:
            held.callback(each.index.close)
        stories = list(path_stories([each.index for each in layers]))
        assert [story.path for story in stories] == sorted(
            {s.path for s in stories}, key=lambda p: p.replace("/", "\0")
        )
        for number, view in enumerate(views):
            seen = {
                story.path
                for story in stories
                if any(
                    each.layer <= number and not each.is_marker and not 0 <= each.hidden_by <= number
                    for each in story.versions
                )
            }
            assert seen | {""} == set(view)
        for story in stories:
            top = story.seen
            shown = views[-1].get(story.path)
            # A folder may have its attributes from a lower layer, a hard link from its target.
            if shown is not None and top is not None and not {shown.entry.kind, top.entry.kind} & {HARDLINK, DIRECTORY}:
                assert (top.layer, top.entry) == (shown.layer_number, shown.entry)


COPIED = ("added", "same content", 1)
GONE = ("added", "deleted", 1)
MARK = ("whiteout", "", -1)
CHANGED = ("modified", "", -1)
AGAIN = ("same", "", -1)


@pytest.mark.parametrize(
    ("base", "top", "path", "expected"),
    [
        ([Member("f")], [Member("f", content=SMALL)], "f", [("added", "overwritten", 1), CHANGED]),
        ([Member("f")], [Member("f", mode=0o600)], "f", [COPIED, CHANGED]),
        ([Member("f")], [Member("f", uid=5)], "f", [COPIED, CHANGED]),
        ([Member("f")], [Member("f", mtime=5)], "f", [COPIED, ("touched", "", -1)]),
        ([Member("f")], [Member("f")], "f", [COPIED, AGAIN]),
        ([Member("f")], [Member(".wh.f")], "f", [GONE, MARK]),
        ([Member("f")], [Member(".wh.f"), Member("f")], "f", [COPIED, MARK, AGAIN]),
        ([Member("d/f")], [Member(".wh.d")], "d/f", [GONE]),
        ([Member("d/f")], [Member("d/.wh..wh..opq")], "d/f", [GONE]),
        ([Member("d/f")], [Member(".wh..wh..opq")], "d/f", [GONE]),
        ([Member("d/f")], [Member("d", "file")], "d/f", [GONE]),
        ([Member("d/f")], [Member(".wh.d"), Member("d/f")], "d/f", [COPIED, AGAIN]),
        ([Member("d", "directory")], [Member("d", "directory", mode=0o700)], "d", [("added", "merged", 1), CHANGED]),
        ([Member("d", "file")], [Member("d", "directory")], "d", [("added", "overwritten", 1), CHANGED]),
        ([Member("+x")], [Member(".wh.+x")], "+x", [GONE, MARK]),
        ([], [Member(".wh.f")], "f", [MARK]),
    ],
)  # fmt: skip
def test_what_an_upper_layer_makes_of_a_path(
    tmp_path: Path, base: list[Member], top: list[Member], path: str, expected: list[tuple[str, str, int]]
) -> None:
    story = stories_of(tmp_path, base, top)[path]
    assert sorted((each.change, each.hidden, each.hidden_by) for each in story.versions) == sorted(expected)


def test_a_layer_that_is_not_here_takes_no_part(tmp_path: Path) -> None:
    index = layer(tmp_path, pack([Member("f")])).index
    assert [(s.path, s.versions[0].layer) for s in path_stories([None, index])] == [("f", 1)]
    assert not list(path_stories([None]))


def test_sums_say_what_each_layer_did_and_hides(tmp_path: Path) -> None:
    layers = [
        [*(Member(n, content=BIG) for n in ("keep", "gone")), *(Member(n, content=SMALL) for n in ("mode", "d/x"))],
        [Member("gone", content=SMALL), Member("mode", content=SMALL, mode=0o600), Member("new")],
        [Member(".wh.gone"), Member(".wh.d")],
    ]  # fmt: skip
    indexes = [layer(tmp_path, pack(members)).index for members in layers]
    totals = sum_up(path_stories(indexes), 3)
    did = [(each.added, each.modified, each.deleted, each.stored, each.hidden, each.hides) for each in totals.layers]
    assert did == [(4, 0, 0, 2020, 1020, 0), (1, 2, 0, 20, 10, 1010), (0, 0, 2, 0, 0, 20)]
    assert (totals.stored, totals.wasted) == (2040, 1030)
    assert [(file.path, file.size) for file in leftovers(totals)] == [("d/x", 10), ("gone", 10)]


@pytest.mark.parametrize(("gone", "hidden"), [(["a"], 0), (["b"], 0), (["a", "b"], 1000)])
def test_a_file_is_hidden_when_its_last_name_is(tmp_path: Path, gone: list[str], hidden: int) -> None:
    base = layer(tmp_path, pack([Member("a", content=BIG), Member("b", "hardlink", link="a")])).index
    top = layer(tmp_path, pack([Member(f".wh.{name}") for name in gone])).index
    totals = sum_up(path_stories([base, top]), 2)
    assert totals.wasted == hidden
    assert totals.layers[1].hides == hidden


def test_two_images_are_compared_by_what_they_show(tmp_path: Path) -> None:
    members = (
        [Member("a"), Member("b", content=SMALL), Member("d/x"), Member("t", mtime=1)],
        [Member("b", content=BIG), Member("d/x", mode=0o600), Member("e"), Member("t", mtime=2)],
    )
    first, second = (path_stories([layer(tmp_path, pack(each)).index]) for each in members)
    found = [(each.path, each.kind, each.growth) for each in differing_paths(first, second)]
    assert found == [("a", "removed", 0), ("b", "changed", 990), ("d/x", "changed", 0), ("e", "added", 0)]
