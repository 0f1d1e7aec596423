"""A build as a stream of typed events. Displays, records and reports are readers of this one stream.

`step` is a number of the plan for `platform`, which is empty in a build for one platform. Events of one step come in
order: started, then output and progress, then one of cached, finished, failed, cancelled.
Events of different steps interleave. Sinks are called from several threads and must not raise.

They are NamedTuples, and not dataclasses, because a build that changes nothing spends a tenth of its time on making
classes; a NamedTuple costs a third of a frozen dataclass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from builder.errors import Location, PybuildError

if TYPE_CHECKING:
    from builder.solve.difference import Difference


class BuildStarted(NamedTuple):
    """`steps` is the number of steps that make or load layers; `first` says that none was built here before."""

    steps: int
    target: str = ""
    first: bool = False
    platform: str = ""


class StepStarted(NamedTuple):
    """The step will run; `reason` says why the cache did not help, or is empty.

    `differences` are all that there is to say of that, as values; `unsaid` is how many more there are than are kept.
    """

    step: int
    title: str
    reason: str = ""
    platform: str = ""
    differences: tuple[Difference, ...] = ()
    unsaid: int = 0


class StepOutput(NamedTuple):
    """A line (or the last piece of one) that the step's process wrote, secrets already hidden."""

    step: int
    line: bytes
    platform: str = ""


class StepCached(NamedTuple):
    step: int
    title: str
    layer: str
    """Diff ID, or empty for a step that adds no layer of its own."""
    size: int = 0
    key: str = ""
    platform: str = ""


class StepFinished(NamedTuple):
    """`seconds` of wall time; `files` and `size` (bytes of the files in it) of the layer it made."""

    step: int
    title: str
    seconds: float
    layer: str = ""
    files: int = 0
    size: int = 0
    key: str = ""
    platform: str = ""


class StepErrored(NamedTuple):
    step: int
    title: str
    error: PybuildError
    platform: str = ""


class StepCancelled(NamedTuple):
    step: int
    title: str
    platform: str = ""


class Noted(NamedTuple):
    """Something the user should know, once: how RUN is isolated, what is being written."""

    text: str


class Warned(NamedTuple):
    """A build check's finding, or another thing worth a line. `rule` may be empty."""

    rule: str
    message: str
    location: Location | None = None


class BlobProgress(NamedTuple):
    """A blob that is copied: `state` is moving, done, or present where the other side had it already.

    `done` of `size` bytes after `seconds`. Displays show it; a record keeps how it ended.
    """

    digest: str
    state: str
    size: int
    done: int = 0
    seconds: float = 0.0


class ImageWritten(NamedTuple):
    image_id: str
    manifest_digest: str
    names: tuple[str, ...] = ()


Event = (
    BuildStarted
    | StepStarted
    | StepOutput
    | StepCached
    | StepFinished
    | StepErrored
    | StepCancelled
    | Noted
    | Warned
    | BlobProgress
    | ImageWritten
)
EventSink = Callable[[Event], None]


def of_platform(sink: EventSink, platform: str) -> EventSink:
    """Return a sink that says of each step which platform it is for: several plans, one stream."""

    def told(event: Event) -> None:
        match event:
            case Noted() | Warned() | BlobProgress() | ImageWritten():
                sink(event)
            case _:
                sink(event._replace(platform=platform))

    return told


def report_to(sink: EventSink) -> Callable[[tuple[str, str, int, int, float]], None]:
    """Return what tells a sink how far the blobs of a copy are (builder.transport.progress.Report)."""
    return lambda blob: sink(BlobProgress(*blob))


def ignore_events(event: Event) -> None:
    """The sink that throws everything away."""
