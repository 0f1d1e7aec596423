"""What nobody needs, as a value: dangling images, stale cache records, unreachable blobs, leftovers. Nothing goes here.

store, policy ──▶ what_to_prune ──▶ PrunePlan ──▶ carry_out (prune.py)
"""

from __future__ import annotations

import math
import os
import stat
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from builder.oci.digest import DiffID, Digest
from builder.store.containers import Containers
from builder.store.incoming import find_abandoned
from builder.store.reachability import container_images, reachable_from
from builder.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunePolicy:
    """What to take beside unreachable blobs, unpacked layers of no blob, and leftovers, which always go."""

    images: bool = True
    """Dangling images."""
    unused_for: float | None = None
    """Seconds; cache records not used for so long. 0: all; None: none."""
    keep_bytes: int | None = None
    """The least recently used records, until all blobs together are no bigger than this."""
    kept_for: float = 0.0
    """Seconds; what was used since then stays, whatever has to fit."""
    cache_mounts: bool = False
    """Cache mounts, those not used for so long."""
    spared: frozenset[Digest] = frozenset()
    """Images (their manifests) and cache records (their keys) that stay whatever else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What would have gone, had running builds not used it."""

    images: int = 0
    records: int = 0
    blobs: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunePlan:
    """What is to go, in the order in which it is safe to take it away."""

    paths: tuple[str, ...]
    """Leftovers: files and trees of the store that are no blobs."""
    rubbish: tuple[Digest, ...]
    """Blobs that nothing leads to."""
    images: tuple[Digest, ...]
    blobs: tuple[Digest, ...]
    """Blobs that only these images and records lead to."""
    records: tuple[tuple[Digest, str], ...]
    """Keys of cache records, with their descriptions."""
    bytes: int
    """What all that takes on the disk."""
    left: Left

    @property
    def all_blobs(self) -> tuple[Digest, ...]:
        return tuple(sorted(self.rubbish + self.blobs))


def what_to_prune(store: Store, policy: PrunePolicy, used: frozenset[str] = frozenset()) -> PrunePlan:
    """Return what `policy` takes from a store; `used` is what running builds use (leases.py), and stays.

    Holds as long as no build looks for anything: under the gate of the leases, to be carried out. Raises StoreError.
    """
    contents = _Contents(store)
    nameless = store.names.dangling() if policy.images else []
    dangling = {entry.digest: None for entry in nameless if entry.digest not in policy.spared}
    wanted = contents.stale_records(policy, set(dangling))
    images = [digest for digest in dangling if digest not in used and digest not in contents.under_containers]
    records = [record for record in wanted if not contents.is_used(record, used)]
    needed = contents.needed_without(set(images), {key for key, _, _, _ in records})
    led_to = contents.needed_without(set(), set())
    unneeded = {digest: size for digest, size in contents.sizes.items() if digest not in needed}
    gone = [digest for digest in unneeded if digest not in used]
    kept = [size for digest, size in unneeded.items() if digest in used]
    paths = (*_leftovers(store, contents.layers, needed, used), *_stale_mounts(store, policy, used))
    return PrunePlan(
        paths=paths,
        rubbish=tuple(digest for digest in gone if digest not in led_to),
        images=tuple(images),
        blobs=tuple(digest for digest in gone if digest in led_to),
        records=tuple((key, description) for key, _, _, description in records),
        bytes=sum(unneeded[digest] for digest in gone) + sum(disk_usage(path) for path in paths),
        left=Left(
            images=sum(digest in used for digest in dangling),
            records=len(wanted) - len(records),
            blobs=len(kept),
            bytes=sum(kept),
        ),
    )


_Record = tuple[Digest, DiffID | None, int, str]
"""Key, diff ID of its layer, last use in seconds since 1970, description."""


