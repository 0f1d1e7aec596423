"""One file, directory or link as a line of bytes: what cache keys are made of, and what explains a change of them.

    path \\0 kind \\0 mode \\0 uid:gid \\0 size \\0 link \\0 device \\0 first name \\0 attributes \\0 sha256 \\0

Never in here: modification times, owners on the host. `first name` is that of the same file, for the second and further
names of it.
"""

from __future__ import annotations

from typing import NamedTuple

from builder.filesystem.entry import Entry

_FIELDS = 10
_HEX_DIGITS = 64
_SHORT = 16
"""Hexadecimal digits of a digest that are kept: enough to tell two contents from each other."""
_CUT = _HEX_DIGITS - _SHORT + 1


class Described(NamedTuple):
    """A line taken apart again; `attributes` is `name=hex,…`, `digest` may be cut."""

    path: str
    kind: str
    mode: str
    owner: str
    size: str
    link: str
    device: str
    first_name: str
    attributes: str
    digest: str


def entry_line(path: str, entry: Entry, first_name: str, digest: str) -> bytes:
    """Return the line of an entry of a selection."""
    # Each field ends in NUL, which no path, link target or name of an attribute can hold, and values are in hex: so two
    # entries that differ never have one line.
    text = (
        f"{path}\0{entry.kind}\0{entry.mode:o}\0{entry.uid}:{entry.gid}\0{entry.size}\0{entry.link}\0"
        f"{entry.device[0]}:{entry.device[1]}\0{first_name}\0{_attributes(entry) if entry.xattrs else ''}\0{digest}\0"
    )
    return text.encode() if text.isascii() else text.encode("utf-8", "surrogateescape")


def with_digest(line: bytes, digest: str) -> bytes:
    """Return a line that has no digest with one."""
    return line[:-1] + digest.encode() + b"\0"


def shortened(line: bytes) -> bytes:
    """Return a line with a shorter digest, for keeping."""
    # The digest and its NUL come last; a line without one ends in two NULs, and stays as it is.
    return line[:-_CUT] + b"\0" if len(line) > _CUT and line[-2:-1] != b"\0" else line


def described(lines: bytes) -> list[Described]:
    """Return the entries that lines describe."""
    fields = lines.decode("utf-8", "surrogateescape").split("\0")
    return [Described(*fields[start : start + _FIELDS]) for start in range(0, len(fields) - 1, _FIELDS)]


def _attributes(entry: Entry) -> str:
    return ",".join(f"{name}={value.hex()}" for name, value in entry.xattrs)
