"""Excerpts of a source file: the lines around a fault, numbered, with the offending words underlined.

    2 | COPY --chwon=1 a b
      |      ^^^^^^^

Nothing from the file reaches the terminal unfiltered: control characters, escape sequences and direction overrides are
shown as symbols, users and passwords of URLs as stars. Columns are counted as a terminal does: a tab goes to the next
multiple of eight, a wide character takes two cells.
"""

from __future__ import annotations

import base64
import unicodedata
from dataclasses import dataclass

from builder.errors import Location
from builder.web.address import with_masked_credentials

TAB_WIDTH = 8
MAX_CELLS = 160
"""Longest text shown of one line, in terminal cells."""
_MOST_MARKED_LINES = 12
_HEAD_LINES, _TAIL_LINES = 8, 2
_LEAD_CELLS = 40
_CONTROL_PICTURES = 0x2400  # ␀ …: one symbol for each of the 32 control characters
_DELETE_PICTURE = "\u2421"
_OPEN_BOX = "\u2423"


@dataclass(frozen=True, slots=True)
class ExcerptLine:
    """One line to show. `number` 0 stands for lines left out. `underline` is (first cell, last cell + 1) of `text`."""

    number: int
    text: str
    marked: bool = False
    underline: tuple[int, int] | None = None


def excerpt(text: str, location: Location) -> tuple[ExcerptLine, ...]:
    """Return the lines of `location` with their surroundings: two lines around one, one line around several."""
    lines = with_masked_credentials(text).split("\n")
    first = min(max(location.line, 1), len(lines))
    last = min(max(location.end_line, first), len(lines))
    context = 2 if first == last else 1
    shown: list[ExcerptLine] = []
    for number in range(max(1, first - context), min(len(lines), last + context) + 1):
        marked = first <= number <= last
        if marked and last - first >= _MOST_MARKED_LINES and first + _HEAD_LINES <= number <= last - _TAIL_LINES:
            if number == first + _HEAD_LINES:
                shown.append(ExcerptLine(0, "⋮", marked=True))
            continue
        shown.append(_line(lines[number - 1].rstrip("\r"), number, location, marked))
    return tuple(shown)


def encode_source(text: str) -> str:
    """Return the text of a file as buildx's documents carry it: base64 of its bytes."""
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode("ascii")


def _line(raw: str, number: int, location: Location, marked: bool) -> ExcerptLine:
    if not marked or location.line != max(location.line, location.end_line) or not 0 < location.column <= len(raw) + 1:
        return ExcerptLine(number, _clip(raw), marked)
    start = location.column - 1
    end = min(max(location.end_column - 1, start + 1), max(len(raw), start + 1))
    hidden = _hidden_characters(raw, start)
    lead = "…" if hidden else ""
    before = _cells(raw[hidden:start], len(lead))
    inside = _cells(raw[start:end], len(lead) + width(before))
    text = _clip(lead + raw[hidden:])
    first = len(lead) + width(before)
    last = min(first + max(1, width(inside)), MAX_CELLS)
    return ExcerptLine(number, text, marked, (first, last) if first < last else None)


def _hidden_characters(raw: str, start: int) -> int:
    """Return how much of a long line is left out on its left, so that the fault is seen."""
    return max(0, start - _LEAD_CELLS) if start > MAX_CELLS - _LEAD_CELLS else 0


def _clip(raw: str) -> str:
    shown = _cells(raw[: MAX_CELLS + 1], 0)
    return shown if len(raw) <= MAX_CELLS else shown[: MAX_CELLS - 1] + "…"


def _cells(raw: str, column: int) -> str:
    """Return `raw` as it is shown when it begins at `column`: tabs as blanks, nothing that a terminal obeys."""
    parts: list[str] = []
    for char in raw:
        shown = " " * (TAB_WIDTH - column % TAB_WIDTH) if char == "\t" else printable(char)
        parts.append(shown)
        column += width(shown)
    return "".join(parts)


def printable(text: str) -> str:
    """Return `text` without anything a terminal would obey; bytes that are no UTF-8 become U+FFFD."""
    return text if text.isascii() and text.isprintable() else "".join(map(_printable, text))


def _printable(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(_CONTROL_PICTURES + code)
    if code == 0x7F:
        return _DELETE_PICTURE
    category = unicodedata.category(char)
    if category == "Zs" and char != " ":
        return _OPEN_BOX  # blanks that aren't spaces are the fault often enough: show them
    # Control, format (direction overrides!), surrogate and unassigned characters.
    return "\ufffd" if category in ("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp") else char


def width(text: str) -> int:
    """Return how many terminal cells a printable text takes."""
    if text.isascii():
        return len(text)
    return sum(_width(char) for char in text)


def _width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1
