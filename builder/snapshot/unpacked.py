"""Layers unpacked in the form overlayfs wants, each once, for every image and process that uses this store.

    STORE/snapshots/<hex>.<form>/                  of the diff ID
        fs/     the layer: deletions are character devices 0:0, opaque directories are marked
        boot    the id of the boot it was written in
    STORE/snapshots/locks/<two hex digits>     flock(2): one process unpacks a layer, the others wait

A directory appears by rename(2), so it is whole or not there, after kill -9 too. Nothing is synced, since it can all be
made again: after a restart of the machine (another boot id), when the disk may have lost some of it, it is.

A layer that doesn't bring the directories its files are in (layers may) would give them the wrong owner and mode when
laid over others; one that has hard links to files of other layers can't be unpacked alone. Such a layer is unpacked
once for each stack below it, named by chain ID, and takes from there what it lacks.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from builder.errors import LayerError
from builder.layer.apply import apply_layer
from builder.layer.view import MergedView
from builder.oci.digest import chain_id_of
from builder.snapshot.snapshotter import Place, StackLayer
from builder.store.checked import open_checked
from builder.store.os_errors import translated
from builder.store.trash import discard

_PRIVATE_MODE = 0o700
_ROOT_MODE = 0o755


class UnpackedLayers:
    """The unpacked layers of one store."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.form = "root" if not place.user_namespace else ("user" if place.ids == "exact" else "single")
        """How layers are unpacked by who we are; part of their names."""
        self._known: set[str] = set()

    def directories(self, layers: Sequence[StackLayer]) -> tuple[str, ...]:
        """Return the `fs` directories of `layers`, topmost first. Raises LayerError, StoreError.

        overlayfs refuses a directory that it is given twice, and stacks do hold the same layer twice (two RUN steps
        that change nothing). The topmost decides alone: whatever a lower one has or hides, it has or hides again.
        """
        found = [self.directory(layers, position) for position in reversed(range(len(layers)))]
        return tuple(dict.fromkeys(found))

    def directory(self, layers: Sequence[StackLayer], position: int) -> str:
        """Return the `fs` directory of `layers[position]`, unpacking it if need be. Raises LayerError, StoreError."""
        alone = self._path(layers[position].diff_id.encoded)
        stands_alone = position == 0 or layers[position].layer.index.is_self_contained
        if stands_alone and self._is_whole(alone):
            return f"{alone}/fs"
        stacked = self._path(chain_id_of(layer.diff_id for layer in layers[: position + 1]).encoded)
        # Where the layer is there unpacked for this stack, it could not be unpacked alone: that is not tried again.
        if stands_alone and not self._is_whole(stacked):
            try:
                return self._ready(alone, layers, position, None)
            except LayerError:
                if position == 0:
                    raise
                # A hard link to a file of a layer below, perhaps; if not, the next attempt says the same.
        return self._ready(stacked, layers, position, MergedView([layer.layer for layer in layers[:position]]))

    def _ready(self, path: str, layers: Sequence[StackLayer], position: int, below: MergedView | None) -> str:
        if not self._is_whole(path):
            with self._locked(path):
                if not self._is_whole(path):  # asked again: another process may have held the lock to make it
                    self._unpack(layers[position], path, below)
        return f"{path}/fs"

    def adopt(self, layer: str, directory: str) -> None:
        """Make `directory`, with a finished `fs`, the unpacked form of the layer (hex of its diff ID)."""
        path = self._path(layer)
        with translated("keeping an unpacked layer"), self._locked(path):
            if self._is_whole(path):
                discard(directory, self._place.trash)
                return
            self._finish(directory, path)

    def _path(self, name: str) -> str:
        # Before anybody looks whether it is there: so prune has either read this, or is done (store/leases.py).
        self._place.pin(f"snapshots/{name}.{self.form}")
        return f"{self._place.snapshots}/{name}.{self.form}"

    def _is_whole(self, path: str) -> bool:
        if path in self._known:
            return True
        whole = is_of_this_boot(path)
        # Only a yes is kept: another process may finish it at any time.
        if whole:
            self._known.add(path)
        return whole

    @contextmanager
    def _locked(self, path: str) -> Iterator[None]:
        """Keep others from writing this layer. 256 locks serve all layers: nobody holds two of them."""
        locks = f"{self._place.snapshots}/locks"
        os.makedirs(locks, _PRIVATE_MODE, exist_ok=True)
        name = os.path.basename(path)[:2]
        descriptor = os.open(f"{locks}/{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _unpack(self, layer: StackLayer, path: str, below: MergedView | None) -> None:
        tar = layer.layer.tar_path()
        with translated("unpacking a layer"):
            directory = self._place.temporary("unpack")
            os.mkdir(directory, _PRIVATE_MODE)
            try:
                os.mkdir(f"{directory}/fs", _ROOT_MODE)
                with open_checked(tar, layer.diff_id) as stream:
                    apply_layer(
                        stream,
                        f"{directory}/fs",
                        overlay=True,
                        ids=self._place.ids,
                        userxattr=self._place.user_namespace,
                        below=below,
                    )
                self._finish(directory, path)
            except BaseException:
                discard(directory, self._place.trash)
                raise

    def _finish(self, directory: str, path: str) -> None:
        with open(f"{directory}/boot", "w", encoding="ascii") as file:
            file.write(_boot_id())
        discard(path, self._place.trash)  # from before the machine was started: rename(2) replaces no full directory
        os.rename(directory, path)
        self._known.add(path)


def is_of_this_boot(path: str) -> bool:
    """Say whether an unpacked layer was finished since the machine was started."""
    try:
        with open(f"{path}/boot", encoding="ascii") as file:
            return file.read() == _boot_id()
    except (OSError, UnicodeDecodeError):
        return False


@cache
def _boot_id() -> str:
    """Changes whenever the machine starts (man 5 proc, sys/kernel/random/boot_id); empty where that can't be read."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
