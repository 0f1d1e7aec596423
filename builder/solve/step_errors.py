"""Errors of a step, located in the Dockerfile: what went wrong in a room that knows nothing of steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from builder.errors import Cancelled, PybuildError, SourceError, StepFailed, UsageError
from builder.plan.step import Op, RunStep, Step


@contextmanager
def errors_located_at(step: Step[Op]) -> Iterator[None]:
    """Raise errors of the block as StepFailed at `step`; those that have a place of their own, or need none, pass."""
    try:
        yield
    except (SourceError, Cancelled, UsageError):
        raise
    except PybuildError as error:
        # An error of a room below knows no step: it gets the line of the Dockerfile here and nowhere else.
        raise StepFailed(error.message, step.label.location, hint=error.hint, step=step.title) from error


def failed(step: RunStep, message: str, hint: str = "") -> StepFailed:
    """Return the error for a step that failed before its command began."""
    return StepFailed(message, step.label.location, hint=hint, step=step.title)
