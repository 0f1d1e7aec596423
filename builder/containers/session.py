"""What works on one container has open: the store under a lease, views of layers, a worker or only its namespaces.

A build context has no part in it: a container stands on layers alone. Two ways in, both while there is one thread:

    open_worker     a sandbox, to run a command; which way of keeping trees works here is tried
    enter           only the namespaces of builds, to read and change files of all ids
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from builder.containers.mounted import can_mount_overlay, mounted_tree
from builder.errors import StoreError
from builder.layer.view import MergedView
from builder.sandbox.chroot.emulated_mounts import EmulatedMounts
from builder.sandbox.namespace import enter_build_namespace
from builder.snapshot.changes import Change
from builder.snapshot.snapshotter import Place, StackLayer, place_of
from builder.snapshot.writable import WritableLayers, writable_layers, writable_layers_of
from builder.solve.events import ignore_events
from builder.solve.results import Stack, stack_of
from builder.solve.views import Views
from builder.solve.worker import Worker
from builder.store.container_record import ContainerRecord
from builder.store.containers import Containers, HeldContainer
from builder.store.store import Notify, Store, open_store
from builder.store.trash import empty_trash_within
from builder.transport.resolver import Resolver

_TRASH_SECONDS = 0.5
"""What the end of a command may spend on deleting; the rest waits for the next one, or for prune."""


@dataclass(kw_only=True)
class ContainerSession:
    """Closed by `open_session`."""

    store: Store
    resolver: Resolver
    views: Views
    _stack: ExitStack
    _place: Place | None = None
    _stacks: dict[str, Stack] = field(default_factory=dict)

    def open_worker(self, isolation: str | None, *, needs_network: bool) -> Worker:
        """Open this machine's sandbox. Raises SandboxError."""
        worker = Worker(self.store, isolation)
        self._stack.callback(worker.close)
        worker.open(ignore_events, needs_network=needs_network)
        self._place = worker.opened.place
        return worker

    def enter(self) -> None:
        """Enter the namespaces that containers' files are to be seen in. Raises SandboxError."""
        if self._place is None:
            self._place = place_of(self.store, enter_build_namespace())

    @cached_property
    def containers(self) -> Containers:
        return Containers(self.store)

    @property
    def place(self) -> Place:
        assert self._place is not None, "entered before files are looked at"
        return self._place

    def stack(self, record: ContainerRecord) -> Stack:
        """Return the layers of a container's image. Raises StoreError, RegistryError."""
        digest = record.manifest.digest
        if digest not in self._stacks:
            self._stacks[digest] = stack_of(self.resolver.layers(digest))
        return self._stacks[digest]

    def view(self, record: ContainerRecord) -> MergedView:
        return self.views.view(self.stack(record))

    def layers(self, record: ContainerRecord) -> tuple[StackLayer, ...]:
        return tuple(StackLayer(*layer) for layer in self.views.layers(self.stack(record)))

    def writable(self, record: ContainerRecord) -> WritableLayers:
        """Return what reads the writable layer of a container that has one. Raises StoreError."""
        try:
            return writable_layers_of(record.form, self.place)
        except StoreError as error:
            raise StoreError(f"container {record.name}: {error.message}", hint=error.hint) from error

    def prepare_writable(self, container: HeldContainer, worker: Worker | None = None) -> WritableLayers:
        """Return what keeps a container's writable layer, made now if it has none. Raises StoreError, LayerError."""
        record = container.record
        if record.form:
            writable = self.writable(record)
            if worker is not None and not worker.opened.choice.overlay and record.form.startswith("overlay"):
                raise StoreError(
                    f"container {record.name} has its changes in an overlay, and isolation {worker.sandbox.name} "
                    "mounts none",
                    hint="Start it with the isolation that it was made with; 'pybuild commit' keeps its changes.",
                )
        else:
            overlay = _can_mount(self.place) if worker is None else worker.opened.choice.overlay
            writable = writable_layers(self.place, overlay=overlay)
        writable.make(container.directory, self.layers(record), self.view(record))
        if not record.form:
            container.put(form=writable.form)
        self.repair(container.directory)
        return writable

    def repair(self, directory: str) -> None:
        """Take out of a copied tree what a killed run in a chroot had lent to it."""
        if os.path.isdir(f"{directory}/fs.held"):
            EmulatedMounts(f"{directory}/fs").restore()

    def changes(self, record: ContainerRecord) -> Iterator[Change]:
        """Give what a container changed, in tree order; it may be running. Raises StoreError, LayerError."""
        if not record.form:
            return
        directory = self.containers.directory(record)
        if record.form.startswith("copy"):
            if self.containers.is_running(record):
                raise StoreError(
                    f"container {record.name} is running in a copied tree, which holds more than its changes now",
                    hint="Wait until it ends.",
                )
            self.repair(directory)
        writable = self.writable(record)
        yield from writable.changes(directory, self.layers(record), self.view(record))

    @contextmanager
    def tree(self, record: ContainerRecord, *, writes: bool = False) -> Iterator[str]:
        """Give the path at which a container's whole tree can be seen by this process and its children.

        With `writes` the container must be held. Raises StoreError, LayerError.
        """
        writable = self.writable(record)
        directory = self.containers.directory(record)
        with (
            writable.open(directory, self.layers(record)) as rootfs,
            mounted_tree(rootfs, self.store.temporary.path, self.place.user_namespace, writes=writes) as path,
        ):
            yield path


@contextmanager
def open_session(root: str, *, notify: Notify, large_layers: bool = False) -> Iterator[ContainerSession]:
    """Open the store at `root` for work on containers. Raises StoreError."""
    with ExitStack() as stack:
        store = stack.enter_context(open_store(root, large_layers=large_layers, notify=notify))
        stack.enter_context(store.lease())
        views = Views(store)
        stack.callback(views.close)
        session = ContainerSession(store=store, resolver=Resolver(store, notify=notify), views=views, _stack=stack)
        try:
            yield session
        finally:
            if session._place is not None:  # else nothing has left any trash
                empty_trash_within(store.trash, _TRASH_SECONDS)


def _can_mount(place: Place) -> bool:
    """Say whether an overlay can be mounted here, by mounting one."""
    paths = [place.temporary(name) for name in ("lower", "upper", "work", "merged")]
    return can_mount_overlay(*paths, user_namespace=place.user_namespace)
