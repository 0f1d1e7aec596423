"""The whole walk of a build that no receipt answers: a session, then plan, layers and image for each platform, names,
outputs, and what spares the next build something: a record and a receipt.

session.py is what its parts share; planning.py makes the plan, solving.py the layers and the image.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from builder.engine.built_image import BuiltImage
from builder.engine.receipt import ReceiptKey
from builder.engine.receipt_writer import write_receipt
from builder.engine.recorder import Recorder, keep_record
from builder.engine.request import BuildRequest
from builder.engine.result import BuildResult
from builder.engine.session import BuildSession
from builder.engine.solving import build_platform, solve_context, write_index
from builder.errors import PybuildError
from builder.oci.annotations import check_annotations
from builder.oci.descriptor import Descriptor
from builder.oci.reference import Reference
from builder.solve import events
from builder.solve.solver import dry_run
from builder.store.store import Store

if TYPE_CHECKING:
    from builder.engine.checks import CheckReport
    from builder.engine.outputs import Outputs
    from builder.plan.outline import Outline, Targets
    from builder.solve.dry_run import DryRun
    from builder.solve.pause import Attendant


class Building:
    """What can be done with a request once a store is open; `stack` closes what is opened for it."""

    def __init__(
        self, request: BuildRequest, store: Store, stack: ExitStack, attendant: Attendant | None = None
    ) -> None:
        self._request = request
        self._store = store
        self._stack = stack
        self._attendant = attendant

    def build(
        self,
        sink: events.EventSink,
        names: tuple[Reference, ...],
        asked: ReceiptKey | None,
        started: float,
        begun_ns: int,
    ) -> BuildResult:
        """Build; `asked` is what the receipt is kept under, for a build that gets one. Raises PybuildError.

        It began at `started`, in seconds of the monotonic clock, and at `begun_ns`, in nanoseconds since 1970.
        """
        # In front of everything that is opened: what is warned of while a context is opened is in the record, too.
        recorder = Recorder(sink, begun_ns)
        session = self._session(recorder)
        check_annotations(self._request.annotations, session.platforms, makes_index=session.makes_index)
        # Before anything is built: a wrong --output is found in the first second, and not after the last step.
        outputs = _outputs(session) if self._request.outputs else None
        with session.quoting():
            images = tuple(build_platform(session, platform) for platform in session.platforms)
        # Names after all platforms: an index has its names at once, or not at all.
        descriptor = _publish(session, images, names)
        result = BuildResult(
            images=tuple(image.report() for image in images),
            descriptor=descriptor,
            names=tuple(str(name) for name in names),
            outputs=outputs.write(descriptor, images, names) if outputs is not None else (),
            seconds=time.monotonic() - started,
        )
        # The last event that the record has: it is made behind this line.
        recorder(events.ImageWritten(result.image_id, str(descriptor.digest), result.names))
        # Before the receipt, which points at it.
        plans = tuple((str(image.platform), image.plan) for image in images)
        dockerfile = (session.context.dockerfile_name, session.context.dockerfile.decode("utf-8", "replace"))
        record = keep_record(self._store, recorder.record(result, plans, dockerfile))
        if asked is not None:
            with suppress(PybuildError, OSError):  # it spares the next build something, and this one is done
                write_receipt(self._store, asked, self._request, images, descriptor, record, begun_ns)
        return result

    def dry_run(self, sink: events.EventSink) -> tuple[DryRun, ...]:
        """Say for each step whether the cache has it; one dry run a platform. Raises PybuildError."""
        session = self._session(sink)
        result = []
        with session.quoting():
            for platform in session.platforms:
                plan = session.plan(platform)
                result.append(dry_run(plan, solve_context(session, plan, platform, session.sink)))
        return tuple(result)

    def check(self, sink: events.EventSink, *, advice: bool) -> CheckReport:
        """Check the Dockerfile. Raises PybuildError."""
        return self._session(sink).planning.check(advice=advice)

    def outline(self) -> Outline:
        """Return what the target uses. Raises PybuildError."""
        session = self._session(events.ignore_events)
        with session.quoting():
            return session.planning.outline()

    def targets(self) -> Targets:
        """Return the stages that can be built. Raises PybuildError."""
        session = self._session(events.ignore_events)
        with session.quoting():
            return session.planning.targets()

    def _session(self, sink: events.EventSink) -> BuildSession:
        return BuildSession.open(self._request, self._store, self._stack, sink, self._attendant)


def _outputs(session: BuildSession) -> Outputs:
    from builder.engine.outputs import Outputs  # gate: rare. Transports, which the store needs none of

    return Outputs(session)


def _publish(session: BuildSession, images: tuple[BuiltImage, ...], names: tuple[Reference, ...]) -> Descriptor:
    """Give the image, or the index of several, its names; without one it stays in the store unnamed."""
    descriptor = images[0].image.descriptor
    if session.makes_index:
        descriptor = write_index(session, images)
    if names:
        session.store.names.set_all((name, descriptor) for name in names)
    else:
        # As docker: an image without a name is listed, and can be named by its ID.
        session.store.names.add(descriptor)
    return descriptor
