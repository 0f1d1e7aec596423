"""Taking out what nobody needs: dangling images, stale cache records, unreachable blobs, leftovers.

Needs the store for itself (no leases), since a build holds blobs that nothing names yet. Order matters: names and
records go first, then what they led to, so that a kill in between leaves rubbish but never a broken reference.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from builder.errors import StoreError
from builder.oci.digest import DiffID, Digest
from builder.store.faults import translated
from builder.store.mounted import has_mounts
from builder.store.reachability import needed_blobs, reachable_from
from builder.store.store import Store
from builder.store.trash import remove_tree

_DAY_SECONDS = 86_400
PLAN_SECONDS = 30 * _DAY_SECONDS
"""Plans and context stamps that old are dropped by any prune: they cost milliseconds to make again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    """What went, or with `dry_run` would go."""

    images: tuple[Digest, ...] = ()
    """Dangling images."""
    records: tuple[str, ...] = ()
    """Descriptions of cache records."""
    blobs: tuple[Digest, ...] = ()
    bytes: int = 0
    """Freed on the disk: blobs, unpacked layers, leftovers."""


def prune(
    store: Store,
    *,
    images: bool = True,
    unused_for: float | None = None,
    keep_bytes: int | None = None,
    cache_mounts: bool = False,
    dry_run: bool = False,
    wait_seconds: float = 0.0,
) -> PruneReport:
    """Remove dangling images (`images`), and cache records not used for `unused_for` seconds (0: all; None: none).

    `keep_bytes` goes on removing the least recently used records until all blobs together are no bigger. Unreachable
    blobs, unpacked layers of no blob, and leftovers always go. Raises StoreError when a build uses the store.
    """
    with store.exclusive(wait_seconds):
        dangling = list(store.names.dangling()) if images else []
        records = _stale_records(store, unused_for)
        if keep_bytes is not None:
            records = _beyond_size(store, records, keep_bytes, {entry.digest for entry in dangling})
        needed = _needed_without(store, {entry.digest for entry in dangling}, {key for key, _ in records})
        blobs = [(digest, size) for digest, size in store.blobs.walk() if digest not in needed]
        report = PruneReport(
            images=tuple(entry.digest for entry in dangling),
            records=tuple(description for _, description in records),
            blobs=tuple(digest for digest, _ in blobs),
            bytes=sum(size for _, size in blobs) + _leftovers(store, needed, cache_mounts, remove=False),
        )
        if not dry_run:
            store.names.forget(entry.digest for entry in dangling)
            if records:
                store.records.delete(key for key, _ in records)
            _delete_blobs(store, [digest for digest, _ in blobs])
            _leftovers(store, needed, cache_mounts, remove=True)
            _forget_old(store)
    return report


def remove_store(store: Store) -> None:
    """Delete the store with all it holds; it must not be used afterwards. Raises StoreError when a build uses it."""
    with store.exclusive():
        if has_mounts(store.root):
            raise StoreError(f"something is mounted below {store.root}", hint="Unmount it first.")
        if not remove_tree(store.root):
            raise StoreError(f"{store.root} cannot be deleted completely")


def delete_unreachable(store: Store, among: set[Digest]) -> list[Digest]:
    """Delete the blobs `among` these that no name or cache record leads to; the caller holds the store exclusively."""
    needed = needed_blobs(store)
    gone = [digest for digest, _ in store.blobs.walk() if digest in among and digest not in needed]
    _delete_blobs(store, gone)
    return gone


def _stale_records(store: Store, unused_for: float | None) -> list[tuple[Digest, str]]:
    if unused_for is None:
        return []
    limit = time.time() - unused_for
    return [(key, description) for key, _, used, description in store.records.walk() if used <= limit]


