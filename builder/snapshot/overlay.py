"""Stacks of layers by overlayfs: every layer unpacked once, nothing copied, the upper directory is the new layer.

    STORE/tmp/…/run/      (the ActiveSnapshot)         after commit: STORE/snapshots/<diff ID>.<form>/
        fs/               upper                                      fs/
        work/             the sandbox's own                          boot

Nothing is mounted here: the sandbox does that in the RUN's own mount namespace, which ends with the RUN.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

from builder.layer.view import MergedView
from builder.oci.digest import DiffID
from builder.sandbox.spec import OverlayRoot, Rootfs
from builder.snapshot.changes import Change, changed_entries
from builder.snapshot.snapshotter import ActiveSnapshot, Place, StackLayer
from builder.snapshot.unpacked import UnpackedLayers
from builder.snapshot.upper import UpperDirectory
from builder.store.os_errors import translated
from builder.store.trash import discard

_PRIVATE_MODE = 0o700
_ROOT_MODE = 0o755


class OverlaySnapshotter:
    """A Snapshotter for machines where overlayfs can be mounted on the store's file system."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._layers = UnpackedLayers(place)
        self._reusable: set[str] = set()
        self._lock = Lock()

    def prepare(self, layers: Sequence[StackLayer], view: MergedView) -> ActiveSnapshot:
        lower = self._layers.directories(layers)
        with translated("making room for a RUN step"):
            directory = self._place.temporary("run")
            os.mkdir(directory, _PRIVATE_MODE)
            make_upper(f"{directory}/fs", view, owners=self._place.ids == "exact")
            os.mkdir(f"{directory}/work", _PRIVATE_MODE)
        return ActiveSnapshot(
            rootfs=OverlayRoot(lower, f"{directory}/fs", f"{directory}/work"),
            directory=directory,
            chain=tuple(layer.diff_id for layer in layers),
            view=view,
        )

    def changes(self, active: ActiveSnapshot) -> Iterator[Change]:
        rootfs = active.rootfs
        if not isinstance(rootfs, OverlayRoot):
            raise AssertionError(rootfs)
        marks = self._place.user_namespace
        with UpperDirectory(rootfs.upper, rootfs.lower, active.view, user_namespace=marks) as source:
            yield from changed_entries(source, active.view, inherit_owners=self._place.ids == "ignore")
        # Only when the last change has been given out is upper what unpacking the layer would give (upper.py). Whoever
        # stops half-way, because of an error or a signal, never gets here.
        if source.reusable:
            with self._lock:
                self._reusable.add(active.directory)

    def commit(self, active: ActiveSnapshot, diff_id: DiffID) -> None:
        with self._lock:
            reusable = active.directory in self._reusable
            self._reusable.discard(active.directory)
        if not reusable:
            self.discard(active)  # the next step unpacks the layer from its tar
            return
        with translated("keeping what a RUN step made"):
            # Overlayfs left a directory of mode 0 in it, which no unpacked layer has.
            discard(f"{active.directory}/work", self._place.trash)
            self._layers.adopt(diff_id.encoded, active.directory)

    def discard(self, active: ActiveSnapshot) -> None:
        with translated("throwing away the tree of a RUN step"):
            discard(active.directory, self._place.trash)

    @contextmanager
    def open_stack(self, layers: Sequence[StackLayer], view: MergedView) -> Iterator[Rootfs]:
        lower = self._layers.directories(layers)
        with translated("making room for a mount"):
            directory = self._place.temporary("stack")
            os.mkdir(directory, _PRIVATE_MODE)
        try:
            yield OverlayRoot(lower, "", directory)
        finally:
            with translated("throwing away the tree of a mount"):
                discard(directory, self._place.trash)


def make_upper(path: str, view: MergedView, *, owners: bool) -> None:
    """Make an empty upper directory; overlayfs shows its own look as that of the root of the whole tree."""
    os.mkdir(path, _ROOT_MODE)
    seen = view.find("")
    if seen is None:
        os.chmod(path, _ROOT_MODE)  # mkdir goes by the umask
        return
    # Without root's rights there is one owner, ours, and the owners that layers name are read from the view alone.
    if owners:
        os.chown(path, seen.entry.uid, seen.entry.gid)
    os.chmod(path, seen.entry.mode)
