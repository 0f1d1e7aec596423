"""A build that somebody looks on at: --step stops after each step, --on-error=shell where a RUN failed.

Questions and shells are at stdin and stderr, so both must be a terminal; stdout stays free for what a build writes.
Ctrl-D, `q` and a terminal that goes are the end of the build, like Ctrl-C: exit code 130.
"""

from __future__ import annotations

import argparse
import os
import sys
import termios
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress

from builder.cli.display.diagnostics import render_error
from builder.cli.display.step_report import change_lines, key_lines, report_lines
from builder.cli.display.tty import TtyDisplay
from builder.cli.verbs.build import build_command, progress_of
from builder.errors import Cancelled, PybuildError, UsageError
from builder.solve.events import EventSink
from builder.solve.pause import FailedStep, PausedStep
from builder.solve.run.failed import FailedRuns

_STREAMS = (0, 2, 2)
_LINE_BYTES = 1024
_NARROW = 80
_QUESTION = "Enter next step  r run on  f all files  k key  s shell  q quit > "
_CANCEL_HINT = "The steps up to here are found in the cache by the next build."


def attended_build_command(arguments: argparse.Namespace) -> int:
    """Build an image as `build_command` does, with somebody who looks on; return the exit code."""
    asked = "--step" if arguments.step else "--on-error"
    shell = _parse_on_error(arguments.on_error) if arguments.on_error else None
    for number, name in ((0, "stdin"), (2, "stderr")):
        if not os.isatty(number):
            raise UsageError(
                f"{asked} is for somebody at a terminal, and {name} is none",
                hint="Leave it out in scripts and in CI; 'pybuild shell IMAGE --step N' looks at a step later.",
            )
    if progress_of(arguments) == "rawjson":
        raise UsageError(f"{asked} asks on stderr, where --progress=rawjson writes JSON", hint="Leave out one of them.")

    def attend(display: EventSink) -> _Onlooker:
        set_aside = display.set_aside if isinstance(display, TtyDisplay) else nullcontext
        return _Onlooker(set_aside, stops=arguments.step, shell=shell)

    return build_command(arguments, attend)


def _parse_on_error(text: str) -> str:
    """Return the path of the shell that is asked for, "" for any. Raises UsageError."""
    word, colon, path = text.partition(":")
    if word != "shell" or (colon and not path.startswith("/")):
        raise UsageError(f"--on-error {text!r} is not known", hint="It is shell, or shell:/PATH of one in the image.")
    return path


class _Onlooker:
    """Somebody at the terminal: the Attendant of a build."""

    def __init__(
        self, set_aside: Callable[[], AbstractContextManager[None]], *, stops: bool, shell: str | None
    ) -> None:
        self.stops = stops
        self.failed_runs = None if shell is None else FailedRuns()
        self._set_aside = set_aside
        self._shell = shell or ""

    def after_step(self, step: PausedStep) -> bool:
        with self._set_aside():
            changes = step.changes()
            _say(["", *report_lines(step, changes, _width())])
            while True:
                match _ask():
                    case "" | "n" | "c":
                        return True
                    case "r":
                        return False
                    case "f":
                        _say(change_lines(changes, _width()) if changes else ["  nothing changed"])
                    case "k":
                        _say(key_lines(step))
                    case "s":
                        self._shell_after(step)
                    case "q":
                        message = f"stopped after step {step.number} of {len(step.plan.steps)}"
                        raise Cancelled(message, hint=_CANCEL_HINT)
                    case other:
                        _say([f"  {other!r} is none of these"])

    def after_failure(self, failure: FailedStep) -> None:
        with self._set_aside():
            _say([render_error(failure.error)])
            says_cache = " (but in caches of --mount=type=cache, which are the real ones)"
            kept = says_cache if failure.has_cache_mounts else ""
            _say(
                [f"A shell where it failed. What you change is thrown away{kept}; when it ends, the build has failed."]
            )
            try:
                failure.run_shell(_STREAMS, self._shell)
            except PybuildError as error:
                _say([render_error(error)])

    def _shell_after(self, step: PausedStep) -> None:
        _say(["  A shell in the tree as it is. What you change is thrown away; 'exit' comes back here."])
        try:
            step.run_shell(_STREAMS)
        except Cancelled:
            raise
        except PybuildError as error:
            _say([render_error(error)])


def _ask() -> str:
    """Return the first letter of the answer, lower case; "q" when there is nobody to answer any more."""
    with suppress(termios.error):  # what was typed while a step ran was not meant for this question
        termios.tcflush(0, termios.TCIFLUSH)
    sys.stderr.write(_QUESTION)
    sys.stderr.flush()
    try:
        line = os.read(0, _LINE_BYTES)
    except OSError:  # EIO: the terminal has gone
        line = b""
    if not line:
        with suppress(OSError):
            sys.stderr.write("\n")
            sys.stderr.flush()
    return line.decode("utf-8", "replace").strip()[:1].lower() if line else "q"


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _width() -> int:
    """Return the terminal's columns, as they are now: it may have been resized since the last question."""
    try:
        return os.get_terminal_size(2).columns or _NARROW
    except OSError:
        return _NARROW
