"""What one build has open (the store under a lease, the context, the resolver), and its verbs: plan, solve, publish."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from builder.engine.built_image import BuiltImage
from builder.engine.plan_cache import PlanCache
from builder.engine.request import BuildRequest
from builder.errors import PybuildError, SourceError
from builder.linux.single_id import one_id_only
from builder.oci.annotations import INDEX_PLACES, MANIFEST_PLACES, check_annotations, select
from builder.oci.platform import Platform, host_platform, parse_platform
from builder.oci.reference import Reference
from builder.plan.plan import Plan, Warning
from builder.plan.predefined import CACHE_MOUNT_NS, KEEP_GIT_DIR, makes_index, truth_of
from builder.solve import events
from builder.solve.context import RunSettings, SolveContext
from builder.solve.reason.last_build import keys_by_place, last_key
from builder.solve.solver import solve
from builder.solve.worker import Worker
from builder.store.store import Store

if TYPE_CHECKING:
    from builder.context.load import BuildContext
    from builder.dockerfile.instructions import Dockerfile
    from builder.engine.checks import CheckReport, Stages
    from builder.oci.descriptor import Descriptor
    from builder.plan.outline import Outline, Targets
    from builder.solve.copy.timestamps import SourceTimestamps
    from builder.transport.resolver import Resolver

_STEPS_APART = 1_000_000
"""What the step numbers of a build's second platform begin at, in its events; and so on."""


