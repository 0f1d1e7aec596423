"""One build's view of what it is solved with: store, cache, resolver, contexts, a worker, and the results so far.

Opened in two steps. Making a SolveContext costs nothing and touches nothing: a fully cached build needs no more. `open`
enters the namespaces and starts the sandbox; it must be called while the process has one thread.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from builder.errors import PlanError
from builder.oci.canonical import Document
from builder.plan.step import ContextSource, LayerStep, Op, RunOp, RunStep, Step, does, steps_read
from builder.solve.cache_key import KeyEnvironment
from builder.solve.events import Event, EventSink, Warned
from builder.solve.job import NO_SECRETS, RunSettings, StepJob, StepSecrets
from builder.solve.job_tools import JobTools
from builder.solve.results import Results, Stack
from builder.solve.worker import Worker, check_platform
from builder.store.store import Store

if TYPE_CHECKING:
    from builder.cache.backend import CacheBackend
    from builder.context.location import ContextLocation
    from builder.context.tree import Tree
    from builder.solve.pause import Attendant
    from builder.transport.resolver import Resolver


_BUILD_BYTES = 8
"""Of a name that no other build has."""


class Contexts(Protocol):
    """The build contexts, loaded when first used."""

    def tree(self, name: str) -> Tree:
        """Return a context by name; "" is the main one. Raises PybuildError."""
        ...

    def location(self, name: str) -> ContextLocation:
        """Return where that context lies, for a worker to open. Raises PybuildError."""
        ...


@dataclass(slots=True, kw_only=True)
class SolveContext:
    """What the steps of one plan share. Under `build_name` the next build of the same thing finds what this one did."""

    store: Store
    cache: CacheBackend
    resolver: Resolver
    contexts: Contexts
    settings: RunSettings
    secrets: StepSecrets = NO_SECRETS
    worker: Worker
    sink: EventSink
    build_name: str
    epoch: int | None = None
    """The time that no file of a layer may be younger than, in seconds since 1970."""
    attendant: Attendant | None = None
    """Who looks on, if anybody does."""
    results: Results = field(default_factory=Results)
    """The steps solved so far: what later ones stand on and read from."""
    # The builds of several platforms share one worker, which keeps what was opened for each under this name.
    _build: str = field(default_factory=lambda: os.urandom(_BUILD_BYTES).hex())
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
    def tools(self) -> JobTools:
        """What the jobs of this build share."""
        return self.worker.tools(self._build, self.secrets)

    def job(self, step: LayerStep, parent: Stack, definition: Document) -> StepJob:
        """Return the job of a step that sees `parent` below it; what it reads must be solved. Raises PybuildError."""
        names = dict.fromkeys(source.name for source, _ in step.op.reads() if isinstance(source, ContextSource))
        locations = {name: self.contexts.location(name) for name in names}
        for name, location in locations.items():
            # The worker would open the location itself, as it does for a job from another process. Here it takes what
            # is open: one scan of a directory, one stat cache.
            self.tools.adopt(location, self.contexts.tree(name))
        return StepJob(
            build=self._build,
            step=step,
            parent=parent,
            stacks={read: self.results.stack(read) for read in steps_read(step)},
            contexts=locations,
            settings=self.settings,
            epoch=self.epoch,
            made_at=self.epoch if self.epoch is not None else int(time.time()),
            definition=definition,
        )

    def warn(self, warning: Warned) -> None:
        """Give a warning once. A step whose record turns out not to hold is looked at twice, and would warn twice."""
        if warning not in self._warned:
            self._warned.add(warning)
            self.sink(warning)

    def tell(self, event: Event) -> None:
        """Be the sink of a job: warnings are said once."""
        if isinstance(event, Warned):
            self.warn(event)
        else:
            self.sink(event)

    def open(self, missing: Iterable[Step[Op]]) -> None:
        """Get ready to execute `missing`. Raises SandboxError when nothing can execute a RUN among them, PlanError."""
        runs = [step for step in missing if does(step, RunOp)]
        for step in runs:
            # Before the worker is opened: what is refused anyway enters no namespace.
            if step.op.security == "insecure":
                self._check_entitlement("security.insecure", step)
            check_platform(step)
        if runs:
            self.worker.open(self.sink, needs_network=any(step.op.network == "default" for step in runs))
            # A process is forked into groups for a trial: not once steps have threads.
            self.worker.check(self.settings.run)
        for step in runs:
            # Where every RUN shares this machine's network, nothing more is given to one that asks for it.
            if step.op.network == "host" and not self.worker.sandbox.network.shared_reason:
                self._check_entitlement("network.host", step)

    def close(self) -> None:
        self.worker.end(self._build)

    def _check_entitlement(self, wanted: str, step: RunStep) -> None:
        if wanted not in self.settings.allow:
            raise PlanError(
                f"granting entitlement {wanted} is not allowed by build request",
                step.label.location,
                hint=f"Give --allow {wanted} if you trust this Dockerfile.",
            )
