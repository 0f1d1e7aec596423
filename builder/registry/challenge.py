"""WWW-Authenticate: header text → challenges (RFC 7235 §4.1). Quoted strings may hold commas and escapes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_SCHEME = re.compile(rf"\s*({_TOKEN})(?=\s|,|$)(?!\s*=)")
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))')
_COMMAS = re.compile(r"[\s,]*")
_MAX_HEADER = 16_384


@dataclass(frozen=True, slots=True)
class Challenge:
    """`scheme` and the names of `parameters` are lower-case."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Return what a server asks for, in its order. Text that follows no grammar ends the list; nothing is raised."""
    found: list[Challenge] = []
    for header in headers:
        found.extend(_parse(header[:_MAX_HEADER]))
    return tuple(found)


def _parse(text: str) -> list[Challenge]:
    found: list[Challenge] = []
    position = _skip(text, 0)
    while position < len(text):
        if parameter := _PARAMETER.match(text, position):
            if not found:
                return found
            name, quoted, plain = parameter.groups()
            found[-1].parameters[name.lower()] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            position = _skip(text, parameter.end())
        elif scheme := _SCHEME.match(text, position):
            found.append(Challenge(scheme.group(1).lower()))
            position = _skip(text, scheme.end())
        else:
            return found
    return found


def _skip(text: str, position: int) -> int:
    match = _COMMAS.match(text, position)
    return match.end() if match else position
