"""The house on one page: a request in, an image out.

    Dockerfile ──parse──▶ AST ──plan──▶ steps ──solve──▶ layers ──assemble──▶ image ──write──▶ outputs

`build` is the whole walk; each verb lives in a room of its own. `forecast` stops before anything runs. A build that
changes nothing parses nothing either: plans are kept beside the cache, under the digest of what they were made from.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from builder import __version__
from builder.errors import PybuildError, ReferenceFormatError, SourceError, UsageError
from builder.oci import canonical
from builder.oci.digest import Digest, digest_of
from builder.oci.platform import Platform, host_platform, parse_platform
from builder.oci.reference import Reference, parse_reference
from builder.plan.plan import Plan
from builder.plan.serialise import plan_from_json, plan_to_json
from builder.request import BuildRequest, BuildResult, BuiltImage, ContainerRequest
from builder.solve import events
from builder.solve.cache_key import Circumstances
from builder.solve.solver import solve
from builder.solve.workshop import NoContexts, RunSettings, Workshop, one_id_only
from builder.store.store import Store, open_store

if TYPE_CHECKING:
    from builder.checking import CheckReport
    from builder.context.ignore import Rule
    from builder.context.load import BuildContext
    from builder.oci.descriptor import Descriptor
    from builder.solve.forecast import Forecast
    from builder.transport.resolver import Resolver

PLAN_FORMAT = 1
"""Raised when plans made from the same Dockerfile change."""


def build(request: BuildRequest, sink: events.EventSink = events.ignore_events) -> BuildResult:
    """Build what `request` asks for. Raises PybuildError; the store then holds what it held before, and more cache."""
    started = time.monotonic()
    names = tuple(_destination(tag) for tag in request.tags)
    with ExitStack() as stack:
        bench = _Bench.open(request, stack, sink)
        outputs = bench.parse_outputs()
        try:
            images = tuple(bench.build_platform(platform) for platform in bench.platforms)
        except SourceError as error:
            error.source = error.source or bench.context.dockerfile.decode("utf-8", "replace")
            raise
        descriptor = bench.publish(images, names)
        written = bench.write_outputs(outputs, descriptor, images, names)
        result = BuildResult(
            images=images,
            descriptor=descriptor,
            names=tuple(str(name) for name in names),
            outputs=written,
            seconds=time.monotonic() - started,
        )
        sink(events.ImageWritten(result.image_id, str(descriptor.digest), result.names))
        return result


def forecast(request: BuildRequest) -> tuple[Forecast, ...]:
    """Say for each step of a build whether the cache has it, without executing anything; one forecast a platform."""
    from builder.solve.forecast import forecast_plan

    with ExitStack() as stack:
        bench = _Bench.open(request, stack, events.ignore_events)
        result = []
        for platform in bench.platforms:
            plan = bench.plan(platform)
            result.append(forecast_plan(plan, bench.workshop(plan, platform)))
        return tuple(result)


def check(request: BuildRequest, *, advice: bool = False) -> CheckReport:
    """Check the Dockerfile of a build without building; `advice` adds the checks that are ours."""
    with ExitStack() as stack:
        return _Bench.open(request, stack, events.ignore_events).check(advice=advice)


def run_image(request: ContainerRequest, sink: events.EventSink = events.ignore_events) -> int:
    """Run a container from an image, pulling it when it isn't here; return the exit code of its process."""
    from builder.solve.container import run_container
    from builder.solve.solution import stack_of
    from builder.transport.resolver import Resolver

    with ExitStack() as stack:
        store = stack.enter_context(open_store(request.root))
        stack.enter_context(store.lease())
        resolver = Resolver(store)
        platform = parse_platform(request.platform) if request.platform else host_platform()
        image = resolver.resolve(_image_name(request.image), platform)
        layers = resolver.layers(image.manifest_digest)
        workshop = Workshop(
            store=store,
            resolver=resolver,
            contexts=NoContexts(),
            circumstances=Circumstances(),
            settings=RunSettings(isolation=request.isolation, network=request.network),
            sink=sink,
            build_name="",
        )
        stack.callback(workshop.close)
        return run_container(request, stack_of(layers), image.config.runtime, workshop)


