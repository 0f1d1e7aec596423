"""The verbs that free the disk: prune what nothing needs of a store, or delete all of it.

What RUN made belongs to subordinate ids of an ordinary user, and only in the namespace of builds is it theirs to
delete: both verbs move this process there, so it must have one thread.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from builder.sandbox.namespace import enter_build_namespace
from builder.store import prune
from builder.store.prune_plan import Left
from builder.store.store import Notify, open_store


class Pruned(NamedTuple):
    """How much went, or with `dry_run` would go."""

    images: int
    """Dangling images."""
    records: int
    """Cache records."""
    blobs: int
    bytes: int
    """Freed on the disk: blobs, unpacked layers, leftovers."""
    builds: int
    """Builds that were running."""
    left: Left
    """What would have gone, had running builds not used it."""


def prune_store(
    root: str,
    *,
    everything: bool = False,
    keep_bytes: int | None = None,
    dry_run: bool = False,
    wait: bool = False,
    notify: Notify,
) -> Pruned:
    """Remove dangling images, leftovers, and what no image and no cache record needs.

    `everything` takes the cache and the cache mounts too, `keep_bytes` the longest unused records until all blobs fit;
    `wait` lets running builds end first. Raises StoreError.
    """
    _enter_namespace()
    with open_store(root, notify=notify) as store:
        if wait:
            store.leases.wait()
        report = prune.prune(
            store,
            unused_for=0.0 if everything else None,
            keep_bytes=keep_bytes,
            cache_mounts=everything,
            dry_run=dry_run,
        )
    return Pruned(
        images=len(report.images),
        records=len(report.records),
        blobs=len(report.blobs),
        bytes=report.bytes,
        builds=report.builds,
        left=report.left,
    )


def delete_store(root: str, *, notify: Notify) -> str:
    """Delete the store with all it holds; return its absolute path. Raises StoreError when a build uses it."""
    _enter_namespace()
    with open_store(root, create=False, notify=notify) as store:
        prune.remove_store(store)
    return store.root


def _enter_namespace() -> None:
    # Root can delete what belongs to any id.
    if os.geteuid() != 0:
        enter_build_namespace()
