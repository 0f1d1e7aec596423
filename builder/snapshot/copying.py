"""Stacks of layers without mounting anything: all of a stage's layers in one directory, changes found by comparing.

    STORE/tmp/…/tree/
        fs/      the layers, applied one after the other, and what RUN steps did since
        scan     what fs looked like when the last step was done (scan.py)

Made for places where nothing can be mounted: a plain container in a CI pod. A stage's tree goes from one RUN to the
next; layers that COPY made in between are applied to it. A stage that forks from it gets a tree of its own.

Differences to overlayfs, both inherent: names of one inode stay names of one inode when one of them is changed, so the
whole group is in the layer; and renaming a directory of a lower layer works.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from builder.layer.apply import apply_layer
from builder.layer.view import MergedView
from builder.oci.digest import DiffID
from builder.sandbox.spec import DirectoryRoot, Rootfs
from builder.snapshot.changes import Change, changed_entries
from builder.snapshot.scan import ScannedTree, write_scan
from builder.snapshot.snapshotter import ActiveSnapshot, Ids, Place, StackLayer
from builder.store.checked import open_checked
from builder.store.os_errors import translated
from builder.store.trash import discard

_PRIVATE_MODE = 0o700
_ROOT_MODE = 0o755
_IDLE_TREES = 4
"""Trees kept for the next step; more would fill the disk, one for each stage that runs beside others."""


@dataclass(slots=True)
class _Tree:
    directory: str
    chain: tuple[DiffID, ...] = ()
    scan: int = 0
    """The number of the scan that is of the tree as it is now; 0 when there is none."""

    @property
    def root(self) -> str:
        return f"{self.directory}/fs"

    def scan_path(self, number: int) -> str:
        return f"{self.directory}/scan-{number % 2}"  # by turns: one is read while the next is written


class CopyingSnapshotter:
    """A Snapshotter that needs nothing but a writable directory."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._idle: list[_Tree] = []
        self._busy: dict[str, _Tree] = {}
        self._lock = Lock()

    def prepare(self, layers: Sequence[StackLayer], view: MergedView) -> ActiveSnapshot:
        tree = self._tree(layers)
        try:
            self._bring_up(tree, layers)
            with translated("looking at the tree of a RUN step"):
                if not tree.scan:
                    tree.scan = 1
                    write_scan(tree.root, tree.scan_path(tree.scan))
        except BaseException:
            self._throw_away(tree)
            raise
        with self._lock:
            self._busy[tree.directory] = tree
        return ActiveSnapshot(
            rootfs=DirectoryRoot(tree.root), directory=tree.directory, chain=tree.chain, view=view
        )  # fmt: skip

    def changes(self, active: ActiveSnapshot) -> Iterator[Change]:
        tree = self._busy[active.directory]
        with (
            translated("comparing the tree of a RUN step"),
            ScannedTree(tree.root, tree.scan_path(tree.scan), tree.scan_path(tree.scan + 1)) as source,
        ):
            yield from changed_entries(source, active.view, inherit_owners=self._place.ids == "ignore")
            source.finish()
        tree.scan += 1

    def commit(self, active: ActiveSnapshot, diff_id: DiffID) -> None:
        with self._lock:
            tree = self._busy.pop(active.directory)
            tree.chain = (*tree.chain, diff_id)
            self._idle.append(tree)
            # The oldest: its stage is likely to be over. Stages that go on take theirs out and put it back.
            surplus = self._idle.pop(0) if len(self._idle) > _IDLE_TREES else None
        if surplus is not None:
            self._throw_away(surplus)

    def discard(self, active: ActiveSnapshot) -> None:
        with self._lock:
            tree = self._busy.pop(active.directory)
        self._throw_away(tree)

    @contextmanager
    def open_stack(self, layers: Sequence[StackLayer], view: MergedView) -> Iterator[Rootfs]:
        active = self.prepare(layers, view)
        try:
            yield active.rootfs
        finally:
            self.discard(active)

    def _tree(self, layers: Sequence[StackLayer]) -> _Tree:
        """Take the idle tree that holds most of the wanted layers and nothing else, or make one."""
        wanted = tuple(layer.diff_id for layer in layers)
        with self._lock:
            fitting = [tree for tree in self._idle if tree.chain == wanted[: len(tree.chain)]]
            if fitting:
                # The fewest layers to apply; for a stage that goes on it is its own tree, with none.
                best = max(fitting, key=lambda tree: len(tree.chain))
                self._idle.remove(best)
                return best
        with translated("making room for a RUN step"):
            tree = _Tree(self._place.temporary("tree"))
            os.mkdir(tree.directory, _PRIVATE_MODE)
            os.mkdir(tree.root, _ROOT_MODE)
            os.chmod(tree.root, _ROOT_MODE)  # mkdir goes by the umask
        return tree

    def _bring_up(self, tree: _Tree, layers: Sequence[StackLayer]) -> None:
        for position in range(len(tree.chain), len(layers)):
            tree.scan = 0  # what is put in here is no change of a step: the tree is looked at again before one runs
            apply_layers(tree.root, layers[: position + 1], position, self._place.ids)
            tree.chain = (*tree.chain, layers[position].diff_id)

    def _throw_away(self, tree: _Tree) -> None:
        with translated("throwing away the tree of a RUN step"):
            discard(tree.directory, self._place.trash)


def apply_layers(root: str, layers: Sequence[StackLayer], start: int, ids: Ids) -> None:
    """Put the layers from the number `start` on into a tree that holds those before. Raises LayerError, StoreError."""
    for position in range(start, len(layers)):
        below = MergedView([layer.layer for layer in layers[:position]])
        tar = layers[position].layer.tar_path()
        with translated("unpacking a layer"), open_checked(tar, layers[position].diff_id) as stream:
            apply_layer(stream, root, overlay=False, ids=ids, below=below)
