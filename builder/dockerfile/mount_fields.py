"""The fields of a `--mount` value: CSV, keys with their aliases, typed values, and what each kind of mount allows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

from builder.dockerfile.words import go_quote
from builder.errors import DockerfileSyntaxError, Location
from builder.suggest import did_you_mean, nearest
from builder.truth import truth_of

Kind = Literal["bind", "cache", "tmpfs", "secret", "ssh"]
Sharing = Literal["shared", "private", "locked"]
KINDS = ("bind", "cache", "tmpfs", "secret", "ssh")
SHARINGS = ("shared", "private", "locked")
KEYS = (
    "type", "from", "source", "target", "readonly", "id", "sharing", "required", "size", "mode", "uid", "gid", "src",
    "dst", "destination", "ro", "rw", "readwrite", "env",
)  # fmt: skip
_IGNORED = frozenset({"z", "Z", "relabel"})
_BARE = frozenset({"readonly", "ro", "readwrite", "rw", "required"})
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_QUOTED_FIELD = re.compile(r'"((?:[^"]|"")*)"(?=,|$)', re.DOTALL)
_SHORTEST_TYPO = 3
_LARGEST_ID = (1 << 32) - 1
_LARGEST_SIZE = (1 << 63) - 1


@dataclass(slots=True, kw_only=True)
class MountFields:
    """What was said, kind by kind unchecked. `readonly` None: nothing was said."""

    location: Location | None
    kind: Kind = "bind"
    target: str = ""
    source: str = ""
    origin: str = ""
    identifier: str = ""
    variable: str = ""
    sharing: Sharing | None = None
    readonly: bool | None = None
    required: bool = False
    size: int | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    complete: bool = True
    """False when a value with variables was left unread."""


def split_csv(text: str, location: Location | None = None) -> list[str]:
    """Split one CSV record: a field may stand in double quotes, a quote in it doubled. Raises DockerfileSyntaxError."""
    fields: list[str] = []
    position = 0
    while True:
        if text.startswith('"', position):
            match = _QUOTED_FIELD.match(text, position)
            if match is None:
                raise _csv_error('extraneous or missing " in quoted-field', len(text), location)
            fields.append(match[1].replace('""', '"'))
            position = match.end()
        else:
            comma = text.find(",", position)
            end = comma if comma >= 0 else len(text)
            if (quote := text.find('"', position, end)) >= 0:
                raise _csv_error('bare " in non-quoted-field', quote, location)
            fields.append(text[position:end])
            position = end
        if position >= len(text):
            return fields
        position += 1


def _csv_error(reason: str, offset: int, location: Location | None) -> DockerfileSyntaxError:
    message = f"failed to parse csv mounts: parse error on line 1, column {offset + 1}: {reason}"
    return DockerfileSyntaxError(message, location, hint='Quote a whole field that holds a comma: "source=a,b".')


def read_fields(text: str, location: Location | None, expand: Callable[[str], str] | None) -> MountFields:
    """Read the fields; without `expand`, values with variables or quotes are skipped and `complete` turns false."""
    result = MountFields(location=location)
    later: list[tuple[str, str, Location | None]] = []
    narrow = _narrow(text, location)
    position = 0
    for field in split_csv(text, location):
        place = location
        if narrow:
            start = narrow.column + position
            place = narrow._replace(column=start, end_column=start + len(field))
        result.location = place
        position += len(field) + 1
        written, equal, value = field.partition("=")
        key = written.lower()
        if written in _IGNORED or key == "relabel":
            continue
        _check_key(key, bool(equal), field, place)
        if key == "from":
            if re.search(r"\$.", value):
                message = "'from' doesn't support variable expansion, define alias stage instead"
                raise DockerfileSyntaxError(message, place, hint="FROM takes variables: FROM $image AS alias.")
            result.origin = value
        elif equal and expand is None and re.search(r"[$'\"\\`]", value):
            result.complete = False
        else:
            # A key that may stand without a value says yes.
            later.append((key, _expand(value, expand) if equal else "true", place))
    # The type is read first: which keys are allowed depends on it, wherever it stands.
    for key, read_value, result.location in sorted(later, key=lambda item: item[0] != "type"):
        _set(result, key, read_value)
    result.location = location
    if result.complete:
        _check_ownership(result)
    return result


def _narrow(text: str, location: Location | None) -> Location | None:
    """Return the location when places inside it can be counted: on one line, and written as it is read."""
    if location is None or location.line != location.end_line or '"' in text:
        return None
    return location if location.end_column - location.column == len(text) else None


def _expand(value: str, expand: Callable[[str], str] | None) -> str:
    return expand(value) if expand else value


def _check_key(key: str, has_value: bool, field: str, location: Location | None) -> None:
    if key not in KEYS:
        if has_value:
            message = f"unexpected key '{key}' in '{field}'{did_you_mean(key, KEYS)}"
            raise DockerfileSyntaxError(message, location)
        near = nearest(key, sorted(_BARE)) if len(key) > _SHORTEST_TYPO else ""
        hint = f"Did you mean {near}?" if near else ""
        raise DockerfileSyntaxError(f"invalid field '{field}' must be a key=value pair", location, hint=hint)
    if not has_value and key not in _BARE:
        raise DockerfileSyntaxError(f"invalid field '{field}' must be a key=value pair", location)


def _set(result: MountFields, key: str, value: str) -> None:
    reading = _READINGS[key]
    if reading.kinds:
        _check_kind(result, key, *reading.kinds)
    setattr(result, reading.member, reading.read(key, value, result.location))


def _check_kind(result: MountFields, key: str, *kinds: str) -> None:
    if result.complete and result.kind not in kinds:
        message = f"unexpected key '{key}' for mount type '{result.kind}'"
        raise DockerfileSyntaxError(
            message, result.location, hint=f"The key {key!r} belongs to {' and '.join(kinds)} mounts."
        )


def _check_ownership(result: MountFields) -> None:
    for name, value in (("mode", result.mode), ("uid", result.uid), ("gid", result.gid)):
        if value is not None and result.kind in ("bind", "tmpfs"):
            raise DockerfileSyntaxError(f'{name} not allowed for "{result.kind}" type mounts', result.location)
    if result.sharing and result.kind not in ("cache", "secret"):
        raise DockerfileSyntaxError(f"invalid cache sharing set for {result.kind} mount", result.location)


def _kind(key: str, value: str, location: Location | None) -> Kind:
    if value.lower() not in KINDS:
        near = did_you_mean(value, KINDS)
        raise DockerfileSyntaxError(f"unsupported mount type {go_quote(value)}{near}", location)
    return cast(Kind, value.lower())


def _sharing(key: str, value: str, location: Location | None) -> Sharing:
    if value.lower() not in SHARINGS:
        near = did_you_mean(value, SHARINGS)
        raise DockerfileSyntaxError(f"unsupported sharing value {go_quote(value)}{near}", location)
    return cast(Sharing, value.lower())


def _text(key: str, value: str, location: Location | None) -> str:
    return value


def _boolean(key: str, value: str, location: Location | None) -> bool:
    if (found := truth_of(value)) is not None:
        return found
    raise DockerfileSyntaxError(f"invalid value for {key}: {value}", location, hint="Write true or false.")


def _opposite(key: str, value: str, location: Location | None) -> bool:
    return not _boolean(key, value, location)


def _octal(key: str, value: str, location: Location | None) -> int:
    return _number(key, value, 8, location)


def _decimal(key: str, value: str, location: Location | None) -> int:
    return _number(key, value, 10, location)


def _number(key: str, value: str, base: int, location: Location | None) -> int:
    if (
        re.fullmatch(r"[0-7]{1,12}" if base == 8 else r"[0-9]{1,10}", value, re.ASCII)
        and int(value, base) <= _LARGEST_ID
    ):
        return int(value, base)
    hint = "A mode is octal, such as 0700." if key == "mode" else ""
    raise DockerfileSyntaxError(f"invalid value {value} for {key}", location, hint=hint)


def _size(key: str, value: str, location: Location | None) -> int:
    """Docker's size units: 64m, 1.5g, 10MiB, 512; all powers of 1024."""
    match = re.fullmatch(r"([0-9]{1,18})(?:\.([0-9]{1,9}))? ?([kmgtp]?)(?:i?b)?", value, re.ASCII | re.IGNORECASE)
    if match is None:
        raise DockerfileSyntaxError(
            f"invalid value for size: {value}",
            location,
            hint="Write bytes, or a number with a unit, such as 64m or 1g.",
        )
    scale = _UNITS[match[3].lower()]
    fraction = match[2] or ""
    size = int(match[1]) * scale + int(fraction or "0") * scale // int(10 ** len(fraction))
    if size > _LARGEST_SIZE:
        raise DockerfileSyntaxError(f"invalid value for size: {value}", location)
    return size


