"""Which snapshotter can be used here, found by trying: a two-layer overlay is mounted in the store and written to.

The answer depends on the kernel, on what this process may do and on the store's file system (overlayfs refuses an upper
directory on overlayfs or NFS; tmpfs has no user.* attributes before Linux 6.6), so nothing but the attempt tells.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from builder.linux.mount import unmount
from builder.linux.overlay import mount_overlay
from builder.sandbox.namespace import BuildNamespace, HostRoot, MappedRoot, NoNamespace, SingleIdRoot
from builder.snapshot.copying import CopyingSnapshotter
from builder.snapshot.overlay import OverlaySnapshotter
from builder.snapshot.snapshotter import Ids, Place, Snapshotter
from builder.store.store import Store

_PRIVATE_MODE = 0o700


@dataclass(frozen=True, slots=True)
class Choice:
    """A snapshotter, and why this one: a line for `pybuild info`."""

    snapshotter: Snapshotter
    name: str
    reason: str


def choose_snapshotter(store: Store, namespace: BuildNamespace, *, refusal: str = "") -> Choice:
    """Return the best snapshotter for `store` as seen from `namespace`, which this process must have entered.

    `refusal` says why the sandbox that will be used can't mount; it is empty when it can. Raises StoreError.
    """
    place = place_of(store, namespace)
    if not refusal and isinstance(namespace, NoNamespace):
        refusal = f"nothing can be mounted: {namespace.reason}"
    refusal = refusal or why_not_overlay(place)
    if refusal:
        return Choice(CopyingSnapshotter(place), "copying", refusal)
    return Choice(OverlaySnapshotter(place), "overlay", "overlayfs can be mounted in the store")


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
        user_namespace=namespace.user_namespace,
    )


def why_not_overlay(place: Place) -> str:
    """Say why overlayfs can't be used; nothing when it can. Raises StoreError."""
    directory = place.temporary("detect")
    try:
        return _try_overlay(directory, place.user_namespace)
    except OSError as error:
        return f"overlayfs can't be used in the store: {error.strerror or error}"
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _try_overlay(directory: str, user_namespace: bool) -> str:
    for name in ("", "low", "low/old", "lower", "upper", "work", "merged"):
        os.mkdir(f"{directory}/{name}", _PRIVATE_MODE)
    target = os.open(f"{directory}/merged", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        mount_overlay(
            target, (f"{directory}/lower", f"{directory}/low"), f"{directory}/upper", f"{directory}/work",
            user_namespace=user_namespace,
        )  # fmt: skip
    finally:
        os.close(target)
    try:
        os.rmdir(f"{directory}/merged/old")  # leaves a deletion, which needs mknod
        os.mkdir(f"{directory}/merged/old")  # and a mark on the directory, which needs attributes
    finally:
        unmount(f"{directory}/merged")
    mark = "user.overlay.opaque" if user_namespace else "trusted.overlay.opaque"
    if mark not in os.listxattr(f"{directory}/upper/old"):
        return "the store's file system can't keep the attributes that overlayfs needs"
    return ""
