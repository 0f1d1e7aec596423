"""Files with holes in a tar: GNU tar's four forms read, and given as if there were no holes.

    type S         extents in the header, and in blocks after it (tar(5), "struct sparse")
    PAX 0.0        GNU.sparse.offset and GNU.sparse.numbytes, once for each extent
    PAX 0.1        GNU.sparse.map=offset,size,offset,size
    PAX 1.0        lines before the data: how many extents, then offset and size of each

Only for archives that are unpacked: the image spec asks layers not to have them (layer.md#file-types).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from builder.errors import LayerError
from builder.layer.limits import Limits
from builder.layer.numbers import parse_decimal, parse_field

PREFIX = b"GNU.sparse."
PAIR = (PREFIX + b"offset", PREFIX + b"numbytes")
"""Records of which each counts, and not only the last of a name."""
_BLOCK = 512
_NUMBER_BYTES = 12
_EXTENT_BYTES = 2 * _NUMBER_BYTES
_IN_HEADER, _IN_HEADER_AT, _MORE_AT, _REAL_SIZE_AT = 4, 386, 482, 483
_IN_BLOCK = 21
_LINE_BYTES = 20

Extents = list[tuple[int, int]]
"""(offset, size) of each part that is there, in bytes of the whole file."""
Read = Callable[[int], bytes]
"""Gives exactly so many bytes of the archive, or raises LayerError."""


class SparseRecords(NamedTuple):
    """What PAX records say of a file with holes."""

    name: bytes
    size: int
    """With its holes."""
    extents: Extents | None
    """None when they stand before the data."""


def parse_records(records: Mapping[bytes, bytes], pairs: Sequence[tuple[bytes, bytes]]) -> SparseRecords | None:
    """Return what PAX records say of holes, None when nothing; `pairs` are those of PAIR. Raises LayerError."""
    known = {key[len(PREFIX) :]: value for key, value in records.items() if key.startswith(PREFIX)}
    if not known:
        return None
    version = known.get(b"major", b"0"), known.get(b"minor", b"0")
    size = known.get(b"realsize", known.get(b"size", b""))
    if version == (b"1", b"0"):
        extents = None
    elif version in ((b"0", b"0"), (b"0", b"1")):
        if any(key != PAIR[at % 2] for at, (key, _) in enumerate(pairs)):
            raise _malformed("its extents do not come in pairs")
        extents = _paired([value for _, value in pairs] or known.get(b"map", b"").split(b","))
    else:
        raise _malformed("its form is of an unknown version")
    return SparseRecords(known.get(b"name", b""), parse_decimal(size, "the size of a sparse file"), extents)


def read_header_extents(block: bytes, read: Read, limits: Limits) -> tuple[int, Extents]:
    """Return size and extents of the type S file whose header is `block`; `read` gives the blocks after it."""
    size = parse_field(block[_REAL_SIZE_AT : _REAL_SIZE_AT + _NUMBER_BYTES])
    extents = _fields(block, _IN_HEADER_AT, _IN_HEADER)
    more = block[_MORE_AT]
    while more:
        block = read(_BLOCK)
        extents += _fields(block, 0, _IN_BLOCK)
        more = block[_IN_BLOCK * _EXTENT_BYTES]
        _check_count(len(extents), limits)
    return size, extents


def read_body_extents(read: Read, limits: Limits) -> Extents:
    """Return the extents that stand before the data of a PAX 1.0 file. Raises LayerError."""
    lines: list[bytes] = []
    rest = b""
    wanted = 1
    while len(lines) < wanted:
        block = read(_BLOCK)
        if not block:
            raise _malformed("its extents are cut short")
        *complete, rest = (rest + block).split(b"\n")
        if len(rest.rstrip(b"\0")) > _LINE_BYTES:
            raise _malformed("its extents are no lines of numbers")
        lines += complete
        if lines:
            count = _number(lines[0])
            _check_count(count, limits)
            wanted = 1 + 2 * count
    return _paired(lines[1:wanted])


class SparseReader:
    """The content of a file with holes: `read(n)` gives its next bytes, b"" at the end."""

    def __init__(self, extents: Extents, size: int, stored: int, read: Read) -> None:
        """`stored` bytes of it follow in the archive, which `read` gives. Raises LayerError for what does not fit."""
        end = 0
        for offset, length in extents:
            if offset < end or offset + length > size:
                raise _malformed("its extents overlap, or lie beyond its end")
            end = offset + length
        if sum(length for _, length in extents) != stored:
            raise _malformed("its extents do not add up to what is stored")
        self._extents = [(offset, length) for offset, length in extents if length]
        self._extents.reverse()
        self._size = size
        self._at = 0
        self._read = read

    def read(self, size: int) -> bytes:
        left = self._size - self._at
        wanted = left if size < 0 else min(size, left)
        parts = []
        while wanted:
            offset, length = self._extents[-1] if self._extents else (self._size, 0)
            if self._at < offset:
                taken = min(wanted, offset - self._at)
                parts.append(bytes(taken))
            else:
                taken = min(wanted, offset + length - self._at)
                parts.append(self._read(taken))
                if self._at + taken == offset + length:
                    self._extents.pop()
            self._at += taken
            wanted -= taken
        return b"".join(parts)


def _fields(block: bytes, at: int, count: int) -> Extents:
    """Extents of a header or of a block after it; one of zeros ends them."""
    extents = []
    for start in range(at, at + count * _EXTENT_BYTES, _EXTENT_BYTES):
        if not block[start + _NUMBER_BYTES]:
            break
        middle = start + _NUMBER_BYTES
        extents.append((parse_field(block[start:middle]), parse_field(block[middle : middle + _NUMBER_BYTES])))
    return extents


def _paired(numbers: Sequence[bytes]) -> Extents:
    values = [_number(number) for number in numbers if number]
    if len(values) % 2:
        raise _malformed("its extents do not come in pairs")
    return list(zip(values[::2], values[1::2]))


def _number(value: bytes) -> int:
    return parse_decimal(value, "an extent of a sparse file")


def _check_count(count: int, limits: Limits) -> None:
    if count > limits.sparse_extents:
        raise LayerError(f"the archive holds a sparse file of more than {limits.sparse_extents} parts")


def _malformed(reason: str) -> LayerError:
    return LayerError(f"the archive holds a sparse file that cannot be read: {reason}")
