"""Freeing one kind of thing, as the groups of docker do: images that nothing uses, or the build cache.

What RUN made belongs to subordinate ids of an ordinary user: this process moves into the namespace of builds, so it
must have one thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from builder.errors import PybuildError
from builder.image.removal import remove_image
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


def prune_images(root: str, *, named: bool = False, notify: Notify) -> PrunedImages:
    """Remove dangling images; with `named` all that no container stands on. What running builds use stays.

    Raises StoreError.
    """
    enter_for_files()
    with open_store(root, notify=notify) as store:
        before = _bytes_of_blobs(store)
        lines = list(_remove_unused(store)) if named else []
        freed = max(0, before - _bytes_of_blobs(store))
        report = prune.prune(store)
    lines += [f"deleted: {digest}" for digest in report.images]
    return PrunedImages(tuple(lines), freed + report.bytes)


def prune_cache(root: str, *, keep_bytes: int | None = None, notify: Notify) -> PrunedCache:
    """Remove the build cache, cache mounts too; with `keep_bytes` only the records unused for longest, until all fits.

    Images stay, dangling ones as well. Raises StoreError.
    """
    enter_for_files()
    everything = keep_bytes is None
    with open_store(root, notify=notify) as store:
        report = prune.prune(
            store,
            images=False,
            unused_for=0.0 if everything else None,
            keep_bytes=keep_bytes,
            cache_mounts=everything,
        )
    return PrunedCache(len(report.records), report.bytes)


def _remove_unused(store: Store) -> Iterator[str]:
    """Remove each name whose image no container stands on; give docker's lines."""
    in_use = {record.manifest.digest for record in Containers(store).walk()}
    for name, descriptor in store.names.items():
        if in_use.isdisjoint(reachable_from(store, [descriptor])):
            try:
                lines = remove_image(store, name)
            except PybuildError:
                continue  # a container was made of it meanwhile
            yield from (f"{line[0].lower()}{line[1:]}" for line in lines)


def _bytes_of_blobs(store: Store) -> int:
    return sum(size for _, size in store.blobs.walk())
