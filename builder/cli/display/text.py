"""How values look on a screen: sizes, digests, ages, tables, and text from outside without its control characters."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence

from builder.errors import counted
from builder.oci.digest import short_digest

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t"}
# Bidirectional overrides can make a line read as something else (Trojan Source, CVE-2021-42574).
_CONTROL |= {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_LEAST_TITLE = 20
_DIGEST = r"(@sha256:[0-9a-f]{12})[0-9a-f]{52}"


def clean(text: str) -> str:
    """Return `text` fit for a terminal: control and direction-changing characters are shown, not obeyed."""
    if text.isascii() and text.isprintable():
        return text
    # Halves of surrogates, which stand for bytes that are no text, cannot be written: they become question marks.
    return text.translate(_CONTROL).encode("utf-8", "replace").decode("utf-8")


def last_written(line: str) -> str:
    """Return what a terminal would end up showing of a line that returns to its beginning, as progress bars do."""
    return line.rstrip("\r").rpartition("\r")[2]


def size_text(size: float) -> str:
    """Return bytes in decimal units with three digits, as docker prints them: 1.23MB."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        # What rounds to 1000 belongs to the next unit: three digits of it would read 1e+03.
        if size < 999.5 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f}{unit}" if unit == "B" else f"{size:.3g}{unit}"


def known_size(size: int | None) -> str:
    """Return bytes as `size_text` does; N/A, docker's word, where nobody knows."""
    return "N/A" if size is None else size_text(size)


def cut_digests(text: str) -> str:
    """Return text with what is after the first 12 hex digits of a reference's digest left out."""
    return re.sub(_DIGEST, r"\1…", text)


def blob_line(digest: str, state: str, size: int, seconds: float) -> str:
    """Return what became of a blob that was to be copied."""
    if state == "present":
        return f"{short_digest(digest)} already exists"
    return f"{short_digest(digest)} {size_text(size)} {seconds:.1f}s"


def age_text(seconds: float) -> str:
    """Return how long ago in docker's words (go-units, HumanDuration): About a minute ago, 3 hours ago."""
    return f"{_length_text(seconds)} ago"


def _length_text(seconds: float) -> str:
    whole, minutes, hours = int(seconds), int(seconds / 60), int(seconds / 3600 + 0.5)
    if whole < 1:
        return "Less than a second"
    if whole < 60:
        return counted(whole, "second")
    if minutes < 60:
        return "About a minute" if minutes == 1 else counted(minutes, "minute")
    if hours < 48:
        return "About an hour" if hours == 1 else counted(hours, "hour")
    days = hours // 24
    # Weeks, months and years count from two on: 13 days, 8 weeks, 23 months.
    for unit, length, longest in (("day", 1, 14), ("week", 7, 60), ("month", 30, 730)):
        if days < longest:
            return counted(days // length, unit)
    return counted(int(seconds / 3600) // 24 // 365, "year")


def clipped(title: str, width: int, rest: int) -> str:
    """Return a title that leaves `rest` of `width` columns free: how a step ended matters more than how it goes on.

    A title keeps 20 columns whatever the rest needs.
    """
    room = max(_LEAST_TITLE, width - rest)
    return title if len(title) <= room else title[: room - 1] + "…"


def table_lines(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()
) -> Iterator[str]:
    """Yield the head and the rows with aligned columns; those numbered in `right` are flush right."""
    cells = [[clean(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        line = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        )
        yield "   ".join(line).rstrip()


def print_note(sentence: str) -> None:
    """Print a note: it is neither an answer nor an error."""
    print(f"pybuild: note: {sentence}", file=sys.stderr)
