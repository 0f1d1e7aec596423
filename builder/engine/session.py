"""What one build has open: the store under a lease, the context, the resolver, this machine's worker.

Nothing here builds: planning.py makes the plan, solving.py the layers and the image, outputs.py what becomes of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.context.load import BuildContext, load_context
from builder.engine.alias_files import alias_files
from builder.engine.plan_cache import PlanCache
from builder.engine.request import BuildRequest
from builder.errors import SourceError
from builder.linux.cancel import Cancel
from builder.linux.single_id import one_id_only
from builder.oci.platform import Platform, host_platform, parse_platform
from builder.plan.plan import Plan
from builder.plan.predefined import KEEP_GIT_DIR, makes_index
from builder.solve import events
from builder.solve.copy.timestamps import SourceTimestamps
from builder.solve.worker import Worker
from builder.store.store import Store
from builder.transport.resolver import Resolver
from builder.truth import truth_of

if TYPE_CHECKING:
    from builder.engine.planning import Planning
    from builder.plan.epoch import EpochSource, Timestamps
    from builder.solve.pause import Attendant


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSession:
    """What one build has open; the stack that it was opened with closes it."""

    request: BuildRequest
    store: Store
    context: BuildContext
    resolver: Resolver
    plans: PlanCache
    platforms: tuple[Platform, ...]
    sink: events.EventSink
    stack: ExitStack
    worker: Worker
    cancel: Cancel
    """Set once the build is to end: whoever works looks at it."""
    timestamps: Timestamps
    """Gives the times that SOURCE_DATE_EPOCH can name."""
    attendant: Attendant | None = None

    @classmethod
    def open(
        cls,
        request: BuildRequest,
        store: Store,
        stack: ExitStack,
        sink: events.EventSink,
        attendant: Attendant | None = None,
    ) -> BuildSession:
        """Open everything else that a build needs; `stack` closes it. Raises PybuildError."""
        context = stack.enter_context(
            load_context(
                request.context,
                request.dockerfile,
                request.build_contexts,
                store,
                keep_git_dir=truth_of(request.build_args.get(KEEP_GIT_DIR, "")) is True,
                warn=lambda rule, text: sink(events.Warned(rule, text)),
            )
        )
        cancel = Cancel()
        resolver = Resolver(
            store,
            cancel=cancel,
            pull=request.pull,
            named=request.build_contexts,
            notify=lambda line: sink(events.Noted(line)),
            report=events.report_to(sink),
        )
        platforms = tuple(dict.fromkeys(parse_platform(text) for text in request.platforms)) or (host_platform(),)
        # One for all platforms: namespaces are entered once in a process, and cannot be left (docs/decisions/0003).
        failed_runs = None if attendant is None else attendant.failed_runs
        worker = Worker(store, request.isolation, one_id_only(), cancel, failed_runs)
        # Behind the context on the stack, and so closed before it: a step that still runs must not lose what it reads.
        stack.callback(worker.close)
        return cls(
            request=request,
            store=store,
            context=context,
            resolver=resolver,
            plans=PlanCache(store.documents, request, context),
            platforms=platforms,
            sink=sink,
            stack=stack,
            worker=worker,
            cancel=cancel,
            timestamps=SourceTimestamps(context, store, request.secrets),
            attendant=attendant,
        )

    @property
    def makes_index(self) -> bool:
        """Whether the result is an index. Raises UsageError."""
        return makes_index(self.request.build_args, len(self.platforms))

    @property
    def planning(self) -> Planning:
        """What has to parse the Dockerfile."""
        from builder.engine.planning import Planning  # gate: all cached. A plan that is kept needs no language

        return Planning(self)

    @contextmanager
    def quoting(self) -> Iterator[None]:
        """Give errors of the Dockerfile its text, so that the lines can be shown."""
        try:
            yield
        except SourceError as error:
            error.source = error.source or self.context.dockerfile.decode("utf-8", "replace")
            raise

    def plan(self, platform: Platform) -> Plan:
        """Return the plan for one platform, from the store when nothing that it was made from has changed.

        Raises PybuildError.
        """
        plan = self.plans.find(platform)
        # Tags move without a word of the Dockerfile, so a kept plan asks for its images' digests again.
        if plan is None or not self._holds(plan):
            plan = self.planning.new_plan(platform)
            self.plans.put(platform, plan)
        return plan

    def epoch(self, plan: Plan) -> int | None:
        """Return the time that clamps all others: of the command line, else the Dockerfile's (T-1 of BuildKit)."""
        wanted = self.request.timestamp if self.request.timestamp is not None else plan.epoch
        if wanted == "git":
            return self.context.commit_time()
        return int(wanted) if wanted else None

    def _holds(self, plan: Plan) -> bool:
        """Say whether the images' names, and the source of the epoch, still stand for the same."""
        if plan.epoch_source is not None and plan.epoch != self._epoch_of(plan.epoch_source):
            return False
        # What registries.conf says is in the key of a plan.
        if alias_files() and not all(self.resolver.still_means(name, meant) for name, meant in plan.short_names):
            return False
        return all(
            str(self.resolver.resolve(reference, parse_platform(wanted)).manifest_digest) == digest
            for reference, wanted, digest in plan.inputs
        )

    def _epoch_of(self, source: EpochSource) -> str:
        timestamp = self.timestamps.timestamp(source)
        return "" if timestamp is None else str(timestamp)
