"""What a layer changes, against what the views with and without it show."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings

from builder.errors import LayerError
from builder.filesystem.entry import DIRECTORY, Entry
from builder.layer.changes import LayerChange, layer_changes
from builder.layer.view import MergedView
from tests.layer.archives import Member, layer, pack, view
from tests.layer.stacks import stacks

D = "directory"


def changes(folder: Path, *layers: list[Member]) -> list[LayerChange]:
    """What the last of the layers changes."""
    *below, top = [layer(folder, pack(members)) for members in layers]
    return list(layer_changes(top.index, MergedView(below)))


def told(found: list[LayerChange]) -> list[str]:
    return [f"{one.kind} {one.path} {one.size} {', '.join(one.words)}".rstrip() for one in found]


def test_each_kind_of_change_is_told_with_its_size(tmp_path: Path) -> None:
    base = [
        *(Member("d/", D), Member("d/gone", content=b"12345"), Member("d/sub/deep", content=b"123")),
        *(
            Member("same", content=b"x"),
            Member("file", content=b"old"),
            Member("mode", content=b"m"),
            Member("was/", D),
        ),
        *(Member("ln", "symlink", link="file"), Member("keep/", D, mode=0o755)),
    ]
    top = [
        *(Member("d/", D, mtime=5), Member("d/.wh.gone"), Member("d/.wh.sub"), Member("d/.wh.never")),
        *(Member("d/new", content=b"12"), Member("same", content=b"x"), Member("file", content=b"longer")),
        *(Member("mode", content=b"m", mode=0o755, uid=7), Member("ln", "symlink", link="mode")),
        *(Member("keep/", D, mode=0o700), Member("was", content=b"f")),
    ]  # fmt: skip
    assert told(changes(tmp_path, base, top)) == [
        "deleted d/gone 5",
        "deleted d/sub 3",
        "added d/new 2",
        "changed file 6 content",
        "changed keep 0 mode 0755 → 0700",
        "changed ln 0 → mode",
        "changed mode 1 mode 0644 → 0755, owner 0:0 → 7:0",
        "changed same 1 written again",
        "changed was 1 directory → file",
    ]


def test_a_directory_that_is_emptied_tells_what_was_in_it(tmp_path: Path) -> None:
    base = [Member("d/a/x", content=b"1"), Member("d/b", content=b"22"), Member("e/old", content=b"333")]
    top = [Member("d/.wh..wh..opq"), Member("d/a/y", content=b"4"), Member(".wh.e"), Member("e/new")]
    assert sorted(told(changes(tmp_path, base, top))) == [
        *("added d/a/y 1", "added e/new 0", "deleted d/a/x 1", "deleted d/b 2", "deleted e/old 3"),
    ]


@settings(max_examples=60, deadline=None)
@given(stacks)
def test_added_and_deleted_are_what_the_views_say(stack: list[list[Member]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        try:
            before, after = _seen(view(Path(name), *stack[:-1])), _seen(view(Path(name), *stack))
            found = changes(Path(name), *stack)
        except LayerError:  # a link to nothing, for example: no layer that could be shown
            return
    told = {kind: {one.path for one in found if one.kind == kind} for kind in ("added", "changed", "deleted")}
    assert sum(map(len, told.values())) == len(found), "each path once"
    gone = before.keys() - after.keys()
    # Of a tree that goes its top is named; what a file takes the place of goes with that.
    tops = {path for path in gone if (parent := after.get(path.rpartition("/")[0])) and parent.kind == DIRECTORY}
    assert told["added"] == after.keys() - before.keys()
    assert told["deleted"] == tops
    both = before.keys() & after.keys()
    assert {path for path in both if _shape(before[path]) != _shape(after[path])} <= told["changed"] <= both


def _seen(merged: MergedView) -> dict[str, Entry]:
    return {one.entry.path: one.entry for one in merged.walk()}


def _shape(entry: Entry) -> tuple[object, ...]:
    kind = "file" if entry.kind == "hardlink" else entry.kind
    return (kind, entry.mode, entry.uid, entry.gid, entry.size, entry.digest, entry.xattrs)