def _beyond_size(
    store: Store, stale: list[tuple[Digest, str]], keep_bytes: int, dangling: set[Digest]
) -> list[tuple[Digest, str]]:
    """Add records, least recently used first, until what is left fits in `keep_bytes`."""
    gone = dict(stale)
    sizes = dict(store.blobs.walk())
    uses = [(key, diff_id, description) for key, diff_id, _, description in store.records.walk()]
    named = _needed_without(store, dangling, {key for key, _, _ in uses})
    held: dict[DiffID, int] = {}
    for key, diff_id, _ in uses:
        if diff_id is not None and key not in gone:
            held[diff_id] = held.get(diff_id, 0) + 1
    stored = {record.diff_id: record.descriptor.digest for record in store.layers.walk()}
    total = sum(sizes.get(digest, 0) for digest in named)
    total += sum(sizes.get(stored[diff], 0) for diff in held if diff in stored and stored[diff] not in named)
    for key, diff_id, description in uses:
        if total <= keep_bytes:
            break
        if key in gone:
            continue
        gone[key] = description
        if diff_id is not None:
            held[diff_id] -= 1
            blob = stored.get(diff_id)
            if not held[diff_id] and blob is not None and blob not in named:
                total -= sizes.get(blob, 0)
    return list(gone.items())


def _needed_without(store: Store, images: set[Digest], records: set[Digest]) -> set[Digest]:
    roots = [entry for entry in store.names.entries() if entry.digest not in images]
    stored = {record.diff_id: record.descriptor.digest for record in store.layers.walk()}
    kept = {diff_id for key, diff_id, _, _ in store.records.walk() if diff_id is not None and key not in records}
    return reachable_from(store, roots) | {digest for diff_id, digest in stored.items() if diff_id in kept}


def _delete_blobs(store: Store, blobs: list[Digest]) -> None:
    if not blobs:
        return
    with store.database.write() as connection:
        for digest in blobs:  # rows first: a layer row without a blob is only a question, a blob without rows rubbish
            connection.execute("DELETE FROM layer WHERE digest = ?", (digest,))
            connection.execute("DELETE FROM origin WHERE manifest = ?", (digest,))
    for digest in blobs:
        store.blobs.delete(digest)


def _leftovers(store: Store, needed: set[Digest], cache_mounts: bool, *, remove: bool) -> int:
    """Measure or remove what belongs to no layer any more: indexes, unpacked layers, trash, perhaps cache mounts."""
    known = {record.diff_id.encoded for record in store.layers.walk() if record.descriptor.digest in needed}
    paths = [path for path in _listing(f"{store.indexes}/sha256") if os.path.basename(path) not in known]
    paths += [path for path in _listing(store.snapshots) if not _belongs(path, known)]
    paths += _listing(store.trash)
    if cache_mounts:
        paths += _listing(store.mounts)
    size = sum(_disk_usage(path) for path in paths)
    if remove:
        with translated("pruning the store"):
            for path in paths:
                if not (os.path.isdir(path) and has_mounts(path)):
                    remove_tree(path)
        store.temporary.sweep()
    return size


def _forget_old(store: Store) -> None:
    moment = int(time.time()) - PLAN_SECONDS
    store.plans.delete_before(moment)
    store.stat_cache.delete_unused(moment)


def _belongs(path: str, known: set[str]) -> bool:
    """Say whether something below snapshots/ is of a known layer (`<hex of the diff ID>.<form>`), or of none."""
    name = os.path.basename(path)
    return name == "locks" or name.partition(".")[0] in known


def _listing(directory: str) -> list[str]:
    try:
        return [f"{directory}/{name}" for name in sorted(os.listdir(directory))]
    except FileNotFoundError:
        return []


def _disk_usage(path: str) -> int:
    total = 0
    stack = [path]
    while stack:
        current = stack.pop()
        try:
            status = os.lstat(current)
            total += status.st_blocks * 512  # stat(2): in units of 512 bytes, whatever the file system
            if os.path.isdir(current) and not os.path.islink(current):
                stack.extend(_listing(current))
        except OSError:
            continue
    return total
