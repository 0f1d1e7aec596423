"""Whatever a RUN does: the layer on top of its parents gives what the RUN left, however it is looked at."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from builder.layer.apply import apply_layer
from builder.snapshot.copying import CopyingSnapshotter
from builder.snapshot.overlay import OverlaySnapshotter
from builder.snapshot.snapshotter import Snapshotter, StackLayer
from tests.layer.archives import Member, Seen, is_mount_allowed
from tests.snapshot.operations import Operation, operations, perform
from tests.snapshot.rig import Rig, look_at, look_at_view, view_of

BASE = (
    Member("a", "directory", mode=0o750, uid=3),
    Member("a/a", content=b"one", xattrs=(("user.note", b"x"),)),
    Member("a/b", "directory", mode=0o1777),
    Member("a/b/c", content=b"deep", mode=0o4755),
    Member("b", content=b"two", uid=1000, gid=100),
    Member("c", "directory", mode=0o755),
    Member("c/a", "symlink", link="../b"),
    Member("c/c", "directory", mode=0o700),
    Member("c/c/b", content=b""),
    Member("ln", "symlink", link="a"),
)
MIDDLE = (
    Member("a", "directory", mode=0o755),
    Member("a/.wh.a"),
    Member("a/b", "directory", mode=0o1777),
    Member("a/b/b", content=b"new"),
    Member("c", "directory", mode=0o755),
    Member("c/c", "directory", mode=0o711),
    Member("c/c/.wh..wh..opq"),
    Member("c/c/a", content=b"opaque"),
)

needs_overlay = pytest.mark.skipif(not is_mount_allowed(), reason="mounting overlayfs needs root (CI has it)")
many = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def run(
    rig: Rig, snapshotter: Snapshotter, layers: Sequence[StackLayer], todo: list[Operation]
) -> tuple[StackLayer, dict[str, Seen]]:
    """Perform the operations as a RUN on `layers`; the new layer, and what the tree looked like at the end."""
    active = snapshotter.prepare(layers, view_of(layers))
    with rig.mounted(active.rootfs) as tree:
        perform(tree, todo)
        seen = look_at(tree)
    made = rig.write(snapshotter.changes(active))
    snapshotter.commit(active, made.diff_id)
    return made, seen


def seen_mounted(rig: Rig, snapshotter: Snapshotter, layers: Sequence[StackLayer]) -> dict[str, Seen]:
    with snapshotter.open_stack(layers, view_of(layers)) as rootfs, rig.mounted(rootfs) as tree:
        return look_at(tree)


def marks(directory: Path) -> set[str]:
    """The directories that hide everything below them: our layers have none."""
    return {
        str(path) for path in directory.rglob("*") if path.is_dir() and "trusted.overlay.opaque" in os.listxattr(path)
    }


def deletions_without_time(tree: dict[str, Seen]) -> dict[str, Seen]:
    """A deletion is a device 0/0; when it was made, by the kernel or by unpacking, says nothing."""
    return {
        path: seen._replace(mtime=0) if (seen.kind, seen.content) == ("character", "(0, 0)") else seen
        for path, seen in tree.items()
    }


def unpacked(rig: Rig, layers: Sequence[StackLayer]) -> dict[str, Seen]:
    """What another engine would make of the layers: one directory, one tar after the other."""
    directory = Path(rig.temporary("unpacked"))
    directory.mkdir()
    for position, one in enumerate(layers):
        with open(one.layer.tar_path(), "rb") as stream:
            apply_layer(stream, str(directory), overlay=False, below=view_of(layers[:position]))
    return look_at(str(directory))


@needs_overlay
@many
@given(operations(), operations())
def test_a_layer_made_from_an_overlay_gives_what_the_run_left(first: list[Operation], second: list[Operation]) -> None:
    root = Path(tempfile.mkdtemp(prefix="pybuild-test-"))
    try:
        rig = Rig(root / "one")
        snapshotter = OverlaySnapshotter(rig.place)
        layers = [rig.layer(BASE), rig.layer(MIDDLE)]
        for todo in (first, second):
            made, left = run(rig, snapshotter, layers, todo)
            layers.append(made)
            assert look_at_view(view_of(layers)) == left, "the view"
            assert seen_mounted(rig, snapshotter, layers) == left, "the upper directory as a lower one"
            assert unpacked(rig, layers) == left, "layer after layer in one directory"
        elsewhere = Rig(root / "two")
        fresh = OverlaySnapshotter(elsewhere.place)
        assert seen_mounted(elsewhere, fresh, layers) == left, "unpacked anew for overlayfs"
    finally:
        shutil.rmtree(root)


@needs_overlay
@many
@given(operations())
def test_an_upper_directory_is_kept_as_what_unpacking_its_layer_gives(todo: list[Operation]) -> None:
    """Other layers may lie below it then: so it is looked at alone, with its deletions."""
    root = Path(tempfile.mkdtemp(prefix="pybuild-test-"))
    try:
        rig, other = Rig(root / "one"), Rig(root / "two")
        snapshotter = OverlaySnapshotter(rig.place)
        layers = [rig.layer(BASE), rig.layer(MIDDLE)]
        made, _ = run(rig, snapshotter, layers, todo)
        kept = rig.root / "snapshots" / f"{made.diff_id.encoded}.root" / "fs"
        assert kept.is_dir()
        OverlaySnapshotter(other.place).prepare([made], view_of([made]))
        anew = other.root / "snapshots" / f"{made.diff_id.encoded}.root" / "fs"
        assert deletions_without_time(look_at(str(kept))) == deletions_without_time(look_at(str(anew)))
        assert marks(kept) == marks(anew) == set()
    finally:
        shutil.rmtree(root)


@many
@given(operations(), operations())
@pytest.mark.skipif(not is_mount_allowed(), reason="owners and devices need root (CI has it)")
def test_a_layer_made_by_copying_gives_what_the_run_left(first: list[Operation], second: list[Operation]) -> None:
    root = Path(tempfile.mkdtemp(prefix="pybuild-test-"))
    try:
        rig = Rig(root)
        snapshotter = CopyingSnapshotter(rig.place)
        layers = [rig.layer(BASE), rig.layer(MIDDLE)]
        for todo in (first, second):
            made, left = run(rig, snapshotter, layers, todo)
            layers.append(made)
            assert look_at_view(view_of(layers)) == left, "the view"
            assert unpacked(rig, layers) == left, "layer after layer in one directory"
    finally:
        shutil.rmtree(root)


@needs_overlay
@many
@given(operations())
def test_copying_and_overlay_write_the_same_entries(todo: list[Operation]) -> None:
    root = Path(tempfile.mkdtemp(prefix="pybuild-test-"))
    try:
        listings = []
        for name, kind in (("overlay", OverlaySnapshotter), ("copying", CopyingSnapshotter)):
            rig = Rig(root / name)
            snapshotter = kind(rig.place)
            layers = [rig.layer(BASE), rig.layer(MIDDLE)]
            active = snapshotter.prepare(layers, view_of(layers))
            with rig.mounted(active.rootfs) as tree:
                perform(tree, todo)
            listings.append([entry._replace(mtime=0) for entry, _ in snapshotter.changes(active)])
        assert listings[0] == listings[1]
    finally:
        shutil.rmtree(root)
