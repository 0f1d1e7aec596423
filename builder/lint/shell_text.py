"""What can be read off a shell's text without running it: the variables that it expands and has not set itself."""

from __future__ import annotations

import re

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_REFERENCE = re.compile(rf"\$(?:({_NAME})|\{{({_NAME})([^}}]?)(.?))")
_SETS = re.compile(
    rf"(?:^|[\s;&|({{\"'])(?:(?P<assigned>{_NAME})\+?=|for\s+(?P<looped>{_NAME})\s|select\s+(?P<selected>{_NAME})\s"
    rf"|(?:read|mapfile|readarray|getopts|printf\s+-v|unset|local|declare|export|typeset)(?P<listed>(?:\s+[^\s;&|]+)+))"
)


def read_variables(text: str) -> list[str]:
    """Return the names that `text` expands, in order: not in single quotes, not escaped, without a fall-back.

    A name that the text itself sets anywhere is left out: which comes first only a shell knows.
    """
    own = _set_names(text)
    found = [name for name in _references(text) if name not in own]
    return list(dict.fromkeys(found))


def _references(text: str) -> list[str]:
    found: list[str] = []
    in_double = False
    position = 0
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 2
            continue
        if character == '"':
            in_double = not in_double
        elif character == "'" and not in_double:
            end = text.find("'", position + 1)
            position = end if end >= 0 else len(text)
        elif character == "#" and not in_double and (position == 0 or text[position - 1].isspace()):
            end = text.find("\n", position)
            position = end if end >= 0 else len(text)
        elif character == "$" and (match := _REFERENCE.match(text, position)):
            if match[1] or not _has_fall_back(match):
                found.append(match[1] or match[2])
            position = match.end(1) if match[1] else match.end(2)
            continue
        position += 1
    return found


def _has_fall_back(match: re.Match[str]) -> bool:
    operator = match[3] or ""
    return operator in ("-", "=", "+", "?") or (operator == ":" and match[4] in ("-", "=", "+", "?"))


def _set_names(text: str) -> set[str]:
    names: set[str] = set()
    for match in _SETS.finditer(text):
        names.update(filter(None, (match["assigned"], match["looped"], match["selected"])))
        names.update(re.findall(_NAME, match["listed"] or ""))
    return names
