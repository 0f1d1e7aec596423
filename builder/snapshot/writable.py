"""Writable layers that outlive the process that writes to them: those of containers.

    DIRECTORY/fs      overlay: the upper directory        copied: the layers in one tree, and what was done to it since
    DIRECTORY/scan                                                what the tree looked like at first (scan.py)

As in snapshotter.py there are two ways, and the same code finds what changed (changes.py); but here nothing is
consumed by looking: a container goes on after its changes were shown or committed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

from builder.errors import StoreError
from builder.layer.view import MergedView
from builder.sandbox.spec import DirectoryRoot, OverlayRoot, Rootfs
from builder.snapshot.changes import Change, changed_entries
from builder.snapshot.copying import apply_layers
from builder.snapshot.overlay import make_upper
from builder.snapshot.scan import ScannedTree, write_scan
from builder.snapshot.snapshotter import Place, StackLayer
from builder.snapshot.unpacked import UnpackedLayers
from builder.snapshot.upper import UpperDirectory
from builder.store.os_errors import translated
from builder.store.trash import discard

_PRIVATE_MODE = 0o700
_ROOT_MODE = 0o755
_OVERLAY = "overlay"
_COPY = "copy"


class WritableLayers(Protocol):
    """One way of keeping writable layers; `layers`, base first, and `view` are of what lies below."""

    form: str
    """Whatever has written a layer must be had again to read it."""

    def make(self, directory: str, layers: Sequence[StackLayer], view: MergedView) -> None:
        """Make an empty one in `directory`, unless one is there. Raises LayerError, StoreError."""
        ...

    @contextmanager
    def open(self, directory: str, layers: Sequence[StackLayer]) -> Iterator[Rootfs]:
        """Give the tree to run in until the block ends; once at a time. Raises LayerError, StoreError."""
        ...

    def changes(self, directory: str, layers: Sequence[StackLayer], view: MergedView) -> Iterator[Change]:
        """Give what is in it, in tree order, as `Snapshotter.changes` does. Raises LayerError, StoreError."""
        ...


def writable_layers(place: Place, *, overlay: bool) -> WritableLayers:
    """Return how new writable layers are kept in `place`."""
    return _OverlayLayers(place) if overlay else _CopiedLayers(place)


def writable_layers_of(form: str, place: Place) -> WritableLayers:
    """Return what reads writable layers of this form. Raises StoreError when that cannot be had here."""
    known = writable_layers(place, overlay=form.startswith(_OVERLAY))
    if known.form != form:
        raise StoreError(
            f"its writable layer was kept as {form}, and here only {known.form} can be read",
            hint="Work on it as the user who made it, and with the same subordinate ids.",
        )
    return known


class _OverlayLayers:
    def __init__(self, place: Place) -> None:
        self._place = place
        self._unpacked = UnpackedLayers(place)
        self.form = f"{_OVERLAY}-{self._unpacked.form}"

    def make(self, directory: str, layers: Sequence[StackLayer], view: MergedView) -> None:
        upper = f"{directory}/fs"
        if os.path.isdir(upper):
            return
        with translated("making the writable layer of a container"):
            made = self._place.temporary("upper")
            make_upper(made, view, owners=self._place.ids == "exact")
            # Whole or not at all: what is there is taken for a writable layer, also after a kill.
            os.rename(made, upper)

    @contextmanager
    def open(self, directory: str, layers: Sequence[StackLayer]) -> Iterator[Rootfs]:
        lower = self._lower(layers)
        # New each time: overlayfs refuses a work directory that a "volatile" mount has used (overlayfs.rst).
        with translated("opening the writable layer of a container"):
            work = self._place.temporary("work")
            os.mkdir(work, _PRIVATE_MODE)
        try:
            yield OverlayRoot(lower, f"{directory}/fs", work)
        finally:
            with translated("leaving the writable layer of a container"):
                discard(work, self._place.trash)

    def changes(self, directory: str, layers: Sequence[StackLayer], view: MergedView) -> Iterator[Change]:
        lower, marks = self._lower(layers), self._place.user_namespace
        with UpperDirectory(f"{directory}/fs", lower, view, user_namespace=marks, settles=False) as source:
            yield from changed_entries(source, view, inherit_owners=self._place.ids == "ignore")

    def _lower(self, layers: Sequence[StackLayer]) -> tuple[str, ...]:
        return self._unpacked.directories(layers)


class _CopiedLayers:
    def __init__(self, place: Place) -> None:
        self._place = place
        self.form = f"{_COPY}-{place.ids}"

    def make(self, directory: str, layers: Sequence[StackLayer], view: MergedView) -> None:
        root = f"{directory}/fs"
        if os.path.isdir(root):
            return
        made = self._place.temporary("tree")
        try:
            with translated("making the writable layer of a container"):
                os.mkdir(made, _ROOT_MODE)
                os.chmod(made, _ROOT_MODE)  # mkdir goes by the umask
            apply_layers(made, layers, 0, self._place.ids)
            with translated("making the writable layer of a container"):
                # Kept as it is for the container's whole life: changes are those since the image, not
                # since the last start.
                write_scan(made, f"{directory}/scan")
                os.rename(made, root)  # last, since it says that all is there
        except BaseException:
            discard(made, self._place.trash)
            raise

    @contextmanager
    def open(self, directory: str, layers: Sequence[StackLayer]) -> Iterator[Rootfs]:
        yield DirectoryRoot(f"{directory}/fs")

    def changes(self, directory: str, layers: Sequence[StackLayer], view: MergedView) -> Iterator[Change]:
        after = self._place.temporary("scan")
        try:
            with (
                translated("comparing the tree of a container"),
                ScannedTree(f"{directory}/fs", f"{directory}/scan", after) as source,
            ):
                yield from changed_entries(source, view, inherit_owners=self._place.ids == "ignore")
        finally:
            with suppress(FileNotFoundError):  # a reader that failed may end this after the store is closed
                os.unlink(after)
