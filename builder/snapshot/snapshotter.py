"""What every way of turning a stack of layers into a tree that a process can run in has in common.

    prepare(layers, view) → ActiveSnapshot  ──RUN──▶  changes(active) → layer tar  ──▶  commit(active, diff_id)
                                                                                   └─▶  discard(active)

Two ways: `overlay.py` mounts the layers on top of each other; `copying.py` puts them into one directory. Which one
serves here is found by a trial (builder/sandbox/choose.py).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from builder.layer.view import MergedView, ViewLayer
from builder.oci.digest import DiffID
from builder.sandbox.namespace import BuildNamespace, HostRoot, MappedRoot, NoNamespace, SingleIdRoot
from builder.sandbox.spec import OverlayRoot, Rootfs
from builder.snapshot.changes import Change
from builder.store.os_errors import translated
from builder.store.store import Store

Ids = Literal["exact", "ignore"]
"""Whether unpacked files get the owners that the layer names, or all belong to the one id there is."""


@dataclass(frozen=True, slots=True)
class StackLayer:
    """One layer of a stack: its identity, its table of contents and where its uncompressed tar is."""

    diff_id: DiffID
    layer: ViewLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where snapshots live. All four are on one file system; `temporary` gives a fresh path for a label."""

    snapshots: str
    trash: str
    temporary: Callable[[str], str]
    ids: Ids = "exact"
    pin: Callable[[str], None] = lambda path: None
    """Told which unpacked layer (`snapshots/<name>`) is used from now on, before it is looked for."""
    user_namespace: bool = False
    """We are root in a user namespace only: overlayfs keeps its marks in user.overlay.*."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveSnapshot:
    """A tree that a process may change; `directory` is what commit keeps and discard throws away."""

    rootfs: Rootfs
    directory: str
    chain: tuple[DiffID, ...]
    """The layers it started from, base first."""
    view: MergedView


class Snapshotter(Protocol):
    """May be used by several threads at once; an ActiveSnapshot belongs to one."""

    def prepare(self, layers: Sequence[StackLayer], view: MergedView) -> ActiveSnapshot:
        """Make a tree of `layers`, base first; `view` is of the same layers. Raises LayerError, StoreError."""
        ...

    def changes(self, active: ActiveSnapshot) -> Iterator[Change]:
        """Give what was changed since, in tree order; once, after every process in it has ended. Raises LayerError."""
        ...

    def commit(self, active: ActiveSnapshot, diff_id: DiffID) -> None:
        """Keep the tree as the unpacked form of the layer `diff_id` that `changes` made. Raises StoreError."""
        ...

    def discard(self, active: ActiveSnapshot) -> None:
        """Throw the tree away. Raises StoreError."""
        ...

    def open_stack(self, layers: Sequence[StackLayer], view: MergedView) -> AbstractContextManager[Rootfs]:
        """Give a tree of `layers` to read from (RUN --mount=from=…) until the block ends."""
        ...


def reopened(active: ActiveSnapshot) -> Rootfs:
    """Return the tree of a snapshot in which a process has run, for one more. Raises StoreError."""
    rootfs = active.rootfs
    if not isinstance(rootfs, OverlayRoot):
        return rootfs
    # overlayfs refuses a work directory that a "volatile" mount has used (overlayfs.rst).
    with translated("opening the tree of a RUN step again"):
        work = tempfile.mkdtemp(prefix="work-", dir=active.directory)
    return replace(rootfs, work=work)


def place_of(store: Store, namespace: BuildNamespace) -> Place:
    """Return where and how `store` keeps snapshots."""
    ids: Ids = "exact"
    match namespace:
        case SingleIdRoot():
            ids = "ignore"
        case NoNamespace():
            # An ordinary user can give no file away (man 2 chown).
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
