"""Finding `<<NAME` in the arguments of RUN, COPY and ADD, the way a shell would.

A marker is a word of its own: optional digits, `<<`, an optional `-`, the delimiter. Blanks may stand before the
delimiter. `cat<<EOF` is none (the word begins with `cat`), `<<<` is none, and a line whose quotes don't close has none.
The delimiter is read with its quotes removed; any quote in it turns expansion of the body off.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from builder.dockerfile.whitespace import BLANKS

_BEGIN = re.compile(r"(?P<descriptor>\d*)<<(?P<chomp>-?)(?P<blanks>[" + BLANKS + r"]*)")
_UNQUOTE = re.compile(r"'([^']*)'|\"((?:[^\"\\]|\\.)*)\"|\\(.)|([^'\"\\]+)", re.DOTALL)
_DOUBLE_ESCAPE = re.compile(r'\\(["$\\])')

_BLANKS_AT = re.compile(rf"[{BLANKS}]*")


class Marker(NamedTuple):
    """One `<<NAME`; the span is in the logical line."""

    start: int
    end: int
    name: str
    expand: bool
    chomp: bool
    file_descriptor: int
    spaced: bool
    """Blanks stand between `<<` and the delimiter: `$((1 << 4))` looks the same, so the body decides."""


def find_markers(text: str, start: int, end: int, escape: str) -> list[Marker]:
    """Return the heredoc markers among the words of `text[start:end]`, in order."""
    if "<<" not in text[start:end]:
        return []
    markers: list[Marker] = []
    position = start
    while position < end:
        match = _BLANKS_AT.match(text, position, end)
        position = match.end() if match else position
        word_start = position
        begin = _BEGIN.match(text, position, end)
        if begin:
            position = begin.end()
        stop = _skip_word(text, position, end, escape)
        if stop is None:
            return []
        if begin and stop > position and (marker := _marker(begin, text[position:stop], stop)):
            markers.append(marker)
        position = max(stop, word_start + 1)
    return markers


def _marker(begin: re.Match[str], word: str, end: int) -> Marker | None:
    name = _unquote(word)
    if "<" in word or name is None or name == "":
        return None
    quoted = "'" in word or '"' in word
    descriptor = int(begin["descriptor"][:9] or "0")
    return Marker(begin.start(), end, name, not quoted, begin["chomp"] == "-", descriptor, bool(begin["blanks"]))


def _skip_word(text: str, position: int, end: int, escape: str) -> int | None:
    """Return where the word that covers `position` ends, or None when a quote in it is never closed."""
    part = _part(escape)
    while match := part.match(text, position, end):
        position = match.end()
    if position < end and text[position] in "'\"":
        return None
    return position


@functools.cache
def _part(escape: str) -> re.Pattern[str]:
    escaped = re.escape(escape)
    plain, quoted = rf"[^{BLANKS}'\"{escaped}]+|{escaped}.?|'[^']*'", rf"\"(?:[^\"{escaped}]|{escaped}.)*\""
    return re.compile(f"{plain}|{quoted}", re.DOTALL)


def _unquote(word: str) -> str | None:
    parts: list[str] = []
    position = 0
    while match := _UNQUOTE.match(word, position):
        single, double, escaped, plain = match.groups()
        parts.append(_DOUBLE_ESCAPE.sub(r"\1", double) if double is not None else single or escaped or plain or "")
        position = match.end()
    return "".join(parts) if position == len(word) else None
