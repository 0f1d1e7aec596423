"""`pybuild [OPTIONS] PATH`, parsed: arguments → request, events → screen, result → files and the last lines.

The warm path leads through here: its gates (docs/architecture.md) are the displays that few ask for.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from builder.cli.display.plain import PlainDisplay
from builder.cli.display.results import MachineReader, check_writable, summary_lines, write_file
from builder.cli.display.text import clean
from builder.cli.request import request_from
from builder.engine.build import build
from builder.engine.result import BuildResult
from builder.errors import PybuildError, UsageError
from builder.solve.events import Event, EventSink, Warned, ignore_events

if TYPE_CHECKING:
    from builder.solve.pause import Attendant

_PROGRESS = ("auto", "tty", "plain", "rawjson", "quiet", "none")


def build_command(
    arguments: argparse.Namespace, attend: Callable[[EventSink], Attendant | None] = lambda display: None
) -> int:
    """Build an image; return the exit code. `attend` gives who looks on, beside a display."""
    request = request_from(arguments)
    for path in filter(None, (arguments.iidfile, arguments.metadata_file)):
        check_writable(path)
    machine = _machine_reader(arguments)
    with display_for(arguments) as display:
        sink = display if machine is None else _both(machine, display)
        for message in arguments.flag_warnings:
            sink(Warned("FlagWithoutEffect", message))
        try:
            result = build(request, sink, attend(display))
        except PybuildError as error:
            if machine is not None:
                machine.fail(error)
            raise
    _write_results(arguments, result, machine)
    return 0


def _machine_reader(arguments: argparse.Namespace) -> MachineReader | None:
    """Return who is told of the build as data, if anybody asked for that."""
    stream = sys.stderr if progress_of(arguments) == "rawjson" else None
    if stream is None and not arguments.metadata_file:
        return None
    return MachineReader(stream, arguments.metadata_file)


def _both(first: EventSink, second: EventSink) -> EventSink:
    def tell(event: Event) -> None:
        first(event)
        second(event)

    return tell


def progress_of(arguments: argparse.Namespace) -> str:
    """Return how the build is shown: tty, plain, rawjson or quiet. Raises UsageError."""
    if arguments.quiet:
        return "quiet"
    if arguments.progress not in ("", *_PROGRESS):
        raise UsageError(f"--progress {arguments.progress!r} is none of {', '.join(_PROGRESS[:-1])}")
    if arguments.progress in ("", "auto"):
        return "tty" if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb" else "plain"
    return "quiet" if arguments.progress == "none" else str(arguments.progress)


@contextmanager
def display_for(arguments: argparse.Namespace) -> Iterator[EventSink]:
    """Give the event sink that --progress asks for, and close it whatever happens."""
    match progress_of(arguments):
        case "tty":
            from builder.cli.display.tty import TtyDisplay  # gate: rare. rich is the slowest import of all

            display = TtyDisplay(sys.stderr)
            try:
                yield display
            finally:
                display.close()
        case "quiet" | "rawjson":
            yield ignore_events  # errors are the caller's, and data the machine reader's
        case _:
            yield PlainDisplay(sys.stderr)


def _write_results(arguments: argparse.Namespace, result: BuildResult, machine: MachineReader | None) -> None:
    if arguments.iidfile:
        write_file(arguments.iidfile, result.image_id.encode())
    if machine is not None:
        machine.finish(result)
    mode = progress_of(arguments)
    if mode == "quiet":
        print(result.image_id)
    elif mode != "rawjson":
        for line in summary_lines(result, arguments.tag or ()):
            print(clean(line), file=sys.stderr)
