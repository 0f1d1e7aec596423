"""A build as a stream of typed events. Displays, records and reports are readers of this one stream.

Events of one step come in order: started, then output and progress, then one of cached, finished, failed, cancelled.
Events of different steps interleave. Sinks are called from several threads and must not raise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from builder.errors import PybuildError
from builder.plan.plan import Warning


@dataclass(frozen=True, slots=True)
class BuildStarted:
    """`steps` is the number of steps that make or load layers."""

    steps: int
    target: str = ""


@dataclass(frozen=True, slots=True)
class StepStarted:
    """The step will run; `reason` says why the cache did not help, or is empty."""

    step: int
    title: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StepOutput:
    """A line (or the last piece of one) that the step's process wrote, secrets already hidden."""

    step: int
    line: bytes


@dataclass(frozen=True, slots=True)
class StepCached:
    step: int
    title: str
    layer: str
    """Diff ID, or empty for a step that adds no layer of its own."""
    size: int = 0


@dataclass(frozen=True, slots=True)
class StepFinished:
    """`seconds` of wall time; `files` and `size` (bytes of the tar) of the layer it made."""

    step: int
    title: str
    seconds: float
    layer: str = ""
    files: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class StepErrored:
    step: int
    title: str
    error: PybuildError


@dataclass(frozen=True, slots=True)
class StepCancelled:
    step: int
    title: str


@dataclass(frozen=True, slots=True)
class Noted:
    """Something the user should know, once: how RUN is isolated, what is being written."""

    text: str


@dataclass(frozen=True, slots=True)
class Warned:
    warning: Warning


@dataclass(frozen=True, slots=True)
class ImageWritten:
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
    | ImageWritten
)
EventSink = Callable[[Event], None]


def ignore_events(event: Event) -> None:
    """The sink that throws everything away."""
