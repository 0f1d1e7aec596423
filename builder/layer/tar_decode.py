"""Tar header blocks read strictly: what one 512-byte block and one PAX body say. Pure.

USTAR, GNU (long names, base-256 numbers), v7 and star; the layout is in tar_encode.py. Anything that two readers could
take differently (a signed number, a size in the wrong base, a NUL in a name) is refused rather than guessed at.
"""

from __future__ import annotations

from functools import lru_cache
from os import fsdecode
from struct import Struct
from typing import NamedTuple
from zlib import adler32

from builder.errors import LayerError
from builder.layer.limits import Limits
from builder.layer.numbers import MAX_NUMBER, parse_decimal, parse_field, parse_octal
from builder.layer.sparse import PAIR, SparseRecords, parse_records

BLOCK = 512
_POSIX_MAGIC = b"ustar\0"
_GNU_MAGIC = b"ustar "
_STAR_TRAILER = b"tar\0"
_unpack = Struct("100s24s12s12s8sc100s6s66s8s8s155s12s").unpack
"""name, mode and owner, size, mtime, checksum, type, link, magic, version and names, device, prefix, padding"""
_CHECKSUM_AS_BLANKS = 8 * 32
_DEVICES = frozenset({b"3", b"4"})
_MAX_ID = (1 << 32) - 1
_MAX_MAJOR, _MAX_MINOR = (1 << 12) - 1, (1 << 20) - 1
"""linux/kdev_t.h; what a header has room for is more."""
XATTR_PREFIX = b"SCHILY.xattr."


class Header(NamedTuple):
    """One header block as it stands; PAX records and long names are not in it yet."""

    kind: bytes
    name: bytes
    link: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    device: tuple[int, int]


class PaxRecords(NamedTuple):
    """What a PAX header changes of the entry it precedes; None leaves a field as it is."""

    path: bytes | None = None
    link: bytes | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    mtime: int | None = None
    xattrs: tuple[tuple[str, bytes], ...] = ()
    sparse: SparseRecords | None = None


def decode_header(block: bytes, position: int) -> Header:
    """Read a header block. `position` is where it stands in the archive, for the message. Raises LayerError."""
    name, attributes, size, mtime, field, kind, link, magic, _, major, minor, prefix, trailer = _unpack(block)
    # The low half of an Adler-32 is 1 + the sum of the bytes, exact up to 256 of them; tar_encode.py says more.
    checksum = (
        (adler32(block[:148]) & 0xFFFF) + (adler32(block[156:412]) & 0xFFFF) + (adler32(block[412:]) & 0xFFFF)
        - 3 + _CHECKSUM_AS_BLANKS
    )  # fmt: skip
    stored = parse_octal(field)
    if stored != checksum and stored != _signed_checksum(block):
        raise LayerError(f"the layer is not a tar archive, or is damaged: wrong checksum in the header at {position}")
    name = name.partition(b"\0")[0]
    if magic == _POSIX_MAGIC and prefix[0]:
        prefix = prefix[:131] if trailer[8:] == _STAR_TRAILER else prefix
        name = prefix.partition(b"\0")[0] + b"/" + name
    device = (0, 0)
    if kind in _DEVICES and magic in (_POSIX_MAGIC, _GNU_MAGIC):
        device = (parse_field(major), parse_field(minor))
        if device[0] > _MAX_MAJOR or device[1] > _MAX_MINOR:
            raise LayerError(f"a header of the archive has a device out of range: {device[0]}:{device[1]}")
    mode, uid, gid = _attributes(attributes)
    return Header(kind, name, link.partition(b"\0")[0], mode, uid, gid, parse_field(size), _time(mtime), device)


@lru_cache(maxsize=1024)
def _attributes(field: bytes) -> tuple[int, int, int]:
    """Mode, uid and gid: remembered, as most entries of an archive have the same."""
    uid, gid = parse_field(field[8:16]), parse_field(field[16:24])
    if uid > _MAX_ID or gid > _MAX_ID:
        raise LayerError(f"a header of the archive has an owner out of range: {uid}:{gid}")
    return parse_field(field[:8]) & 0o7777, uid, gid


@lru_cache(maxsize=1024)
def _time(field: bytes) -> int:
    return parse_field(field, signed=True)


def decode_pax(body: bytes, limits: Limits) -> PaxRecords:
    """Read the body of a PAX header: `length key=value\\n` records, the last of a key counts. Raises LayerError."""
    records: dict[bytes, bytes] = {}
    pairs: list[tuple[bytes, bytes]] = []
    at = 0
    while at < len(body):
        digits, blank, _ = body[at : at + 20].partition(b" ")
        if not blank or not digits.isdigit() or digits.startswith(b"0"):
            if not body[at:].strip(b"\0"):
                break  # padded inside its own size: seen from old writers
            raise LayerError("a PAX header is malformed: a record does not begin with its length")
        length = int(digits)
        record = body[at + len(digits) + 1 : at + length]
        key, equals, value = record.partition(b"=")
        if at + length > len(body) or not record.endswith(b"\n") or not equals or not key or b"\0" in key:
            raise LayerError("a PAX header is malformed: a record is not key=value of the length it gives")
        records[key] = value[:-1]
        if key in PAIR:
            pairs.append((key, value[:-1]))
        at += length
    return _decode_records(records, pairs, limits)


def _decode_records(records: dict[bytes, bytes], pairs: list[tuple[bytes, bytes]], limits: Limits) -> PaxRecords:
    # An empty value takes the record back (POSIX pax, "Extended Header Keyword Precedence").
    given = {key: value for key, value in records.items() if value}
    for key in (b"path", b"linkpath"):
        if b"\0" in given.get(key, b""):
            raise LayerError("a PAX header holds a name with a NUL byte")
    xattrs = tuple(
        sorted(
            (fsdecode(key[len(XATTR_PREFIX) :]), value)
            for key, value in records.items()
            if key.startswith(XATTR_PREFIX)
        )
    )
    for name, _ in xattrs:
        if not 0 < len(name.encode("utf-8", "surrogateescape")) <= limits.name_bytes:
            raise LayerError("a PAX header holds an extended attribute whose name is empty or too long")
    return PaxRecords(
        path=given.get(b"path"),
        link=given.get(b"linkpath"),
        uid=parse_decimal(given[b"uid"], "uid", _MAX_ID) if b"uid" in given else None,
        gid=parse_decimal(given[b"gid"], "gid", _MAX_ID) if b"gid" in given else None,
        size=parse_decimal(given[b"size"], "size", MAX_NUMBER) if b"size" in given else None,
        mtime=_pax_time(given.get(b"mtime")),
        xattrs=xattrs,
        sparse=parse_records(records, pairs),
    )


def _pax_time(value: bytes | None) -> int | None:
    """Whole seconds, rounded down: -1.5 is -2."""
    if value is None:
        return None
    whole, _, fraction = value.partition(b".")
    negative = whole.startswith(b"-")
    digits = whole[1:] if negative else whole
    if not digits.isdigit() or len(digits) > 18 or (fraction and not fraction.isdigit()):
        raise LayerError(f"a PAX header holds {value[:40]!r} as mtime, which is not a time")
    return -int(digits) - (1 if fraction.strip(b"0") else 0) if negative else int(digits)


def _signed_checksum(block: bytes) -> int:
    """What some old writers stored: the sum of the bytes as signed chars."""
    return sum(byte - 256 if byte > 127 else byte for byte in block[:148] + block[156:]) + _CHECKSUM_AS_BLANKS