@dataclass(slots=True, kw_only=True)
class BuildSession:
    """What one build has open: the store under a lease, the context, the resolver."""

    request: BuildRequest
    store: Store
    context: BuildContext
    resolver: Resolver
    plans: PlanCache
    platforms: tuple[Platform, ...]
    sink: events.EventSink
    stack: ExitStack
    worker: Worker
    _timestamps: SourceTimestamps | None = None

    @classmethod
    def open(cls, request: BuildRequest, store: Store, stack: ExitStack, sink: events.EventSink) -> BuildSession:
        """Open everything else a build needs; `stack` closes it."""
        from builder.context.load import load_context
        from builder.transport.resolver import Resolver

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
        resolver = Resolver(
            store,
            pull=request.pull,
            named=request.build_contexts,
            notify=lambda line: sink(events.Noted(line)),
        )
        platforms = tuple(dict.fromkeys(parse_platform(text) for text in request.platforms)) or (host_platform(),)
        worker = Worker(store, request.isolation, one_id_only())
        stack.callback(worker.close)
        return cls(
            request=request,
            store=store,
            context=context,
            resolver=resolver,
            plans=PlanCache(store.plans, request, context),
            platforms=platforms,
            sink=sink,
            stack=stack,
            worker=worker,
        )

    @property
    def makes_index(self) -> bool:
        """Whether the result is an index. Raises UsageError."""
        return makes_index(self.request.build_args, len(self.platforms))

    @contextmanager
    def quoting(self) -> Iterator[None]:
        """Give errors of the Dockerfile its text, so that the lines can be shown."""
        try:
            yield
        except SourceError as error:
            error.source = error.source or self.context.dockerfile.decode("utf-8", "replace")
            raise

    def build_platform(self, platform: Platform) -> BuiltImage:
        """Build for one platform: plan, solve, assemble."""
        from builder.image.assemble import assemble
        from builder.image.image import load_image
        from builder.image.timestamp import format_timestamp

        plan = self.plan(platform)
        sink = events.numbered_from(self.sink, self.platforms.index(platform) * _STEPS_APART)
        for warning in plan.warnings:
            sink(events.Warned(warning.rule, warning.message, warning.location))
        solve_context = self.solve_context(plan, platform, sink)
        first = self.store.plans.find(last_key(solve_context.build_name)) is None
        sink(events.BuildStarted(len(plan.steps), plan.target, first))
        self.stack.callback(solve_context.close)
        results = solve(plan, solve_context, jobs=self.request.jobs)
        if platform == self.platforms[-1]:
            self.worker.end_network()
        created = {step: format_timestamp(solved.created) for step, solved in results.steps.items() if solved.created}
        layers = results.stack(plan.image.result).layers
        inside, outside = (select(self.request.annotations, place, platform) for place in MANIFEST_PLACES)
        descriptor = assemble(
            self.store, plan.image, layers, created, epoch=solve_context.epoch, annotations=inside
        )._replace(annotations=outside)
        if solve_context.warnings:
            plan = replace(plan, warnings=(*plan.warnings, *(Warning(*warning) for warning in solve_context.warnings)))
        last = (str(last_key(solve_context.build_name)), keys_by_place(plan, results).decode("utf-8", "surrogatepass"))
        return BuiltImage(platform, plan, results, load_image(self.store.blobs, descriptor), last)

    def plan(self, platform: Platform) -> Plan:
        """Return the plan for one platform, from the store when nothing it was made from has changed."""
        plan = self.plans.find(platform)
        if plan is None or not self._holds(plan):
            plan = self._new_plan(platform)
            self.plans.put(platform, plan)
        return plan

    @property
    def timestamps(self) -> SourceTimestamps:
        """What knows the times that SOURCE_DATE_EPOCH can name."""
        if self._timestamps is None:
            from builder.solve.copy.timestamps import SourceTimestamps

            self._timestamps = SourceTimestamps(self.context, self.store, self.request.secrets)
        return self._timestamps

    def _holds(self, plan: Plan) -> bool:
        """Say whether the images' names and the epoch still stand for what they did."""
        if plan.epoch_source is not None:
            timestamp = self.timestamps.timestamp(plan.epoch_source)
            if plan.epoch != ("" if timestamp is None else str(timestamp)):
                return False
        return all(
            str(self.resolver.resolve(reference, parse_platform(wanted)).manifest_digest) == digest
            for reference, wanted, digest in plan.inputs
        )

    def _new_plan(self, platform: Platform) -> Plan:
        # Imported here: lark and the planner are not needed when the plan is in the store.
        from builder.engine.checks import check_build
        from builder.plan.planner import make_plan

        dockerfile = self._read_dockerfile()
        plan = make_plan(dockerfile, self._plan_options(platform), self.resolver, self.timestamps)
        found = check_build(dockerfile, plan, self.resolver, self.context, self.request.build_args)
        return replace(plan, warnings=found)

    def check(self, *, advice: bool) -> CheckReport:
        """Check the whole Dockerfile; what would keep it from being built is part of the report."""
        from builder.engine.checks import CheckReport, check_all, check_broken, violation_of

        text = self.context.dockerfile.decode("utf-8", "surrogateescape")
        name = self.context.dockerfile_name
        build_args = self.request.build_args
        try:
            dockerfile = self._read_dockerfile()
        except SourceError as fault:
            return CheckReport(name, text, check_broken(text, fault, build_args), fault)
        stages, error = self._plan_all(dockerfile)
        only = bool(self.request.target and stages)
        try:
            findings = check_all(
                dockerfile, stages, self.resolver, self.context, build_args, advice=advice, only_these=only
            )
        except SourceError as fault:
            return CheckReport(name, text, (), fault)  # of the check directive itself
        return CheckReport(name, text, findings, error or violation_of(findings), is_whole=error is None)

    def _plan_all(self, dockerfile: Dockerfile) -> tuple[Stages, PybuildError | None]:
        """Plan the target, and without one the other stages too; return those whose images are known, and what is
        wrong first.
        """
        from builder.plan.planner import Planner

        try:
            planner = Planner(dockerfile, self._plan_options(self.platforms[0]), self.resolver, self.timestamps)
        except PybuildError as fault:
            return (), fault
        error: PybuildError | None = None
        for plan in (planner.plan, *([] if self.request.target else [planner.plan_rest])):
            try:
                plan()
            except PybuildError as fault:
                error = error or fault
        return planner.stages(), error

    def outline(self) -> Outline:
        """Return what the target uses. Raises PlanError."""
        from builder.plan.outline import make_outline

        return make_outline(self._read_dockerfile(), self._plan_options(self.platforms[0]), self.resolver)

    def targets(self) -> Targets:
        """Return the stages of the Dockerfile."""
        from builder.plan.outline import list_targets

        return list_targets(self._read_dockerfile())

    def _read_dockerfile(self) -> Dockerfile:
        from builder.dockerfile.parser import parse_dockerfile

        return parse_dockerfile(self.context.dockerfile, self.context.dockerfile_name)

    def _plan_options(self, platform: Platform) -> Any:
        from builder.plan.options import PlanOptions

        request = self.request
        return PlanOptions(
            platform=platform,
            explicit_platform=bool(request.platforms),
            multi_platform=self.makes_index,
            build_args=request.build_args,
            target=request.target,
            labels=request.labels,
            no_cache=request.no_cache,
            no_cache_filter=request.no_cache_filter,
            network=request.network,
            named_contexts=request.build_contexts,
        )

    def solve_context(self, plan: Plan, platform: Platform, sink: events.EventSink) -> SolveContext:
        """Return the tools for solving `plan`; `sink` is told what they do."""
        request = self.request
        settings = RunSettings(
            network=request.network,
            hosts=request.hosts,
            shm_size=request.shm_size,
            ulimits=request.ulimits,
            hostname=plan.hostname,
            secrets=request.secrets,
            ssh=request.ssh,
            allow=request.allow | ({"network.host"} if request.network == "host" else set()),
            cache_namespace=request.build_args.get(CACHE_MOUNT_NS, ""),
        )
        return SolveContext(
            store=self.store,
            resolver=self.resolver,
            contexts=self.context,
            epoch=self._epoch(plan),
            settings=settings,
            worker=self.worker,
            sink=sink,
            build_name=f"{self.context.identity}\0{platform}",
        )

    def _epoch(self, plan: Plan) -> int | None:
        """Return the time that clamps all others: of the command line, else the Dockerfile's (T-1 of BuildKit)."""
        wanted = self.request.timestamp if self.request.timestamp is not None else plan.epoch
        if wanted == "git":
            return self.context.commit_time()
        return int(wanted) if wanted else None

    def parse_outputs(self) -> tuple[Any, ...]:
        """Check the outputs and the annotations before anything is built. Raises UsageError."""
        check_annotations(self.request.annotations, self.platforms, makes_index=self.makes_index)
        if not self.request.outputs:
            return ()
        from builder.transport.output import parse_outputs

        return parse_outputs(self.request.outputs, self.platforms, makes_index=self.makes_index)

    def publish(self, images: tuple[BuiltImage, ...], names: tuple[Reference, ...]) -> Descriptor:
        """Give the image its names; without one it stays in the store unnamed."""
        from builder.image.multi import assemble_index

        descriptor = images[0].image.descriptor
        if self.makes_index:
            inside, outside = (select(self.request.annotations, place) for place in INDEX_PLACES)
            descriptor = assemble_index(self.store, [built.image.descriptor for built in images], inside)
            descriptor = descriptor._replace(annotations=outside)
        if names:
            self.store.names.set_all((name, descriptor) for name in names)
        else:
            self.store.names.add(descriptor)
        return descriptor

    def write_outputs(
        self,
        outputs: tuple[Any, ...],
        descriptor: Descriptor,
        images: tuple[BuiltImage, ...],
        names: tuple[Reference, ...],
    ) -> tuple[str, ...]:
        """Write the image to every place asked for; returns a line for each."""
        if not outputs:
            return ()
        from builder.transport.export import write_output

        epoch = self._epoch(images[0].plan)
        return tuple(
            write_output(spec, self.store, descriptor, names=[str(name) for name in names], epoch=epoch)
            for spec in outputs
        )
