"""What lies on the disk of a store, read once: every thing, what it takes, and what leads to it.

In: a store. Out: values in bytes on the disk (st_blocks: sparse files are small, a file under several names counts
once). A layer may lie there in several forms: the blob that a manifest or cache record names, and working copies, which
can be made of it again: its plain tar, a compressed form that was made to leave, the tree that overlayfs mounts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from builder.errors import StoreError
from builder.oci.descriptor import Descriptor
from builder.oci.digest import DiffID, Digest
from builder.store.container_record import ContainerRecord
from builder.store.containers import Containers
from builder.store.prune_plan import disk_usage
from builder.store.reachability import reachable_from
from builder.store.store import Store

TREE, TAR, PACKED = "unpacked tree", "plain tar", "compressed"


class WorkingCopy(NamedTuple):
    """A further form of a layer. `form` is TREE, TAR or PACKED; `layer` is a diff ID, of a tree in hex alone."""

    layer: str
    form: str
    bytes: int
    lease: str
    """What a running build that uses it has in its lease."""


class CachedStep(NamedTuple):
    """A cache record. `used` is the last use in seconds since 1970, `blob` its layer as it lies here."""

    key: Digest
    diff_id: DiffID | None
    used: int
    description: str
    blob: Digest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskContents:
    """Everything of a store, in bytes on the disk."""

    blobs: Mapping[Digest, int]
    entries: tuple[Descriptor, ...]
    """Of index.json."""
    below: Mapping[Digest, frozenset[Digest]]
    """What each entry, and each container's manifest, leads to; itself included."""
    containers: tuple[tuple[ContainerRecord, int], ...]
    records: tuple[CachedStep, ...]
    layers: Mapping[DiffID, Digest]
    """The form of each layer that records stand for."""
    copies: tuple[WorkingCopy, ...]
    cache_mounts: Mapping[str, int]
    leftovers: int
    """Unfinished files and what waits for its removal; blobs that nothing leads to are among `blobs`."""
    bookkeeping: int
    """Databases, tables of contents, locks, the directories themselves."""
    used: frozenset[str]
    """What running builds use, as their leases have it."""
    builds: int

    @property
    def image_blobs(self) -> frozenset[Digest]:
        """Blobs of images that have a name, or are dangling, or have a container."""
        return frozenset(digest for below in self.below.values() for digest in below if digest in self.blobs)

    @property
    def container_blobs(self) -> frozenset[Digest]:
        """Blobs of images that a container stands on."""
        roots = [record.manifest.digest for record, _ in self.containers]
        return frozenset(digest for root in roots for digest in self.below[root] if digest in self.blobs)

    @property
    def cache_blobs(self) -> frozenset[Digest]:
        """Layers that cache records stand for."""
        return frozenset(record.blob for record in self.records if record.blob in self.blobs and record.blob)

    @property
    def copied_blobs(self) -> frozenset[str]:
        """Blobs that are working copies."""
        return frozenset(copy.lease for copy in self.copies if copy.form != TREE)

    @property
    def stray_blobs(self) -> frozenset[Digest]:
        """Blobs that nothing leads to, and of which nothing says that they are a layer."""
        return frozenset(self.blobs.keys() - self.image_blobs - self.cache_blobs - self.copied_blobs)

    def size(self, blobs: Iterable[Digest]) -> int:
        return sum(self.blobs.get(digest, 0) for digest in blobs)

    def is_used(self, copy: WorkingCopy) -> bool:
        return copy.lease in self.used


def read_contents(store: Store) -> DiskContents:
    """Look at everything. Files of RUN belong to others: be in the namespace of builds. Raises StoreError."""
    used: frozenset[str] = frozenset()
    with suppress(StoreError), store.leases.alone() as found:  # somebody holds everything: then all is in use
        used = found
    seen: set[tuple[int, int]] = set()
    blobs = {digest: disk_usage(store.blobs.path(digest), seen) for digest, _ in store.blobs.walk()}
    containers = Containers(store)
    held = [(containers.seen(record), disk_usage(containers.directory(record), seen)) for record in containers.walk()]
    entries = store.names.entries()
    roots = {entry.digest: entry for entry in (*entries, *(record.manifest for record, _ in held))}
    below = {digest: frozenset(reachable_from(store, [root])) for digest, root in roots.items()}
    layers = {record.diff_id: record.descriptor.digest for record in store.layers.walk()}
    records = tuple(
        CachedStep(key, diff_id, when, text, layers.get(diff_id) if diff_id else None)
        for key, diff_id, when, text in store.records.walk()
    )
    kept = {digest for known in below.values() for digest in known} | {record.blob for record in records}
    copies = [*_copied_blobs(store, blobs, kept), *_trees(store, seen)]
    mounts = {name: disk_usage(f"{store.mounts}/{name}", seen) for name in _names(store.mounts)}
    leftovers = [*_inside(f"{store.root}/tmp"), *_inside(store.trash)]
    leftovers += [f"{store.root}/containers/{name}" for name in containers.unfinished()]
    leftovers += [path for path in _inside(store.root) if ".db.damaged" in path]
    left = sum(disk_usage(path, seen) for path in leftovers)
    trees = sum(copy.bytes for copy in copies if copy.form == TREE)
    counted = sum(blobs.values()) + sum(size for _, size in held) + trees + sum(mounts.values()) + left
    return DiskContents(
        blobs=blobs,
        entries=entries,
        below=below,
        containers=tuple(held),
        records=records,
        layers=layers,
        copies=tuple(copies),
        cache_mounts=mounts,
        leftovers=left,
        bookkeeping=max(0, disk_usage(store.root) - counted),
        used=used,
        builds=store.leases.running(),
    )


def _copied_blobs(store: Store, blobs: Mapping[Digest, int], kept: set[Digest | None]) -> list[WorkingCopy]:
    plain = {str(record.diff_id) for record in store.layers.walk()}
    copies = []
    for digest, size in blobs.items():
        if digest in kept:
            continue
        if digest in plain:
            copies.append(WorkingCopy(digest, TAR, size, digest))
        elif diff_id := store.layers.find_diff_id(digest):
            copies.append(WorkingCopy(diff_id, PACKED, size, digest))
    return copies


def _trees(store: Store, seen: set[tuple[int, int]]) -> list[WorkingCopy]:
    names = [name for name in _names(store.snapshots) if name != "locks"]
    return [
        WorkingCopy(name.partition(".")[0], TREE, disk_usage(f"{store.snapshots}/{name}", seen), f"snapshots/{name}")
        for name in names
    ]


def _inside(directory: str) -> list[str]:
    return [f"{directory}/{name}" for name in _names(directory)]


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []
