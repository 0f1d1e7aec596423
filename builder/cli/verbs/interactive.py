"""What `pybuild explain -i` needs: a terminal, one thing to look at, and textual, which is an extra."""

from __future__ import annotations

import os
from collections.abc import Callable

from builder.cli.main import command_of
from builder.engine.explaining import Explained, step_named
from builder.errors import PybuildError, UsageError
from builder.explain.model import ExplainedStep


def check_interactive(views: list[str], form: str) -> None:
    """Refuse what cannot be looked at on a terminal, before an image is read; `views` are what else is asked for.

    Raises UsageError.
    """
    views = [*views, *([f"--format {form}"] if form != "table" else [])]
    if views:
        raise UsageError(f"-i and {views[0]} show different things", hint="Ask for one of them at a time.")
    for number, name in enumerate(("stdin", "stdout", "stderr")):  # textual draws on stderr
        if not os.isatty(number):
            raise UsageError(f"-i is for somebody at a terminal, and {name} is none", hint="Leave it out in scripts.")
    if os.environ.get("TERM", "") in ("", "dumb"):
        raise UsageError("-i needs a terminal with a cursor, and TERM says that this is none", hint="Leave it out.")
    _screen()


def look(explained: Explained, other: str | None) -> None:
    """Show an image from the step on that `other` names, until its user has seen enough. Raises PybuildError."""
    step = step_named(explained.explanation, other) if other is not None else None
    if other is not None and step is None:
        raise UsageError(f"-i shows one image, and {other!r} is no step of it", hint="Write a number: 3, STAGE:3, L2.")
    if not explained.explanation.steps:
        raise PybuildError(
            f"{explained.explanation.name} has neither layers nor a history: there is nothing to look at"
        )
    _screen()(explained, step)


def _screen() -> Callable[[Explained, ExplainedStep | None], None]:
    """Return what shows an image on the terminal. Raises UsageError where textual is not installed."""
    try:
        command: Callable[[Explained, ExplainedStep | None], None] = command_of("explain_screen", "explain_screen")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        raise UsageError(
            "-i needs textual, which is not installed", hint="Install it with: pip install 'pybuild-engine[tui]'"
        ) from error
    return command
