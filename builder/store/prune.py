"""Taking out what nobody needs: dangling images, stale cache records, unreachable blobs, leftovers.

Works beside running builds: what they use is written in their leases (leases.py), and stays. Two steps, under the gate
that keeps builds from looking for anything meanwhile: `what_to_prune` (prune_plan.py) reads, `carry_out` takes away.
Order matters: what nothing leads to goes first, since that needs no room, then names, then what they led to; so a kill
in between leaves rubbish but never a broken reference. Rows go last: one without its files is as good as none.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from builder.errors import StoreError
from builder.oci.digest import Digest
from builder.store.incoming import remove_part
from builder.store.os_errors import translated
from builder.store.prune_plan import Left, PrunePlan, PrunePolicy, what_to_prune
from builder.store.reachability import needed_blobs
from builder.store.store import Store
from builder.store.trash import discard, empty_trash, has_mounts, remove_tree

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


def prune(
    store: Store,
    *,
    images: bool = True,
    unused_for: float | None = None,
    keep_bytes: int | None = None,
    kept_for: float = 0.0,
    cache_mounts: bool = False,
    spare: Callable[[], frozenset[Digest]] = frozenset,
    dry_run: bool = False,
    wait_seconds: float = 0.0,
) -> PruneReport:
    """Remove what a policy of these (PrunePolicy) takes; with `dry_run` only say what. What running builds use stays.

    `spare` is asked for what the policy spares when no build can add to it any more. Raises StoreError when somebody
    holds the whole store for longer than `wait_seconds`, or the disk says no.
    """
    if not dry_run:
        store.require_writable("pruning the store")
    with store.leases.alone(wait_seconds) as used:
        policy = PrunePolicy(
            images=images,
            unused_for=unused_for,
            keep_bytes=keep_bytes,
            kept_for=kept_for,
            cache_mounts=cache_mounts,
            spared=spare(),
        )
        plan = what_to_prune(store, policy, used)
        builds = store.leases.running()
        if not dry_run:
            carry_out(store, plan)
    if not dry_run:
        empty_trash(store.trash)
        _forget_old(store)
    return PruneReport(
        images=plan.images,
        records=tuple(description for _, description in plan.records),
        blobs=plan.all_blobs,
        bytes=plan.bytes,
        builds=builds,
        left=plan.left,
    )


def carry_out(store: Store, plan: PrunePlan) -> None:
    """Take away what a plan names, under the gate that it was made under. Raises StoreError."""
    with translated("pruning the store"):
        for path in plan.paths:
            _throw_away(path, store.trash)
    _delete_blobs(store, plan.rubbish)
    store.names.forget(plan.images)
    _delete_blobs(store, plan.blobs)
    store.database.close()  # there may be room to write to it now
    if plan.records:
        store.records.delete(key for key, _ in plan.records)
        store.facts.delete(key for key, _ in plan.records)
    _forget_layers(store, plan.all_blobs)
    store.temporary.sweep()
    store.reserve.fill()


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


def _throw_away(path: str, trash: str) -> None:
    """Move a tree aside, to be deleted when builds may look for things again; a file goes at once."""
    if remove_part(path):
        return
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


def _delete_blobs(store: Store, blobs: Iterable[Digest]) -> None:
    for digest in blobs:
        store.blobs.delete(digest)


def _forget_layers(store: Store, blobs: Iterable[Digest]) -> None:
    rows = [(digest,) for digest in blobs]
    if rows:
        store.database.change(lambda connection: connection.executemany("DELETE FROM layer WHERE digest = ?", rows))
        store.database.change(lambda connection: connection.executemany("DELETE FROM origin WHERE manifest = ?", rows))


def _forget_old(store: Store) -> None:
    timestamp = int(time.time()) - PLAN_SECONDS
    store.documents.delete_before(timestamp)
    store.stat_cache.delete_unused(timestamp)
    store.known_files.keep_only(store.blobs.stamps())
