"""Freeing one kind of thing, as the groups of docker do: images that nothing uses, or the build cache.

What RUN made belongs to subordinate ids of an ordinary user: this process moves into the namespace of builds, so it
must have one thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from builder.errors import PybuildError
from builder.image.listing import load_local
from builder.image.prune_filter import EVERYTHING, PruneFilter
from builder.image.removal import remove_image
from builder.image.timestamp import parse_timestamp
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest
from builder.sandbox.namespace import enter_for_files
from builder.store import prune
from builder.store.containers import Containers
from builder.store.reachability import reachable_from
from builder.store.store import Notify, Store, open_store


class PrunedImages(NamedTuple):
    """Images that went, in docker's words, and what that freed on the disk."""

    lines: tuple[str, ...]
    bytes: int


class PrunedCache(NamedTuple):
    """Cache records that went, and what that freed on the disk."""

    records: int
    bytes: int


def prune_images(root: str, *, named: bool = False, allowed: PruneFilter = EVERYTHING, notify: Notify) -> PrunedImages:
    """Remove dangling images; with `named` all that no container stands on. What running builds use stays.

    Only what `allowed` lets go does. Raises StoreError.
    """
    enter_for_files()
    with open_store(root, notify=notify) as store:
        before = _bytes_of_blobs(store)
        lines = list(_remove_unused(store, allowed)) if named else []
        freed = max(0, before - _bytes_of_blobs(store))
        report = prune.prune(store, spare=lambda: spared_images(store, allowed))
    lines += [f"deleted: {digest}" for digest in report.images]
    return PrunedImages(tuple(lines), freed + report.bytes)


def prune_cache(
    root: str, *, keep_bytes: int | None = None, allowed: PruneFilter = EVERYTHING, notify: Notify
) -> PrunedCache:
    """Remove the build cache, cache mounts too; with `keep_bytes` only the records unused for longest, until all fits.

    Images stay, dangling ones as well, and what was used since the time that `allowed` says. Raises StoreError.
    """
    enter_for_files()
    everything = keep_bytes is None
    with open_store(root, notify=notify) as store:
        report = prune.prune(
            store,
            images=False,
            unused_for=allowed.unused_for() if everything else None,
            keep_bytes=keep_bytes,
            kept_for=allowed.unused_for(),
            cache_mounts=everything,
        )
    return PrunedCache(len(report.records), report.bytes)


def spared_images(store: Store, allowed: PruneFilter) -> frozenset[Digest]:
    """Return the dangling images that a filter does not let go."""
    return frozenset(entry.digest for entry in store.names.dangling() if not _may_go(store, entry, allowed))


def _may_go(store: Store, image: Descriptor, allowed: PruneFilter) -> bool:
    if allowed == EVERYTHING:
        return True
    try:
        config = load_local(store, image).config
    except PybuildError:
        return False  # nobody knows when it was made
    return allowed.takes(parse_timestamp(config.created), config.runtime.labels)


def _remove_unused(store: Store, allowed: PruneFilter) -> Iterator[str]:
    """Remove each name whose image no container stands on; give docker's lines."""
    in_use = {record.manifest.digest for record in Containers(store).walk()}
    for name, descriptor in store.names.items():
        if in_use.isdisjoint(reachable_from(store, [descriptor])) and _may_go(store, descriptor, allowed):
            try:
                lines = remove_image(store, name)
            except PybuildError:
                continue  # a container was made of it meanwhile
            yield from (f"{line[0].lower()}{line[1:]}" for line in lines)


def _bytes_of_blobs(store: Store) -> int:
    return sum(size for _, size in store.blobs.walk())
