"""Where a store keeps snapshots, as this process stands to it: whose files are whose, and what kind of overlay."""

from __future__ import annotations

import os

from builder.sandbox.namespace import BuildNamespace, HostRoot, MappedRoot, NoNamespace, SingleIdRoot
from builder.snapshot.snapshotter import Ids, Place
from builder.store.store import Store


def place_of(store: Store, namespace: BuildNamespace) -> Place:
    """Return where and how `store` keeps snapshots."""
    ids: Ids = "exact"
    match namespace:
        case SingleIdRoot():
            ids = "ignore"
        case NoNamespace():
            ids = "exact" if os.geteuid() == 0 else "ignore"
        case HostRoot() | MappedRoot():
            pass
    return Place(
        snapshots=store.snapshots,
        trash=store.trash,
        temporary=store.temporary.path,
        ids=ids,
        pin=store.leases.pin,
        user_namespace=namespace.user_namespace,
    )