@dataclass(slots=True, kw_only=True)
class _Bench:
    """What one build has open: the store under a lease, the context, the resolver."""

    request: BuildRequest
    store: Store
    context: BuildContext
    resolver: Resolver
    platforms: tuple[Platform, ...]
    sink: events.EventSink
    stack: ExitStack

    @classmethod
    def open(cls, request: BuildRequest, stack: ExitStack, sink: events.EventSink) -> _Bench:
        from builder.context.load import load_context
        from builder.transport.resolver import Resolver

        store = stack.enter_context(open_store(request.root))
        stack.enter_context(store.lease())
        context = stack.enter_context(load_context(request.context, request.dockerfile, request.build_contexts, store))
        resolver = Resolver(
            store,
            pull=request.pull,
            named=request.build_contexts,
            notify=lambda line: sink(events.Noted(line)),
        )
        platforms = tuple(dict.fromkeys(parse_platform(text) for text in request.platforms)) or (host_platform(),)
        return cls(
            request=request,
            store=store,
            context=context,
            resolver=resolver,
            platforms=platforms,
            sink=sink,
            stack=stack,
        )

    def build_platform(self, platform: Platform) -> BuiltImage:
        """Build for one platform: plan, solve, assemble."""
        from builder.image.assemble import assemble
        from builder.image.image import load_image
        from builder.image.moment import format_moment

        plan = self.plan(platform)
        for warning in plan.warnings:
            self.sink(events.Warned(warning))
        self.sink(events.BuildStarted(len(plan.steps), plan.target))
        workshop = self.workshop(plan, platform)
        self.stack.callback(workshop.close)
        solution = solve(plan, workshop, self.sink, jobs=self.request.jobs)
        created = {step: format_moment(solved.created) for step, solved in solution.steps.items() if solved.created}
        layers = solution.stack(plan.image.result).layers
        manifest = assemble(self.store, plan.image, layers, created, epoch=workshop.circumstances.epoch)
        image_id = load_image(self.store.blobs, manifest).id
        return BuiltImage(platform=platform, plan=plan, solution=solution, manifest=manifest, image_id=image_id)

    def plan(self, platform: Platform) -> Plan:
        """Return the plan for one platform, from the store when nothing it was made from has changed."""
        key = self._plan_key(platform)
        stored = self.store.plans.find(key)
        if stored is not None:
            plan = plan_from_json(stored)
            if all(
                str(self.resolver.resolve(reference, parse_platform(wanted)).manifest_digest) == digest
                for reference, wanted, digest in plan.inputs
            ):
                return plan
        plan = self._new_plan(platform)
        self.store.plans.put(key, plan_to_json(plan))
        return plan

    def _new_plan(self, platform: Platform) -> Plan:
        # Imported here: lark and the planner are not needed when the plan is in the store.
        from builder.checking import check_build
        from builder.dockerfile.parser import parse_dockerfile
        from builder.plan.planner import make_plan

        dockerfile = parse_dockerfile(self.context.dockerfile, self.context.dockerfile_name)
        plan = make_plan(dockerfile, self._plan_options(platform), self.resolver)
        found = check_build(dockerfile, plan, self.resolver, self.context, self.request.build_args)
        return replace(plan, warnings=found)

    def check(self, *, advice: bool) -> CheckReport:
        """Check the whole Dockerfile; what would keep it from being built is part of the report."""
        from builder.checking import CheckReport, check_all
        from builder.dockerfile.parser import parse_dockerfile
        from builder.plan.planner import make_plan

        text = self.context.dockerfile.decode("utf-8", "surrogateescape")
        name, error, plan = self.context.dockerfile_name, None, None
        try:
            dockerfile = parse_dockerfile(text, name)
        except SourceError as fault:
            return CheckReport(name, text, (), fault)
        try:
            plan = make_plan(dockerfile, self._plan_options(self.platforms[0]), self.resolver)
        except PybuildError as fault:
            error = fault
        findings = check_all(dockerfile, plan, self.resolver, self.context, self.request.build_args, advice=advice)
        return CheckReport(name, text, findings, error)

    def _plan_options(self, platform: Platform) -> Any:
        from builder.plan.options import PlanOptions

        request = self.request
        return PlanOptions(
            platform=platform,
            explicit_platform=bool(request.platforms),
            multi_platform=len(self.platforms) > 1,
            build_args=request.build_args,
            target=request.target,
            labels=request.labels,
            no_cache=request.no_cache,
            no_cache_filter=request.no_cache_filter,
            network=request.network,
            named_contexts=request.build_contexts,
        )

    def _plan_key(self, platform: Platform) -> Digest:
        request = self.request
        document = {
            "format": PLAN_FORMAT,
            "version": __version__,
            "dockerfile": str(digest_of(self.context.dockerfile)),
            "name": self.context.dockerfile_name,
            "platform": str(platform),
            "platforms": len(self.platforms),
            "explicit": bool(request.platforms),
            "build_args": dict(request.build_args),
            "target": request.target,
            "labels": dict(request.labels),
            "no_cache": request.no_cache,
            "no_cache_filter": list(request.no_cache_filter),
            "network": request.network,
            "contexts": dict(request.build_contexts),
            "ignore": [rule.text for rule in self._ignore_rules()],
        }
        return digest_of(canonical.encode(document))

    def _ignore_rules(self) -> tuple[Rule, ...]:
        ignore = getattr(self.context.tree(""), "ignore", None)
        return ignore.rules if ignore else ()

    def workshop(self, plan: Plan, platform: Platform) -> Workshop:
        """Return the tools for solving `plan`."""
        request = self.request
        circumstances = Circumstances(
            epoch=self._epoch(plan),
            single_id=one_id_only(),
            hostname=plan.hostname,
            hosts=tuple(name for name, _ in request.hosts),
            shm_size=request.shm_size,
            ulimits=request.ulimits,
        )
        settings = RunSettings(
            isolation=request.isolation,
            network=request.network,
            hosts=request.hosts,
            shm_size=request.shm_size,
            ulimits=request.ulimits,
            hostname=plan.hostname,
            secrets=request.secrets,
            ssh=request.ssh,
            allow=request.allow | ({"network.host"} if request.network == "host" else set()),
            cache_namespace=request.build_args.get("BUILDKIT_CACHE_MOUNT_NS", ""),
        )
        return Workshop(
            store=self.store,
            resolver=self.resolver,
            contexts=self.context,
            circumstances=circumstances,
            settings=settings,
            sink=self.sink,
            build_name=f"{self.context.identity}\0{platform}",
        )

    def _epoch(self, plan: Plan) -> int | None:
        """Return the time that clamps all others: of the command line, else the Dockerfile's (T-1 of BuildKit)."""
        wanted = self.request.timestamp if self.request.timestamp is not None else plan.epoch
        if wanted in {"git", "context"}:
            return self.context.commit_time()
        return int(wanted) if wanted else None

    def parse_outputs(self) -> tuple[Any, ...]:
        """Check the outputs before anything is built."""
        if not self.request.outputs:
            return ()
        from builder.transport.output import parse_output

        return tuple(parse_output(text) for text in self.request.outputs)

    def publish(self, images: tuple[BuiltImage, ...], names: tuple[Reference, ...]) -> Descriptor:
        """Give the image its names; without one it stays in the store unnamed."""
        from builder.image.multi import assemble_index

        descriptor = images[0].manifest
        if len(images) > 1:
            descriptor = assemble_index(self.store, [image.manifest for image in images])
        for name in names:
            self.store.names.set(str(name), descriptor)
        if not names:
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
        from builder.transport.output import write_output

        epoch = self._epoch(images[0].plan)
        return tuple(
            write_output(spec, self.store, descriptor, names=[str(name) for name in names], epoch=epoch)
            for spec in outputs
        )


def _image_name(text: str) -> str:
    try:
        return str(parse_reference(text))
    except ReferenceFormatError:
        return text  # an image ID


def _destination(tag: str) -> Reference:
    try:
        reference = parse_reference(tag)
    except ReferenceFormatError as error:
        raise UsageError(f"invalid tag {tag!r}: {error.message}", hint=error.hint) from error
    if reference.digest is not None:
        raise UsageError(f"--tag {tag!r} has a digest; a build makes the digest", hint="Write name:tag.")
    return reference
