"""`pybuild [OPTIONS] PATH`: arguments → request, events → screen, result → files and the last lines.

The warm path leads through here: what is imported inside functions is what a build without changes does not need.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from builder.cli.arguments import build_parser, parse_build_arguments
from builder.cli.display.plain import PlainDisplay
from builder.cli.display.results import check_writable, summary_lines, write_file, write_json
from builder.cli.display.text import clean
from builder.cli.request import request_from
from builder.engine.build import build
from builder.engine.request import BuildRequest
from builder.engine.result import BuildResult
from builder.errors import PybuildError, UsageError
from builder.solve.events import Event, Warned, ignore_events

_PROGRESS = ("auto", "tty", "plain", "rawjson", "quiet", "none")


def build_command(argv: list[str]) -> int:
    """Build an image; return the exit code."""
    arguments = parse_build_arguments(build_parser(), argv)
    if arguments.debug:
        os.environ["PYBUILD_DEBUG"] = "1"
    if arguments.path is None:
        raise UsageError(
            "'pybuild' needs a context: PATH, URL or -", hint="To build the current folder: pybuild -t name ."
        )
    request = request_from(arguments)
    if arguments.check or arguments.call.partition(",")[0] not in ("", "build"):
        from builder.cli.verbs.check import check_command  # a verb behind a flag, which brings the checks

        return check_command(arguments, request)
    for path in filter(None, (arguments.iidfile, arguments.metadata_file)):
        check_writable(path)
    warnings: list[Warned] = []
    with display_for(arguments) as display:
        sink = _keeping(warnings, display)
        for message in arguments.flag_warnings:
            sink(Warned("FlagWithoutEffect", message))
        result = _build_reported(request, sink, arguments, warnings)
    _write_results(arguments, result, warnings)
    return 0


def _keeping(warnings: list[Warned], sink: Callable[[Event], None]) -> Callable[[Event], None]:
    """Return a sink that passes everything on and keeps the warnings for the metadata file."""

    def keep(event: Event) -> None:
        if isinstance(event, Warned):
            warnings.append(event)
        sink(event)

    return keep


def _build_reported(
    request: BuildRequest, sink: Callable[[Event], None], arguments: argparse.Namespace, warnings: list[Warned]
) -> BuildResult:
    """Build; when it fails the metadata file carries the error and the warnings before it, as data."""
    try:
        return build(request, sink)
    except PybuildError as error:
        from builder.solve.event_json import error_to_json  # the warm path: only of failures

        if arguments.metadata_file:
            write_json(arguments.metadata_file, {"error": error_to_json(error)} | _warnings_to_json(warnings))
        if _progress(arguments) == "rawjson":
            print(json.dumps({"event": "build-failed", "error": error_to_json(error)}), file=sys.stderr)
        raise


def _progress(arguments: argparse.Namespace) -> str:
    if arguments.quiet:
        return "quiet"
    if arguments.progress not in ("", *_PROGRESS):
        raise UsageError(f"--progress {arguments.progress!r} is none of {', '.join(_PROGRESS[:-1])}")
    if arguments.progress in ("", "auto"):
        return "tty" if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb" else "plain"
    return "quiet" if arguments.progress == "none" else str(arguments.progress)


@contextmanager
def display_for(arguments: argparse.Namespace) -> Iterator[Callable[[Event], None]]:
    """Give the event sink that --progress asks for, and close it whatever happens."""
    match _progress(arguments):
        case "tty":
            from builder.cli.display.tty import TtyDisplay  # rich: the slowest import of all

            display = TtyDisplay(sys.stderr)
            try:
                yield display
            finally:
                display.close()
        case "rawjson":
            from builder.cli.display.documents import JsonDisplay  # the warm path: only where a machine reads

            yield JsonDisplay(sys.stderr)
        case "quiet":
            yield ignore_events  # errors are the caller's
        case _:
            yield PlainDisplay(sys.stderr)


def _write_results(arguments: argparse.Namespace, result: BuildResult, warnings: list[Warned]) -> None:
    if arguments.iidfile:
        write_file(arguments.iidfile, result.image_id.encode())
    if arguments.metadata_file:
        write_json(arguments.metadata_file, result.metadata() | _warnings_to_json(warnings))
    mode = _progress(arguments)
    if mode == "quiet":
        print(result.image_id)
    elif mode != "rawjson":
        for line in summary_lines(result):
            print(clean(line), file=sys.stderr)


def _warnings_to_json(warnings: list[Warned]) -> dict[str, object]:
    if not warnings:
        return {}
    from builder.cli.display.documents import warning_to_json  # the warm path: most builds have none

    return {"pybuild.warnings": [warning_to_json(warning) for warning in warnings]}
