"""One platform's image: plan, solve, assemble; and the index over those of several."""

from __future__ import annotations

from builder.engine.built_image import BuiltImage
from builder.engine.session import BuildSession
from builder.image.assemble import assemble
from builder.image.image import load_image
from builder.image.index import assemble_index
from builder.image.timestamp import format_timestamp
from builder.oci.annotations import INDEX_PLACES, MANIFEST_PLACES, select
from builder.oci.descriptor import Descriptor
from builder.oci.platform import Platform
from builder.plan.plan import Plan
from builder.plan.predefined import CACHE_MOUNT_NS
from builder.solve import events
from builder.solve.context import SolveContext
from builder.solve.job import RunSettings, StepSecrets
from builder.solve.reason.last_build import keys_by_place, last_key
from builder.solve.solver import solve


def build_platform(session: BuildSession, platform: Platform) -> BuiltImage:
    """Build for one platform. Raises PybuildError."""
    plan = session.plan(platform)
    sink = session.sink if len(session.platforms) == 1 else events.of_platform(session.sink, str(platform))
    for warning in plan.warnings:
        sink(events.Warned(warning.rule, warning.message, warning.location))
    context = solve_context(session, plan, platform, sink)
    # Asked before solving, which writes that document.
    first = session.store.documents.find(last_key(context.build_name)) is None
    sink(events.BuildStarted(len(plan.steps), plan.target, first))
    session.stack.callback(context.close)
    results = solve(plan, context, jobs=session.request.jobs)
    if platform == session.platforms[-1]:  # no RUN comes any more: the network goes while images are written
        session.worker.end_network()
    created = {step: format_timestamp(result.created) for step, result in results.steps.items() if result.created}
    layers = results.stack(plan.image.result).layers
    inside, outside = (select(session.request.annotations, place, platform) for place in MANIFEST_PLACES)
    descriptor = assemble(session.store, plan.image, layers, created, epoch=context.epoch, annotations=inside)
    descriptor = descriptor._replace(annotations=outside)
    last = (str(last_key(context.build_name)), keys_by_place(plan, results).decode("utf-8", "surrogatepass"))
    return BuiltImage(platform, plan, results, load_image(session.store.blobs, descriptor), last)


def write_index(session: BuildSession, images: tuple[BuiltImage, ...]) -> Descriptor:
    """Write the index of the images of several platforms to the store."""
    inside, outside = (select(session.request.annotations, place) for place in INDEX_PLACES)
    descriptor = assemble_index(session.store, [built.image.descriptor for built in images], inside)
    return descriptor._replace(annotations=outside)


def solve_context(session: BuildSession, plan: Plan, platform: Platform, sink: events.EventSink) -> SolveContext:
    """Return what solving `plan` needs; `sink` is told what is done."""
    request = session.request
    settings = RunSettings(
        network=request.network,
        run=request.run,
        hostname=plan.hostname,
        # Who asks for the host's network for all RUNs has allowed it; what the Dockerfile asks for needs --allow.
        allow=request.allow | ({"network.host"} if request.network == "host" else set()),
        cache_namespace=request.build_args.get(CACHE_MOUNT_NS, ""),
    )
    return SolveContext(
        store=session.store,
        cache=session.store.records,
        resolver=session.resolver,
        contexts=session.context,
        epoch=session.epoch(plan),
        settings=settings,
        secrets=StepSecrets(request.secrets, request.ssh),
        worker=session.worker,
        sink=sink,
        attendant=session.attendant,
        # Of its own for each platform: under one name, each would be compared with the other's last build.
        build_name=f"{session.context.identity}\0{platform}",
    )
