"""The one renderer of errors and warnings: what, where, the excerpt with the words underlined, what to do.

Dockerfile:3:6: error: unknown instruction: RUNN (did you mean RUN?)
   2 | FROM busybox
>  3 | RUNN make
     | ^^^^
   4 | CMD ["sh"]
hint: …
"""

from __future__ import annotations

from collections.abc import Iterator

from builder.cli.display.text import clean, last_written
from builder.dockerfile.source import excerpt as excerpt_lines
from builder.errors import Location, PybuildError, SourceError, StepFailed, counted

_TAIL_LINES = 20


def render_error(error: PybuildError, *, colour: bool = False, verbose_tail: bool = True) -> str:
    """Return the whole message as text, several lines, without a final newline."""
    lines: list[str] = []
    if isinstance(error, StepFailed) and error.tail and verbose_tail:
        lines += _tail(error)
    errors = [error, *error.others] if isinstance(error, SourceError) else [error]
    for number, each in enumerate(errors):
        if number:
            lines.append("")
        # Errors that were found together are of one file, and only the first has its text.
        lines += _one(each, getattr(each, "source", "") or getattr(error, "source", ""), colour)
    if len(errors) > 1:
        lines.append(f"{len(errors)} errors")
    return "\n".join(lines)


def _one(error: PybuildError, source: str, colour: bool) -> Iterator[str]:
    location = error.location if isinstance(error, SourceError) else None
    place = f"{_place(location)}: " if location and location.line else ""
    yield f"{place}{paint('error:', '1;31', colour)} {clean(error.message)}"
    if location and location.line and source:
        yield from excerpt(source, location, colour=colour)
    if error.hint:
        yield f"{paint('hint:', '1;36', colour)} {clean(error.hint)}"


def _tail(error: StepFailed) -> Iterator[str]:
    yield "------"
    yield f" > {clean(error.step)}:"
    hidden = len(error.tail) - _TAIL_LINES
    if hidden > 0:
        yield f" … {counted(hidden, 'earlier line')}"
    for line in error.tail[-_TAIL_LINES:]:
        # Cleaned here and not where it is kept: a record has what the command said, a terminal must not obey it.
        yield f" {clean(last_written(line))}"
    yield "------"


def _place(location: Location) -> str:
    column = f":{location.column}" if location.column else ""
    return f"{clean(location.file)}:{location.line}{column}"


def paint(text: str, code: str, colour: bool) -> str:
    """Return text in an SGR code (ECMA-48), or as it is without a code or colours."""
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code else text


def excerpt(source: str, location: Location, *, colour: bool = False) -> Iterator[str]:
    """Yield the lines around `location`, numbered; those at fault are marked, the words underlined."""
    for line in excerpt_lines(source, location):
        number = f"{line.number:4}" if line.number else "    "
        yield paint(f"{'>' if line.marked else ' '}{number} | {line.text}", "1" if line.marked else "2", colour)
        if line.underline:
            first, end = line.underline
            yield "      | " + " " * first + "^" * (end - first)
