"""How the text of one instruction falls apart: keyword, flags, words, JSON strings. Spans in, spans out.

Each function follows BuildKit's parser (frontend/dockerfile/parser: split_command.go, line_parsers.go), which reads
`--flag` words, quoted words and JSON by three different sets of rules. Spans are (start, end) in the logical line.
"""

from __future__ import annotations

import functools
import json
import re
from typing import NamedTuple

from builder.dockerfile.whitespace import BLANKS, PLAIN_WORD, SEPARATORS

Span = tuple[int, int]

_HEAD = re.compile(rf"([^{SEPARATORS}]*)[{SEPARATORS}]*")
# In flags the escape character is always a backslash, also under `# escape=`.
_FLAG_PART = re.compile(rf"(?P<plain>[^{BLANKS}'\"\\]+)|\\(?P<escaped>.?)|(?P<quote>['\"])", re.DOTALL)
_FLAG_QUOTED = {quote: re.compile(rf"(?P<plain>[^{quote}\\]+)|\\(?P<escaped>.?)", re.DOTALL) for quote in "'\""}
_NO_BLANKS = re.compile(rf"[^{BLANKS}]+")
_BLANKS_AT = re.compile(rf"[{BLANKS}]*")
_SEPARATORS_AT = re.compile(rf"[{SEPARATORS}]*")
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


class FlagSpan(NamedTuple):
    start: int
    end: int
    text: str
    """Quotes and escapes processed: `--name` or `--name=value`."""


class JsonStringsOnly(ValueError):
    """A JSON array with a member that is not a string."""


def split_keyword(text: str) -> tuple[str, int]:
    """Return the keyword as written and where the rest begins. `text` has no blanks at its start."""
    keyword, _, rest = text.partition(" ")
    if keyword.isalpha():  # none of the other blanks is in it
        return keyword, len(text) - len(rest.lstrip(SEPARATORS))
    match = _HEAD.match(text)
    assert match is not None
    return match[1].rstrip(BLANKS), match.end()


def skip_blanks(text: str, start: int) -> int:
    """Return where the first character that is no blank stands, from `start` on."""
    match = _BLANKS_AT.match(text, start)
    return match.end() if match else start


def split_flags(text: str, start: int) -> tuple[list[FlagSpan], int]:
    """Return the leading `--flag` words and where the arguments begin. A bare `--` ends the flags and is dropped.

    BuildKit looks for flags byte by byte: behind a blank that is not ASCII there are none.
    """
    flags: list[FlagSpan] = []
    position = start
    while True:
        match = _SEPARATORS_AT.match(text, position)
        position = match.end() if match else position
        if not text.startswith("--", position):
            return flags, position
        word, end = _read_flag(text, position)
        if word == "--":
            return flags, end
        flags.append(FlagSpan(position, end, word))
        position = end


def _read_flag(text: str, position: int) -> tuple[str, int]:
    parts: list[str] = []
    while match := _FLAG_PART.match(text, position):
        position = match.end()
        quote = match["quote"]
        if quote is None:
            parts.append(match["plain"] or match["escaped"])
            continue
        while inner := _FLAG_QUOTED[quote].match(text, position):
            parts.append(inner["plain"] or inner["escaped"])
            position = inner.end()
        position += text.startswith(quote, position)
    return "".join(parts), position


def split_plain(text: str, start: int, end: int) -> list[Span]:
    """Split at the ASCII separators; quotes mean nothing."""
    return [match.span() for match in PLAIN_WORD.finditer(text, start, end)]


def split_words(text: str, start: int, end: int, escape: str) -> list[Span]:
    """Split at blanks that are neither quoted nor escaped. Quotes stay; a lone escape character at the end goes."""
    if "'" not in text and '"' not in text and escape not in text:
        return [match.span() for match in _NO_BLANKS.finditer(text, start, end)]
    spans: list[Span] = []
    part = _word_part(escape)
    position = start
    while position < end:
        match = _BLANKS_AT.match(text, position, end)
        position = match.end() if match else position
        word_start = position
        while match := part.match(text, position, end):
            position = match.end()
        if position > word_start:
            spans.append((word_start, position))
        if position < end and text[position] == escape:
            position += 1  # the escape character that ends the text: it protects nothing
    return spans


@functools.cache
def _word_part(escape: str) -> re.Pattern[str]:
    escaped = re.escape(escape)
    plain, quoted = rf"[^{BLANKS}'\"{escaped}]+|{escaped}.|'[^']*'?", rf"\"(?:[^\"{escaped}]+|{escaped}.)*\"?"
    return re.compile(f"{plain}|{quoted}", re.DOTALL)


def read_json_array(text: str) -> list[str] | None:
    """Return the strings of a JSON array, or None when `text` is not valid JSON. Raises JsonStringsOnly."""
    if not text.startswith("["):
        return None
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in value):
        raise JsonStringsOnly
    return [_without_surrogate_escapes(item) for item in value]


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


# Numbers are not looked at: Python refuses those of more than 4,300 digits, JSON doesn't.
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_int=lambda _: 0, parse_float=lambda _: 0)


def _without_surrogate_escapes(text: str) -> str:
    # `"\\ud800"` is a lone surrogate, for which Go puts U+FFFD; U+DC80-DCFF in the source are bytes that are no UTF-8.
    return re.sub("[\ud800-\udfff]", "\ufffd", text) if not text.isascii() else text


def json_string_spans(text: str, start: int, end: int) -> list[Span]:
    """Return where the strings of a valid JSON array of strings stand, quotes included."""
    return [match.span() for match in _JSON_STRING.finditer(text, start, end)]
