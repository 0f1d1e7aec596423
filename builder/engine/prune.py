"""The verbs that free the disk: prune what nothing needs of a store, or delete all of it.

What RUN made belongs to subordinate ids of an ordinary user, and only in the namespace of builds is it theirs to
delete: both verbs move this process there, so it must have one thread.
"""

from __future__ import annotations

from typing import NamedTuple

from builder.engine.build_record import record_of
from builder.engine.prune_kinds import spared_images
from builder.image.prune_filter import EVERYTHING, PruneFilter
from builder.oci.digest import Digest
from builder.sandbox.namespace import enter_for_files
from builder.store import prune
from builder.store.prune_plan import Left
from builder.store.store import Notify, Store, open_store

_TURN_SECONDS = 10.0
"""How long a prune waits for its turn: another one has soon ended."""


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
    listed: tuple[str, ...]
    """A line for each image and each cache record."""


def prune_store(
    root: str,
    *,
    everything: bool = False,
    keep_bytes: int | None = None,
    keep_last: int = 0,
    allowed: PruneFilter = EVERYTHING,
    dry_run: bool = False,
    wait: bool = False,
    notify: Notify,
) -> Pruned:
    """Remove dangling images, leftovers, and what no image and no cache record needs.

    `everything` takes the cache and the cache mounts too, `keep_bytes` the longest unused records until all blobs fit.
    Neither takes the `keep_last` images that were made last, nor the cache of their builds, nor what `allowed` does not
    let go. `wait` lets running builds end first. Raises StoreError.
    """
    takes_cache = everything and allowed.takes_cache
    enter_for_files()
    with open_store(root, notify=notify) as store:
        if wait:
            store.leases.wait()
        report = prune.prune(
            store,
            unused_for=allowed.unused_for() if takes_cache else None,
            keep_bytes=keep_bytes,
            kept_for=allowed.unused_for(),
            cache_mounts=takes_cache,
            spare=lambda: _made_last(store, keep_last) | spared_images(store, allowed),
            dry_run=dry_run,
            wait_seconds=_TURN_SECONDS,
        )
    return Pruned(
        images=len(report.images),
        records=len(report.records),
        blobs=len(report.blobs),
        bytes=report.bytes,
        builds=report.builds,
        left=report.left,
        listed=(*(f"image {digest}" for digest in report.images), *(_step_line(text) for text in report.records)),
    )


def _step_line(description: str) -> str:
    """Say which step a cache record is of: context, Dockerfile, platform, stage and number (builder.solve.making)."""
    return "cache " + " ".join(description.split("\0")[-4:])


def _made_last(store: Store, count: int) -> frozenset[Digest]:
    """Return the `count` images that were made last, named or not, and the keys of the steps of their builds.

    What was pulled is not counted: a base comes with each build. Entries of index.json stand in the order in which
    images came or got a name, which no clock and no SOURCE_DATE_EPOCH changes.
    """
    made = [entry.digest for entry in reversed(store.names.entries()) if store.origins.find(entry.digest) is None]
    spared = list(dict.fromkeys(made))[:count]
    records = [record for digest in spared if (record := record_of(store, digest)) is not None]
    keys = {step.key for record in records for image in record.images for step in image.steps if step.key}
    return frozenset(spared) | {Digest(key) for key in keys}


def delete_store(root: str, *, notify: Notify) -> str:
    """Delete the store with all it holds; return its absolute path. Raises StoreError when a build uses it."""
    enter_for_files()
    with open_store(root, create=False, notify=notify) as store:
        prune.remove_store(store)
    return store.root
