"""Taking out what nobody needs: dangling images, stale cache records, unreachable blobs, leftovers.

Works beside running builds: what they use is written in their leases (leases.py), and stays. Two steps, under the gate
that keeps builds from looking for anything meanwhile: `_decide` reads, `_carry_out` takes away. Order matters: what
nothing leads to goes first, since that needs no room, then names, then what they led to; so a kill in between leaves
rubbish but never a broken reference. Rows go last: one without its files is as good as none.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from builder.errors import StoreError
from builder.oci.descriptor import Descriptor
from builder.oci.digest import DiffID, Digest
from builder.store.mounted import has_mounts
from builder.store.os_errors import translated
from builder.store.reachability import needed_blobs, reachable_from
from builder.store.store import Store
from builder.store.trash import discard, empty_trash, remove_tree

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
    builds: int = 0
    """Builds that were running."""
    left: Left


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What would have gone, had running builds not used it."""

    images: int = 0
    records: int = 0
    blobs: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decision:
    """What is to go."""

    images: list[Digest]
    records: list[tuple[Digest, str]]
    rubbish: list[tuple[Digest, int]]
    """Blobs that nothing leads to."""
    blobs: list[tuple[Digest, int]]
    """Blobs that only these images and records lead to."""
    paths: list[str]
    left: Left

    @property
    def all_blobs(self) -> list[tuple[Digest, int]]:
        return sorted(self.rubbish + self.blobs)


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
    blobs, unpacked layers of no blob, and leftovers always go; what running builds use never does. Raises StoreError
    when somebody holds the whole store for longer than `wait_seconds`, or the disk says no.
    """
    if not dry_run:
        store.require_writable("pruning the store")
    with store.leases.alone(wait_seconds) as used:
        dangling = [entry for entry in store.names.dangling() if images]
        records = _stale_records(store, unused_for)
        if keep_bytes is not None:
            records = _beyond_size(store, records, keep_bytes, {entry.digest for entry in dangling})
        decision = _decide(store, dangling, records, used, cache_mounts)
        report = PruneReport(
            images=tuple(decision.images),
            records=tuple(description for _, description in decision.records),
            blobs=tuple(digest for digest, _ in decision.all_blobs),
            bytes=sum(size for _, size in decision.all_blobs) + sum(_disk_usage(path) for path in decision.paths),
            builds=store.leases.running(),
            left=decision.left,
        )
        if not dry_run:
            _carry_out(store, decision)
    if not dry_run:
        empty_trash(store.trash)
        _forget_old(store)
    return report


def remove_store(store: Store) -> None:
    """Delete the store with all it holds; it must not be used afterwards. Raises StoreError when a build uses it."""
    with store.exclusive():
        if has_mounts(store.root):
            raise StoreError(f"something is mounted below {store.root}", hint="Unmount it first.")
        if not remove_tree(store.root):
            raise StoreError(f"{store.root} cannot be deleted completely")


def remove_images(store: Store, images: Iterable[Digest], among: set[Digest]) -> list[Digest]:
    """Forget images under all their names, and delete the blobs `among` these that nothing else leads to; returns
    them. What running builds use stays, for prune to take. Raises StoreError.
    """
    with ExitStack() as stack:
        try:
            used = stack.enter_context(store.leases.alone())
        except StoreError:  # somebody holds everything: the blobs stay, and only the names go
            store.names.forget(images)
            return []
        store.names.forget(images)
        kept = needed_blobs(store) | used
        gone = [digest for digest, _ in store.blobs.walk() if digest in among and digest not in kept]
        _delete_blobs(store, gone)
        _forget_layers(store, gone)
        store.reserve.fill()
    return gone


def _decide(
    store: Store,
    dangling: list[Descriptor],
    records: list[tuple[Digest, str]],
    used: frozenset[str],
    cache_mounts: bool,
) -> _Decision:
    stored = {record.diff_id: record.descriptor.digest for record in store.layers.walk()}
    layers = {key: diff_id for key, diff_id, _, _ in store.records.walk()}
    images = [entry.digest for entry in dangling if entry.digest not in used]
    gone = [(key, text) for key, text in records if not _is_used(layers.get(key), stored, used)]
    needed = _needed_without(store, set(images), {key for key, _ in gone})
    led_to = _needed_without(store, set(), set())
    unneeded = [(digest, size) for digest, size in store.blobs.walk() if digest not in needed]
    free = [(digest, size) for digest, size in unneeded if digest not in used]
    kept = [size for digest, size in unneeded if digest in used]
    return _Decision(
        images=images,
        records=gone,
        rubbish=[blob for blob in free if blob[0] not in led_to],
        blobs=[blob for blob in free if blob[0] in led_to],
        paths=_leftovers(store, needed, used, cache_mounts),
        left=Left(
            images=len(dangling) - len(images), records=len(records) - len(gone), blobs=len(kept), bytes=sum(kept)
        ),
    )


def _is_used(diff_id: DiffID | None, stored: dict[DiffID, Digest], used: frozenset[str]) -> bool:
    return diff_id is not None and (diff_id in used or stored.get(diff_id) in used)


def _carry_out(store: Store, decision: _Decision) -> None:
    with translated("pruning the store"):
        for path in decision.paths:
            _throw_away(path, store.trash)
    _delete_blobs(store, [digest for digest, _ in decision.rubbish])
    store.names.forget(decision.images)
    _delete_blobs(store, [digest for digest, _ in decision.blobs])
    store.database.close()  # there may be room to write to it now
    if decision.records:
        store.records.delete(key for key, _ in decision.records)
        store.facts.delete(key for key, _ in decision.records)
    _forget_layers(store, [digest for digest, _ in decision.all_blobs])
    store.temporary.sweep()
    store.reserve.fill()


def _throw_away(path: str, trash: str) -> None:
    """Move a tree aside, to be deleted when builds may look for things again; a file goes at once."""
    if os.path.isdir(path) and not os.path.islink(path):
        if has_mounts(path):
            return
        if os.path.dirname(path) != trash:
            try:
                discard(path, trash)
                return
            except OSError:
                pass  # a full disk, which cannot hold even another name
    remove_tree(path)


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
    for digest in blobs:
        store.blobs.delete(digest)


def _forget_layers(store: Store, blobs: list[Digest]) -> None:
    rows = [(digest,) for digest in blobs]
    if rows:
        store.database.change(lambda connection: connection.executemany("DELETE FROM layer WHERE digest = ?", rows))
        store.database.change(lambda connection: connection.executemany("DELETE FROM origin WHERE manifest = ?", rows))


def _leftovers(store: Store, needed: set[Digest], used: frozenset[str], cache_mounts: bool) -> list[str]:
    """Return what belongs to no layer any more: indexes, unpacked layers, trash, damaged databases, perhaps caches."""
    known = {
        record.diff_id.encoded
        for record in store.layers.walk()
        if record.descriptor.digest in needed or record.descriptor.digest in used
    }
    known |= {thing.partition(":")[2] for thing in used if ":" in thing}
    paths = [path for path in _listing(f"{store.indexes}/sha256") if os.path.basename(path) not in known]
    paths += [path for path in _listing(store.snapshots) if not _belongs(path, known)]
    paths += _listing(store.trash)
    if cache_mounts:
        paths += _listing(store.mounts)
    paths += [path for path in _listing(store.root) if ".db.damaged" in os.path.basename(path)]
    return [path for path in paths if os.path.relpath(path, store.root) not in used]


def _forget_old(store: Store) -> None:
    timestamp = int(time.time()) - PLAN_SECONDS
    store.documents.delete_before(timestamp)
    store.stat_cache.delete_unused(timestamp)
    store.known_files.keep_only(store.blobs.stamps())


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
