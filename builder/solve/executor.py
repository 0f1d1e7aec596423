"""What looks up and executes one kind of op, bound to a job and to what this machine has opened for it.

The kinds are in copy/executor.py and run/executor.py.

    read_inputs()  ─▶  Inputs       for the cache key, before anything runs
    execute()      ─▶  JobResult    the layer, and the inputs as they were when it was made
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from builder.linux.cancel import Cancel
    from builder.solve.events import EventSink
    from builder.solve.job import Inputs, JobResult


class Executor(Protocol):
    """What looks up and executes a step, bound to what the step reads. An executor is used by one thread."""

    def read_inputs(self) -> Inputs:
        """Return what the step will read. Raises PybuildError."""
        ...

    def execute(self, sink: EventSink, cancel: Cancel) -> JobResult:
        """Make the layer and write it to the store. Raises PybuildError, Cancelled."""
        ...
