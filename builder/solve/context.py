"""This machine's tools for one build: store, resolver, contexts, and, once something must run, a sandbox.

Opened in two steps. Making a SolveContext costs nothing and touches nothing: a fully cached build needs no more. `open`
enters the namespaces and starts the sandbox; it must be called while the process has one thread.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from builder.context.tree import EmptyTree, Tree, ViewTree
from builder.errors import PlanError
from builder.linux.cancel import Cancel
from builder.oci.run_options import NO_OPTIONS, RunOptions
from builder.plan.step import ContextSource, Op, RunOp, RunStep, Step, StepSource, does
from builder.solve.cache_key import KeyEnvironment
from builder.solve.copy.timestamps import open_remote
from builder.solve.events import EventSink, Warned
from builder.solve.results import Results
from builder.solve.worker import Worker, check_platform
from builder.store.store import Store
from builder.store.trash import empty_trash_within

if TYPE_CHECKING:
    from builder.cache.backend import CacheBackend
    from builder.plan.step import Network
    from builder.solve.copy.remote import RemoteSources
    from builder.solve.copy.selection import FindRemote
    from builder.solve.run.context import RunContext
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
    _run: RunContext | None = None
    _remote: RemoteSources | None = None
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
            from builder.solve.views import Views  # gate: must execute, or to copy from a stage

            self._views = Views(self.store)
        return self._views

    def warn(self, warning: Warned) -> None:
        """Give a warning once. A step whose record turns out not to hold is looked at twice, and would warn twice."""
        if warning not in self._warned:
            self._warned.add(warning)
            self.sink(warning)

    def open(self, missing: Iterable[Step[Op]]) -> None:
        """Get ready to execute `missing`. Raises SandboxError when nothing can execute a RUN among them, PlanError."""
        runs = [step for step in missing if does(step, RunOp)]
        for step in runs:
            if step.op.security == "insecure":
                self._check_entitlement("security.insecure", step)
            check_platform(step)
        if runs:
            self.worker.open(self.sink, needs_network=any(step.op.network == "default" for step in runs))
            self.worker.check(self.settings.run)
        for step in runs:
            # Where every RUN shares this machine's network, nothing more is given to one that asks for it.
            if step.op.network == "host" and not self.worker.sandbox.network.shared_reason:
                self._check_entitlement("network.host", step)

    def tree(self, source: ContextSource | StepSource) -> Tree:
        """Return what COPY reads from: a context, or the file system of a step that is solved."""
        if isinstance(source, ContextSource):
            return self.contexts.tree(source.name)
        stack = self.results.stack(source.step)
        return ViewTree(self.views.view(stack), self.now()) if stack.layers else EmptyTree(self.now())

    def find_remote(self) -> FindRemote:
        """Return how ADD fetches URLs and repositories."""
        if self._remote is None:
            self._remote = open_remote(self.store, self.settings.secrets, self.cancel.is_set)
        return self._remote.select

    def now(self) -> int:
        """Return the time for what has none of its own, as a directory that COPY makes; in seconds since 1970."""
        return self.epoch if self.epoch is not None else int(time.time())

    @property
    def run(self) -> RunContext:
        """What the RUN steps share."""
        if self._run is None:
            from builder.solve.run.context import RunContext  # gate: must execute, or to look at what mounts show

            self._run = RunContext(self)
        return self._run

    def close(self) -> None:
        if self._views is not None:
            self._views.close()
        if self.worker.is_open:
            empty_trash_within(self.store.trash, _TRASH_SECONDS)
        if self._remote is not None:
            self._remote.close()

    def _check_entitlement(self, wanted: str, step: RunStep) -> None:
        if wanted not in self.settings.allow:
            raise PlanError(
                f"granting entitlement {wanted} is not allowed by build request",
                step.label.location,
                hint=f"Give --allow {wanted} if you trust this Dockerfile.",
            )
