"""What a RUN that failed leaves behind, kept open for somebody who wants to look at it: its tree, its mounts, and how
it was run. Without anybody who asks for that, nothing is kept.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import Lock

from builder.errors import StepFailed
from builder.plan.step import RunStep
from builder.sandbox.spec import SandboxSpec
from builder.snapshot.snapshotter import ActiveSnapshot
from builder.solve.run.output import Redactor


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRun:
    """`close` gives back the mounts, and throws the tree away."""

    step: RunStep
    error: StepFailed
    spec: SandboxSpec = field(repr=False)
    """What the command was run with; it holds the values of secrets."""
    active: ActiveSnapshot
    redactor: Redactor = field(repr=False)
    opened: ExitStack = field(repr=False)

    def close(self) -> None:
        self.opened.close()


class FailedRuns:
    """The first RUN of a build that failed. Safe for threads."""

    def __init__(self) -> None:
        self._first: FailedRun | None = None
        self._lock = Lock()

    def keep(self, run: FailedRun) -> None:
        """Keep a run, unless there is one already: then it is closed."""
        with self._lock:
            is_first = self._first is None
            if is_first:
                self._first = run
        if not is_first:
            run.close()

    def take(self) -> FailedRun | None:
        """Return what was kept, which is the caller's to close."""
        with self._lock:
            found, self._first = self._first, None
            return found

    def close(self) -> None:
        """Close what nobody took."""
        if (run := self.take()) is not None:
            run.close()