class _Reading(NamedTuple):
    """What becomes of a key: the member of MountFields that it sets, and how its value is read."""

    member: str
    read: Callable[[str, str, Location | None], object]
    """(key, value, location of the field). Raises DockerfileSyntaxError."""
    kinds: tuple[Kind, ...] = ()
    """The kinds of mount that may have the key, where that is asked of the key; empty for all."""


_READ_ONLY, _READ_WRITE = _Reading("readonly", _boolean), _Reading("readonly", _opposite)
_SOURCE, _TARGET = _Reading("source", _text), _Reading("target", _text)
_READINGS = {
    "type": _Reading("kind", _kind),
    "readonly": _READ_ONLY, "ro": _READ_ONLY, "readwrite": _READ_WRITE, "rw": _READ_WRITE,
    "source": _SOURCE, "src": _SOURCE, "target": _TARGET, "dst": _TARGET, "destination": _TARGET,
    "id": _Reading("identifier", _text),
    "env": _Reading("variable", _text),
    "sharing": _Reading("sharing", _sharing),
    "required": _Reading("required", _boolean, ("secret", "ssh")),
    "size": _Reading("size", _size, ("tmpfs",)),
    "mode": _Reading("mode", _octal),
    "uid": _Reading("uid", _decimal),
    "gid": _Reading("gid", _decimal),
}  # fmt: skip
