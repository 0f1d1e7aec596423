"""The house on one page: a request in, an image out.

    Dockerfile ──parse──▶ AST ──plan──▶ steps ──solve──▶ layers ──assemble──▶ image ──write──▶ outputs

`build` is the whole walk, session.py what its parts share. `dry_run` stops before anything runs, `check` before
anything is planned for good. Imports inside of functions are gates: what a build with a receipt, or without outputs,
does not need.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from builder.engine.build_record import BuildRecord, Recorder, keep_record
from builder.engine.receipt import look_up
from builder.engine.request import BuildRequest
from builder.engine.result import BuildResult
from builder.errors import PybuildError, ReferenceFormatError, StoreError, UsageError
from builder.oci.digest import Digest
from builder.oci.reference import Reference, parse_reference
from builder.solve import events
from builder.store.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.engine.built_image import BuiltImage
    from builder.engine.checks import CheckReport
    from builder.engine.receipt import Receipt
    from builder.engine.session import BuildSession
    from builder.oci.descriptor import Descriptor
    from builder.plan.outline import Outline, Targets
    from builder.solve.dry_run import DryRun
    from builder.store.store import Store
    from builder.transport.output import OutputSpec


def build(request: BuildRequest, sink: events.EventSink = events.ignore_events) -> BuildResult:
    """Build what `request` asks for.

    Raises PybuildError. The store then holds what it held before, and cache records of the steps that succeeded.
    """
    # Before anything is looked at: a receipt vouches for what had been left alone by then, and for nothing later.
    started, begun_ns = time.monotonic(), time.time_ns()
    names = tuple(_destination(tag) for tag in request.tags)
    with ExitStack() as stack:
        store = stack.enter_context(
            open_store(
                request.root,
                large_layers=request.large_layers,
                notify=lambda sentence: sink(events.Noted(sentence)),
            )
        )
        stack.enter_context(store.lease())
        asked = look_up(request, store)
        if asked is not None and asked.receipt is not None and asked.record is not None:
            return _repeat(asked.receipt, asked.record, store, names, sink, started)
        from builder.engine.session import BuildSession  # gate: a receipt spares all that a build needs
        from builder.engine.solving import build_platform
        from builder.oci.annotations import check_annotations

        recorder = Recorder(sink, begun_ns)
        session = BuildSession.open(request, store, stack, recorder)
        check_annotations(request.annotations, session.platforms, makes_index=session.makes_index)
        outputs: tuple[OutputSpec, ...] = ()
        if request.outputs:
            from builder.engine.outputs import check_outputs, write_outputs  # gate: transports

            outputs = check_outputs(session)
        with session.quoting():
            images = tuple(build_platform(session, platform) for platform in session.platforms)
        descriptor = _publish(session, images, names)
        written = write_outputs(session, outputs, descriptor, images, names) if outputs else ()
        result = BuildResult(
            images=tuple(image.report() for image in images),
            descriptor=descriptor,
            names=tuple(str(name) for name in names),
            outputs=written,
            seconds=time.monotonic() - started,
        )
        recorder(events.ImageWritten(result.image_id, str(descriptor.digest), result.names))
        record = keep_record(store, recorder.record(result, tuple((str(i.platform), i.plan) for i in images)))
        if asked is not None:
            from builder.engine.receipt_writer import write_receipt

            with suppress(PybuildError, OSError):  # it spares the next build something, and this one is done
                write_receipt(store, asked, request, images, descriptor, record, begun_ns)
        return result


def _publish(session: BuildSession, images: tuple[BuiltImage, ...], names: tuple[Reference, ...]) -> Descriptor:
    """Give the image, or the index of several, its names; without one it stays in the store unnamed."""
    descriptor = images[0].image.descriptor
    if session.makes_index:
        from builder.engine.outputs import write_index  # gate, as above

        descriptor = write_index(session, images)
    if names:
        session.store.names.set_all((name, descriptor) for name in names)
    else:
        session.store.names.add(descriptor)
    return descriptor


def _repeat(
    receipt: Receipt,
    record: BuildRecord,
    store: Store,
    names: tuple[Reference, ...],
    sink: events.EventSink,
    started: float,
) -> BuildResult:
    """Show the steps of a build that has nothing left to do, and give its image the names."""
    for warning in record.warnings():
        sink(warning)
    images = tuple(image.all_cached() for image in record.images)
    for image in images:
        platform = image.platform if len(images) > 1 else ""
        sink(events.BuildStarted(len(image.steps), record.target, platform=platform))
        for step in image.steps:
            sink(events.StepCached(step.step, step.title, step.layer, step.size, step.key, platform))
    store.names.set_all((name, receipt.descriptor) for name in names)
    # A build that did nothing is still the last one: the next miss is explained by comparing with its steps.
    for key, keys in receipt.last:
        with suppress(StoreError):  # a store that can only be read answers all the same
            store.documents.put(Digest(key), keys.encode("utf-8", "surrogatepass"))
    result = BuildResult(
        images=images,
        descriptor=receipt.descriptor,
        names=tuple(str(name) for name in names),
        outputs=(),
        seconds=time.monotonic() - started,
    )
    sink(events.ImageWritten(result.image_id, str(receipt.descriptor.digest), result.names))
    return result


def dry_run(request: BuildRequest, sink: events.EventSink = events.ignore_events) -> tuple[DryRun, ...]:
    """Say for each step of a build whether the cache has it, without executing anything; one dry run a platform."""
    from builder.engine.solving import solve_context
    from builder.solve.dry_run import dry_run_plan

    with _opened(request, sink) as session:
        result = []
        with session.quoting():
            for platform in session.platforms:
                plan = session.plan(platform)
                result.append(dry_run_plan(plan, solve_context(session, plan, platform, session.sink)))
        return tuple(result)


def check(request: BuildRequest, sink: events.EventSink = events.ignore_events, *, advice: bool = False) -> CheckReport:
    """Check the Dockerfile of a build without building; `advice` adds pybuild's own checks."""
    from builder.engine.planning import check_whole

    with _opened(request, sink) as session:
        return check_whole(session, advice=advice)


def outline(request: BuildRequest) -> Outline:
    """Return the arguments, secrets, sockets and caches that the target uses; nothing is built."""
    from builder.engine import planning

    with _opened(request) as session, session.quoting():
        return planning.outline(session)


def targets(request: BuildRequest) -> Targets:
    """Return the stages of the Dockerfile that can be built."""
    from builder.engine import planning

    with _opened(request) as session, session.quoting():
        return planning.targets(session)


@contextmanager
def _opened(request: BuildRequest, sink: events.EventSink = events.ignore_events) -> Iterator[BuildSession]:
    """Open what a build needs, for verbs that build nothing."""
    from builder.engine.session import BuildSession

    with ExitStack() as stack:
        store = stack.enter_context(open_store(request.root, large_layers=request.large_layers))
        stack.enter_context(store.lease())
        yield BuildSession.open(request, store, stack, sink)


def _destination(tag: str) -> Reference:
    try:
        reference = parse_reference(tag)
    except ReferenceFormatError as error:
        raise UsageError(f"invalid tag {tag!r}: {error.message}", hint=error.hint) from error
    if reference.digest is not None:
        raise UsageError(f"--tag {tag!r} has a digest; a build makes the digest", hint="Write name:tag.")
    return reference