class _Contents:
    """What a store holds, read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.sizes = dict(store.blobs.walk())
        self.layers = {record.diff_id: record.descriptor.digest for record in store.layers.walk()}
        self._records: list[_Record] = store.records.walk()  # oldest use first
        self.under_containers = reachable_from(store, container_images(store))
        """Blobs that containers lead to."""

    def is_used(self, record: _Record, used: frozenset[str]) -> bool:
        diff_id = record[1]
        return diff_id is not None and (diff_id in used or self.layers.get(diff_id) in used)

    def needed_without(self, images: set[Digest], records: set[Digest]) -> set[Digest]:
        """Return the blobs that names, containers and cache records lead to, but for these."""
        roots = [entry for entry in self._store.names.entries() if entry.digest not in images]
        return (
            self.under_containers
            | reachable_from(self._store, roots)
            | {blob for record in self._records if record[0] not in records and (blob := self._blob_of(record))}
        )

    def stale_records(self, policy: PrunePolicy, dangling: set[Digest]) -> list[_Record]:
        """Return the records that a policy takes: those unused for long, then as many as do not fit."""
        limit = -1.0 if policy.unused_for is None else time.time() - policy.unused_for
        stale = [record for record in self._records if record[2] <= limit and record[0] not in policy.spared]
        if policy.keep_bytes is None:
            return stale
        fresh = [record for record in self._records if record[2] > limit or record[0] in policy.spared]
        kept_since = time.time() - policy.kept_for if policy.kept_for else math.inf
        named = self.needed_without(dangling, {record[0] for record in self._records})
        holders = Counter(blob for record in fresh if (blob := self._blob_of(record)) and blob not in named)
        total = sum(self.sizes.get(digest, 0) for digest in {*named, *holders})
        for record in fresh:
            if total <= policy.keep_bytes:
                break
            if record[0] in policy.spared or record[2] > kept_since:
                continue
            stale.append(record)
            blob = self._blob_of(record)
            if blob is None or blob not in holders:
                continue
            holders[blob] -= 1
            if not holders[blob]:  # the last of those that share it
                total -= self.sizes.get(blob, 0)
        return stale

    def _blob_of(self, record: _Record) -> Digest | None:
        return None if record[1] is None else self.layers.get(record[1])


def _stale_mounts(store: Store, policy: PrunePolicy, used: frozenset[str]) -> Iterator[str]:
    """Yield the cache mounts that a policy takes."""
    if not policy.cache_mounts:
        return
    limit = time.time() - (policy.unused_for or 0.0)
    for path in _listing(store.mounts):
        if os.path.relpath(path, store.root) not in used and (not policy.unused_for or _last_use(path) <= limit):
            yield path


def _last_use(mount: str) -> float:
    """Return when a cache mount was last taken, in seconds since 1970: its locks have that time."""
    return max((os.lstat(path).st_mtime for path in _listing(mount)), default=0.0)


def _leftovers(store: Store, layers: dict[DiffID, Digest], needed: set[Digest], used: frozenset[str]) -> Iterator[str]:
    """Yield what belongs to no layer any more: indexes, unpacked layers, trash, damaged databases, unfinished
    containers and transfers.
    """
    known = {diff_id.encoded for diff_id, blob in layers.items() if blob in needed or blob in used}
    known |= {thing.partition(":")[2] for thing in used if ":" in thing}
    paths = [path for path in _listing(f"{store.indexes}/sha256") if os.path.basename(path) not in known]
    paths += [path for path in _listing(store.snapshots) if not _belongs(path, known)]
    paths += _listing(store.trash)
    paths += [path for path in _listing(store.root) if ".db.damaged" in os.path.basename(path)]
    paths += find_abandoned(store.root)
    paths += [f"{store.root}/containers/{identifier}" for identifier in Containers(store).unfinished()]
    return (path for path in paths if os.path.relpath(path, store.root) not in used)


def _belongs(path: str, known: set[str]) -> bool:
    """Say whether something below snapshots/ is of a known layer (`<hex of the diff ID>.<form>`), or of none."""
    name = os.path.basename(path)
    return name == "locks" or name.partition(".")[0] in known


def _listing(directory: str) -> Sequence[str]:
    try:
        return [f"{directory}/{name}" for name in sorted(os.listdir(directory))]
    except FileNotFoundError:
        return []


def disk_usage(path: str, seen: set[tuple[int, int]] | None = None) -> int:
    """Return the bytes that a file or tree takes on the disk, as far as it can be looked at.

    A file under several names counts once: device and inode of those met are kept in `seen`.
    """
    total = 0
    stack = [path]
    seen = set() if seen is None else seen
    while stack:
        current = stack.pop()
        try:
            status = os.lstat(current)
            is_directory = stat.S_ISDIR(status.st_mode)
            if status.st_nlink > 1 and not is_directory:
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * 512  # stat(2): in units of 512 bytes, whatever the file system
            if is_directory:
                stack.extend(_listing(current))
        except OSError:
            continue
    return total
