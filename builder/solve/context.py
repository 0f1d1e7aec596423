"""This machine's tools for one build: store, resolver, contexts, and, once something must run, a sandbox.

Opened in two steps. Making a SolveContext costs nothing and touches nothing: a fully cached build needs no more. `open`
enters the namespaces and starts the sandbox; it must be called while the process has one thread.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from builder.errors import PlanError
from builder.linux.cancel import Cancel
from builder.oci.run_options import NO_OPTIONS, RunOptions
from builder.plan.step import ContextSource, RunStep, Step, StepID, StepSource
from builder.solve.cache_key import KeyEnvironment
from builder.solve.events import EventSink, Warned
from builder.solve.results import Results
from builder.solve.worker import Worker, check_platform
from builder.store.store import Store

if TYPE_CHECKING:
    from builder.cache.backend import CacheBackend
    from builder.context.tree import Tree
    from builder.plan.step import Network
    from builder.snapshot.snapshotter import StackLayer
    from builder.solve.copy.remote import RemoteSources
    from builder.solve.copy.selection import FindRemote
    from builder.solve.run.execute import RunTools
    from builder.solve.run.mounts import MountSources, MountTrees
    from builder.solve.run.sightings import Sightings
    from builder.solve.views import Views
    from builder.transport.resolver import Resolver


_TRASH_SECONDS = 0.5
"""The time that the end of a build may spend on deleting; what is left waits for the next build, or for prune."""


class Contexts(Protocol):
    """The build contexts, loaded when first used."""

    def tree(self, name: str) -> Tree:
        """Return a context by name; "" is the main one. Raises PybuildError."""
        ...


class NoContexts:
    """The contexts of a command that is no build: there are none."""

    def tree(self, name: str) -> Tree:
        raise AssertionError("nothing here reads a build context")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """The options of the command line that hold for every RUN step."""

    network: Network = "default"
    run: RunOptions = NO_OPTIONS
    hostname: str = ""
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    ssh: Mapping[str, str] = field(default_factory=dict)
    allow: frozenset[str] = frozenset()
    cache_namespace: str = ""


@dataclass(slots=True, kw_only=True)
class SolveContext:
    """What the steps of one plan share. Under `build_name` the next build of the same thing finds what this one did."""

    store: Store
    cache: CacheBackend
    resolver: Resolver
    contexts: Contexts
    settings: RunSettings
    worker: Worker
    sink: EventSink
    build_name: str
    cancel: Cancel = field(default_factory=Cancel)
    """Set once anything has failed or the user has had enough: whoever works looks at it."""
    epoch: int | None = None
    """The time that no file of a layer may be younger than, in seconds since 1970."""
    results: Results = field(default_factory=Results)
    """The steps solved so far: what later ones stand on and read from."""
    _views: Views | None = None
    _sources: MountSources | None = None
    _remote: RemoteSources | None = None
    _sightings: Sightings | None = None
    _warned: set[Warned] = field(default_factory=set)

    @property
    def key_environment(self) -> KeyEnvironment:
        """What reaches layers without standing in the Dockerfile."""
        settings = self.settings
        return KeyEnvironment(
            epoch=self.epoch,
            single_id=self.worker.single_id,
            hostname=settings.hostname,
            run=settings.run,
        )

    @property
    def views(self) -> Views:
        if self._views is None:
            from builder.solve.views import Views  # layer rooms: not needed when all keys are known without them

            self._views = Views(self.store)
        return self._views

    def warn(self, warning: Warned) -> None:
        """Give a warning once. A step whose record turns out not to hold is looked at twice, and would warn twice."""
        if warning not in self._warned:
            self._warned.add(warning)
            self.sink(warning)

    def open(self, missing: Iterable[Step]) -> None:
        """Get ready to execute `missing`. Raises SandboxError when nothing can execute a RUN among them, PlanError."""
        runs = [step for step in missing if isinstance(step, RunStep)]
        for step in runs:
            if step.security == "insecure":
                self._check_entitlement("security.insecure", step)
            check_platform(step)
        if runs:
            self.worker.open(self.sink, needs_network=any(step.network == "default" for step in runs))
            self.worker.check(self.settings.run)
        for step in runs:
            # Where every RUN shares this machine's network, nothing more is given to one that asks for it.
            if step.network == "host" and not self.worker.sandbox.network.shared_reason:
                self._check_entitlement("network.host", step)

    def layers_of(self, step: StepID | None) -> tuple[StackLayer, ...]:
        """Return the layers of the file system after a step that is solved."""
        return self.views.stack_layers(self.results.stack(step))

    def tree(self, source: ContextSource | StepSource) -> Tree:
        """Return what COPY reads from: a context, or the file system of a step that is solved."""
        if isinstance(source, ContextSource):
            return self.contexts.tree(source.name)
        from builder.context.tree import EmptyTree, ViewTree

        stack = self.results.stack(source.step)
        return ViewTree(self.views.view(stack), self.now()) if stack.layers else EmptyTree(self.now())

    def find_remote(self) -> FindRemote:
        """Return how ADD fetches URLs and repositories."""
        from builder.solve.copy.remote import RemoteSources

        if self._remote is None:
            self._remote = RemoteSources(self.store, secrets=self.settings.secrets, cancelled=self.cancel.is_set)
        return self._remote.select

    def now(self) -> int:
        """Return the time for what has none of its own, as a directory that COPY makes; in seconds since 1970."""
        return self.epoch if self.epoch is not None else int(time.time())

    def run_tools(self) -> RunTools:
        """Return what RUN steps share."""
        from builder.sandbox.spec import DEFAULT_HOSTNAME
        from builder.solve.run.execute import RunTools

        # RUN --network=host gets here without --allow only where all RUNs share this machine's network (see `open`):
        # then it is given no more of it than they have.
        return RunTools(
            snapshotter=self.worker.snapshotter,
            sandbox=self.worker.sandbox,
            sources=self.mount_sources(),
            network=self.settings.network,
            host_network="host" if "network.host" in self.settings.allow else "shared",
            hostname=self.settings.hostname or DEFAULT_HOSTNAME,
            options=self.settings.run,
        )

    def mount_trees(self) -> MountTrees:
        """Return what bind mounts and seeds of caches are read from."""
        from builder.solve.run.mounts import MountTrees

        return MountTrees(self.contexts.tree, self.layers_of, self.sightings)

    @property
    def sightings(self) -> Sightings:
        if self._sightings is None:
            from builder.solve.run.sightings import Sightings  # for mounts of contexts alone

            self._sightings = Sightings()
        return self._sightings

    def mount_sources(self) -> MountSources:
        """Return what mounts are made from; the worker must be open."""
        if self._sources is None:
            from builder.solve.run.cache_mounts import CacheMounts
            from builder.solve.run.mounts import MountSources

            owners = not self.worker.single_id
            self._sources = MountSources(
                context=self.contexts.tree,
                layers=self.layers_of,
                snapshotter=self.worker.snapshotter,
                caches=CacheMounts(
                    self.store.mounts, self.store.trash, self.settings.cache_namespace, owners, self.store.leases.pin
                ),
                temporary=self.store.temporary.path,
                trash=self.store.trash,
                secrets=self.settings.secrets,
                ssh=self.settings.ssh,
                in_place=self.worker.sandbox.name != "chroot",
                owners=owners,
                sightings=self.sightings,
                cancel=self.cancel,
            )
        return self._sources

    def close(self) -> None:
        if self._views is not None:
            self._views.close()
        if self.worker.is_open:
            from builder.store.trash import empty_trash_within  # only a build that ran something leaves any

            empty_trash_within(self.store.trash, _TRASH_SECONDS)
        if self._remote is not None:
            self._remote.close()

    def _check_entitlement(self, wanted: str, step: RunStep) -> None:
        if wanted not in self.settings.allow:
            raise PlanError(
                f"granting entitlement {wanted} is not allowed by build request",
                step.location,
                hint=f"Give --allow {wanted} if you trust this Dockerfile.",
            )
