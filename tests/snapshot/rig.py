"""A place to try snapshotters in: a store's directories, layers written by our own writer, and overlay mounts."""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from builder.layer.index import open_index
from builder.layer.tar_writer import write_layer
from builder.layer.view import MergedView, ViewLayer
from builder.linux.mount import unmount
from builder.linux.overlay import mount_overlay
from builder.oci.digest import DiffID, digest_of
from builder.sandbox.spec import DirectoryRoot, OverlayRoot, Rootfs
from builder.snapshot.changes import Change
from builder.snapshot.snapshotter import Ids, Place, StackLayer
from tests.layer.archives import Member, Seen, layer, pack, seen_in_view
from tests.support.walk import walk_entries


class Rig:
    """Directories below `root`, and layers in `root`/layers."""

    def __init__(self, root: Path, *, ids: Ids = "exact", user_namespace: bool = False) -> None:
        self.root = root
        for name in ("layers", "snapshots", "trash", "tmp", "mnt"):
            (root / name).mkdir(parents=True, exist_ok=True)
        self._numbers = itertools.count()
        self.user_namespace = user_namespace
        self.place = Place(
            snapshots=str(root / "snapshots"),
            trash=str(root / "trash"),
            temporary=self.temporary,
            ids=ids,
            user_namespace=user_namespace,
        )

    def temporary(self, label: str) -> str:
        return str(self.root / "tmp" / f"{os.getpid()}-{next(self._numbers)}-{label}")

    def layer(self, members: Iterable[Member]) -> StackLayer:
        """A layer as another tool would have written it."""
        data = pack(members)
        return StackLayer(DiffID(digest_of(data)), layer(self.root / "layers", data))

    def write(self, changes: Iterable[Change]) -> StackLayer:
        """A layer of our own, from what a snapshotter gives."""
        parts: list[bytes] = []
        number = next(self._numbers)
        tar, index = self.root / "layers" / f"own-{number}.tar", self.root / "layers" / f"own-{number}.index"
        write_layer(changes, lambda data: parts.append(bytes(data)), str(index))
        data = b"".join(parts)
        tar.write_bytes(data)
        return StackLayer(DiffID(digest_of(data)), ViewLayer(open_index(str(index)), lambda: str(tar)))

    @contextmanager
    def mounted(self, rootfs: Rootfs) -> Iterator[str]:
        """The tree as the sandbox would show it."""
        match rootfs:
            case DirectoryRoot(path):
                yield path
            case OverlayRoot(lower, upper, work):
                target = self.temporary("mnt")
                empty = self._empty()
                os.mkdir(target)
                if upper:
                    work = f"{work}/{next(self._numbers)}"
                    os.mkdir(work)
                layers = lower if len(lower) > 1 else (*lower, empty, self._empty())  # one alone isn't an overlay
                descriptor = os.open(target, os.O_RDONLY)
                try:
                    mount_overlay(descriptor, layers, upper, work, user_namespace=self.user_namespace)
                finally:
                    os.close(descriptor)
                try:
                    yield target
                finally:
                    unmount(target)

    def _empty(self) -> str:
        path = self.temporary("empty")
        os.mkdir(path, 0o755)
        return path


def view_of(layers: Sequence[StackLayer]) -> MergedView:
    return MergedView([one.layer for one in layers])


def look_at(directory: str) -> dict[str, Seen]:
    """Everything in a directory but sockets, which no layer can hold."""
    found = {}
    for entry, status in walk_entries(directory, xattrs=True):
        if not stat.S_ISSOCK(status.st_mode):
            content = {"symlink": entry.link, "file": ""}.get(entry.kind, str(entry.device))
            if entry.kind == "file":
                content = hashlib.sha256(Path(directory, entry.path).read_bytes()).hexdigest()
            xattrs = tuple((name, value) for name, value in entry.xattrs if ".overlay." not in name)
            found[entry.path] = Seen(entry.kind, entry.mode, entry.uid, entry.gid, entry.mtime, content, xattrs)
    return found


def look_at_view(view: MergedView) -> dict[str, Seen]:
    """The same of a view."""
    return {path: one for path, one in seen_in_view(view).items() if path}
