"""The door of the engine: a request in, an image out.

    Dockerfile ──parse──▶ AST ──plan──▶ steps ──solve──▶ layers ──assemble──▶ image ──write──▶ outputs

A build for which there is a receipt ends here; building.py is the whole walk, for all others. `dry_run` stops before
anything runs, `check` before anything is planned for good.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from builder.engine.build_record import BuildRecord
from builder.engine.receipt import Receipt, look_up
from builder.engine.request import BuildRequest
from builder.engine.result import BuildResult
from builder.errors import ReferenceFormatError, StoreError, UsageError
from builder.oci.digest import Digest
from builder.oci.reference import Reference, parse_reference
from builder.solve import events
from builder.store.store import Store, open_store

if TYPE_CHECKING:
    from builder.engine.building import Building
    from builder.engine.checks import CheckReport
    from builder.plan.outline import Outline, Targets
    from builder.solve.dry_run import DryRun
    from builder.solve.pause import Attendant


def build(
    request: BuildRequest, sink: events.EventSink = events.ignore_events, attendant: Attendant | None = None
) -> BuildResult:
    """Build what `request` asks for. An `attendant` looks on, on this thread, which is then the main one.

    Raises PybuildError. The store then holds what it held before, and cache records of the steps that succeeded.
    """
    started, begun_ns = time.monotonic(), time.time_ns()
    # First of all: a name that cannot be given is an error before anything is built.
    names = tuple(_destination(tag) for tag in request.tags)
    with ExitStack() as stack:
        store = stack.enter_context(
            open_store(
                request.root,
                large_layers=request.large_layers,
                notify=lambda sentence: sink(events.Noted(sentence)),
            )
        )
        # Before the receipt is looked up, which pins what it names (docs/decisions/0015).
        stack.enter_context(store.lease())
        asked = look_up(request, store)
        # A receipt without its record has nothing to show: the long way makes both anew, from the cache.
        stops = attendant is not None and attendant.stops  # at each step: a receipt knows none
        if asked is not None and asked.receipt is not None and asked.record is not None and not stops:
            return _repeat(asked.receipt, asked.record, store, names, sink, started)
        return _building(request, store, stack, attendant).build(sink, names, asked, started, begun_ns)


def dry_run(request: BuildRequest, sink: events.EventSink = events.ignore_events) -> tuple[DryRun, ...]:
    """Say for each step of a build whether the cache has it, without executing anything; one dry run a platform."""
    with ExitStack() as stack:
        return _opened(request, stack).dry_run(sink)


def check(request: BuildRequest, sink: events.EventSink = events.ignore_events, *, advice: bool = False) -> CheckReport:
    """Check the Dockerfile of a build without building; `advice` adds pybuild's own checks."""
    with ExitStack() as stack:
        return _opened(request, stack).check(sink, advice=advice)


def outline(request: BuildRequest) -> Outline:
    """Return the arguments, secrets, sockets and caches that the target uses; nothing is built."""
    with ExitStack() as stack:
        return _opened(request, stack).outline()


def targets(request: BuildRequest) -> Targets:
    """Return the stages of the Dockerfile that can be built."""
    with ExitStack() as stack:
        return _opened(request, stack).targets()


def _building(request: BuildRequest, store: Store, stack: ExitStack, attendant: Attendant | None = None) -> Building:
    from builder.engine.building import Building  # gate: receipt. It answers before there is a plan, or any layer

    return Building(request, store, stack, attendant)


def _opened(request: BuildRequest, stack: ExitStack) -> Building:
    """Open what a build needs, for verbs that build nothing."""
    store = stack.enter_context(open_store(request.root, large_layers=request.large_layers))
    stack.enter_context(store.lease())
    return _building(request, store, stack)


def _repeat(
    receipt: Receipt,
    record: BuildRecord,
    store: Store,
    names: tuple[Reference, ...],
    sink: events.EventSink,
    started: float,
) -> BuildResult:
    """Show the steps of a build that has nothing left to do, and give its image the names."""
    # An unchanged file has the faults that it had: who repeats a build is warned as the first time.
    for warning in record.warnings():
        sink(warning)
    images = tuple(image.all_cached() for image in record.images)
    for image in images:
        platform = image.platform if len(images) > 1 else ""
        sink(events.BuildStarted(len(image.steps), record.target, platform=platform))
        for step in image.steps:
            sink(events.StepCached(step.step, step.title, step.layer, step.size, step.key, platform))
    # Names are no part of a receipt's key: the same build under another one has only this to do.
    store.names.set_all((name, receipt.descriptor) for name in names)
    # What a later miss is compared with is the last build, also one that made nothing (docs/decisions/0013).
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


def _destination(tag: str) -> Reference:
    try:
        reference = parse_reference(tag)
    except ReferenceFormatError as error:
        raise UsageError(f"invalid tag {tag!r}: {error.message}", hint=error.hint) from error
    if reference.digest is not None:
        raise UsageError(f"--tag {tag!r} has a digest; a build makes the digest", hint="Write name:tag.")
    return reference
