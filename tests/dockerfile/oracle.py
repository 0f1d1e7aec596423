"""BuildKit's own parser (the package `dockerfile`) as an oracle, and the differences from it that we mean.

The package holds an older BuildKit than the one we follow, so some of its answers are out of date; each way to differ
is listed here, as narrow as it can be told, and everything else is a fault.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

import dockerfile

from builder.dockerfile.instructions import Dockerfile

_LONGEST_LINE = 65535


class Reading(NamedTuple):
    """One instruction as both parsers see it."""

    keyword: str
    json: bool
    flags: tuple[str, ...]
    arguments: tuple[str, ...]
    heredocs: tuple[tuple[str, str], ...]
    start_line: int
    end_line: int


def read_by_peer(text: str) -> list[Reading] | str | None:
    """Return what BuildKit's parser makes of the text, or its error; None when it can't be asked.

    The package crashes on text that has no UTF-8 form, and ends a text at its first NUL.
    """
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        return None
    if "healthcheck" in text.lower() and not text.isascii():
        return None  # BuildKit cuts its arguments byte by byte, and the package then fails to decode them
    try:
        commands = dockerfile.parse_string(text)
    except dockerfile.GoParseError as error:
        return str(error)
    return [
        Reading(
            command.cmd or "",
            command.json,
            tuple(command.flags),
            ((command.sub_cmd,) if command.sub_cmd else ()) + tuple(command.value),
            tuple((heredoc.name, heredoc.content) for heredoc in command.heredocs),
            command.start_line,
            command.end_line,
        )
        for command in commands
    ]


def readings(parsed: Dockerfile) -> list[Reading]:
    """Return our own reading in the same shape."""
    return [
        Reading(
            instruction.written_keyword,
            instruction.json,
            tuple(f"--{flag.name}" + ("" if flag.value is None else f"={flag.value}") for flag in instruction.flags),
            tuple(word.text for word in instruction.arguments),
            tuple((heredoc.name, heredoc.written) for heredoc in instruction.heredocs),
            instruction.location.line,
            instruction.location.end_line,
        )
        for instruction in parsed.instructions
    ]


def settle(ours: Reading, theirs: Reading) -> Reading:
    """Return their reading with the differences we mean taken over from ours."""
    if theirs.json and not ours.json and _json_with_a_tail(ours, theirs):
        theirs = theirs._replace(json=False, arguments=ours.arguments)  # newer BuildKits read a shell form (J-1)
    if ours.keyword.upper() == "ONBUILD":
        theirs = theirs._replace(heredocs=ours.heredocs)  # the package doesn't show them
        if theirs.arguments == (*ours.arguments, ""):
            theirs = theirs._replace(arguments=ours.arguments)  # its mark for a trigger it doesn't know
    if not all(flag.isascii() for flag in theirs.flags + ours.flags):
        theirs = theirs._replace(flags=ours.flags)  # BuildKit reads flags byte by byte
    return theirs


def _json_with_a_tail(ours: Reading, theirs: Reading) -> bool:
    start = next((n for n, argument in enumerate(ours.arguments) if argument.startswith("[")), None)
    if start is None:
        return False
    try:
        value, _ = json.JSONDecoder().raw_decode(" ".join(ours.arguments[start:]))
    except ValueError:
        return False
    return len(value) == len(theirs.arguments) - start


def differs_as_a_whole(text: str) -> str:
    """Say why the two may cut a text into other instructions, or return ""."""
    escape = "`" if re.match(r"(?:\s*#.*\n)*\s*#\s*escape\s*=\s*`\s*(?:\n|$)", text, re.IGNORECASE) else "\\"
    if "<<" in text and escape == "`":
        return "Z-9: the escape character holds between heredoc markers too"
    if re.search(r"<<-?[ \t]", text):
        return "H-2: blanks before a heredoc's delimiter; the package's BuildKit is older"
    if re.search(re.escape(escape) * 3 + r"[ \t]*\r*$", text, re.MULTILINE):
        return "Z-8: three escape characters at the end of a line"
    if re.search(r"\][^\S\n]*[^\s\]].*<<|\[.*[^\s\"\]].*\][^\S\n]*\S", text):
        return "J-1: text after a JSON array makes it a shell form, which may have heredocs and need not hold strings"
    if "<<" in text and "$" in text:
        return "substitutions beside a heredoc: BuildKit gives up on the markers of a line with a bad one"
    if len(max(text.encode("utf-8", "surrogateescape").split(b"\n"), key=len)) > _LONGEST_LINE:
        return "Z-15: lines have no limit"
    return ""
