"""The values of Go's templates: how Go prints them, and the functions that `inspect -f` is asked with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from builder.cli.display.text import clean


@dataclass(frozen=True, slots=True)
class Absent:
    """A member that docker knows and that is not set; `text` is what Go prints for its zero value."""

    text: str = ""


def is_true(value: Any) -> bool:
    """Say whether a value counts as true: it is set, and neither empty nor 0."""
    return bool(value) and not isinstance(value, Absent)


def kind(value: Any) -> str:
    """Return what messages call a value."""
    names = {str: "text", bool: "truth", int: "number", list: "list", dict: "object"}
    return names.get(type(value), "value that is not set")


def shown(value: Any) -> str:
    """Return what Go prints for a value, without its control characters: images come from anywhere."""
    return "\n".join(clean(line) for line in _text(value).split("\n"))


def _text(value: Any, *, inner: bool = False) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case None:
            return "<nil>" if inner else "<no value>"
        case Absent():
            return value.text
        case list():
            return f"[{' '.join(_text(item, inner=True) for item in value)}]"
        case {} if inner and not value:
            return "{}"  # struct{}, of which ExposedPorts and Volumes are made
        case Mapping():
            return f"map[{' '.join(f'{key}:{_text(value[key], inner=True)}' for key in sorted(value))}]"
        case _:
            return str(value)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=lambda absent: None)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Absent | None):
            return ""
        if isinstance(value, Mapping):
            value = value.get(key, "")
        elif isinstance(value, list) and isinstance(key, int):
            if not 0 <= key < len(value):
                raise LookupError(f"index out of range: {key}")
            value = value[key]
        else:
            raise TypeError(f"a {kind(value)} has no index {key!r}")
    return value


def _join(value: Any, separator: Any = "") -> str:
    if isinstance(value, str) and isinstance(separator, list):  # behind a pipe the list comes last
        value, separator = separator, value
    if isinstance(value, Absent | None):
        return ""
    if not isinstance(value, list):
        raise TypeError(f"a {kind(value)} cannot be joined")
    return str(separator).join(_text(item) for item in value)


def _len(value: Any) -> int:
    if isinstance(value, Absent | None):
        return 0
    if not isinstance(value, Mapping | list | str):
        raise TypeError(f"a {kind(value)} has no length")
    return len(value)


def _split(value: Any, separator: Any) -> list[str]:
    return str(value).split(str(separator)) if separator else list(str(value))


_MANY = 99
FUNCTIONS: Mapping[str, tuple[Callable[..., Any], int, int]] = {
    "json": (_json, 1, 1),
    "index": (_index, 1, _MANY),
    "join": (_join, 2, 2),
    "split": (_split, 2, 2),
    "len": (_len, 1, 1),
    "print": (lambda *values: "".join(map(_text, values)), 0, _MANY),
    "println": (lambda *values: " ".join(map(_text, values)) + "\n", 0, _MANY),
    "lower": (lambda value: _text(value).lower(), 1, 1),
    "upper": (lambda value: _text(value).upper(), 1, 1),
    "eq": (lambda first, *others: first in others, 2, _MANY),
    "ne": (lambda first, second: first != second, 2, 2),
    "not": (lambda value: not is_true(value), 1, 1),
}
"""Name → function, and how many values it takes; those of Go and docker that inspect is asked with."""
