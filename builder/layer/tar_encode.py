"""One entry as tar header bytes: USTAR, and a PAX header before it for what USTAR cannot hold (POSIX.1-2017 pax).

    name 100 | mode 8 | uid 8 | gid 8 | size 12 | mtime 12 | checksum 8 | type 1 | link 100
    | "ustar\\0" "00" | user 32 | group 32 | device major 8 | minor 8 | prefix 155 | zeros 12

The same bytes as `tarfile.TarInfo.tobuf(USTAR_FORMAT)` gives, at a tenth of the time. PAX records are what Go's
archive/tar writes: no `hdrcharset`, names as raw bytes, xattrs as `SCHILY.xattr.<name>`.
"""

from __future__ import annotations

from os import fsencode
from zlib import adler32

from builder.filesystem.entry import Entry

BLOCK = 512
END = bytes(2 * BLOCK)
"""Two zero blocks end an archive. More would be padding to a tape's record size."""

TYPE_BY_KIND = {
    "file": b"0",
    "hardlink": b"1",
    "symlink": b"2",
    "character": b"3",
    "block": b"4",
    "directory": b"5",
    "fifo": b"6",
}
_NAME, _PREFIX = 100, 155
_MAX_ID = 0o7777777
_MAX_SIZE = 0o77777777777
_ZEROS = bytes(BLOCK)
_TAIL = b"ustar\x0000" + bytes(64)
"""Magic, version, and no user and group names: a name means another id on every machine."""
_NO_DEVICE = bytes(16)
_CHECKSUM_AS_BLANKS = 8 * 32
_REST_BY_KIND = {
    kind: (sum(rest) + _CHECKSUM_AS_BLANKS - 1, rest)
    for kind, rest in (
        (kind, TYPE_BY_KIND[kind] + bytes(_NAME) + _TAIL + _NO_DEVICE + bytes(_PREFIX + 12))
        for kind in ("file", "directory")
    )
}
"""What follows the checksum when there is no link, device or prefix; and what it adds to an Adler-32 for the sum."""
_PAX_NAME = b"PaxHeaders.0/"
_REPRESENTABLE_MTIME = range(_MAX_SIZE + 1)


def encode_header(entry: Entry, mtime: int) -> bytes:
    """Return the header blocks of `entry`: 512 bytes, or more where PAX records come first."""
    path, kind, mode, uid, gid, _, size, link, _, xattrs, _ = entry
    rest = _REST_BY_KIND.get(kind)
    if (
        rest is None
        or link
        or xattrs
        or not path
        or not path.isascii()
        or len(path) >= _NAME
        or uid > _MAX_ID
        or gid > _MAX_ID
        or size > _MAX_SIZE
        or not 0 <= mtime <= _MAX_SIZE
    ):
        return _encode_any(entry, mtime)
    name = path.encode() if kind == "file" else path.encode() + b"/"
    head = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (name.ljust(_NAME, b"\0"), mode, uid, gid, size, mtime)
    # The checksum is the sum of all bytes, with its own field as blanks. The low half of an Adler-32 is 1 + that sum,
    # exact as long as it stays below 65521 (RFC 1950): so for up to 256 bytes. What follows the field is constant.
    return b"%b%06o\0 %b" % (head, (adler32(head) & 0xFFFF) + rest[0], rest[1])


def _with_checksum(head: bytes, tail: bytes) -> bytes:
    """Put the checksum between the first 148 bytes of a header and the last 356."""
    checksum = (
        (adler32(head) & 0xFFFF) + (adler32(tail[:256]) & 0xFFFF) + (adler32(tail[256:]) & 0xFFFF)
        - 3 + _CHECKSUM_AS_BLANKS
    )  # fmt: skip
    return b"%b%06o\0 %b" % (head, checksum, tail)


def _encode_any(entry: Entry, mtime: int) -> bytes:
    """The general case: split the name, and say in PAX records what does not fit."""
    name = fsencode(entry.path) or b"."
    if entry.kind == "directory":
        name += b"/"
    link = fsencode(entry.link)
    records: dict[bytes, bytes] = {}
    prefix, short = split_name(name)
    if short is None or not name.isascii():
        records[b"path"] = name
        prefix, short = b"", _truncated(name)
    if len(link) > _NAME or not link.isascii():
        records[b"linkpath"] = link
        link = _truncated(link)
    uid, gid, size = entry.uid, entry.gid, entry.size
    if uid > _MAX_ID:
        records[b"uid"], uid = b"%d" % uid, 0
    if gid > _MAX_ID:
        records[b"gid"], gid = b"%d" % gid, 0
    if size > _MAX_SIZE:
        records[b"size"], size = b"%d" % size, 0
    if mtime not in _REPRESENTABLE_MTIME:
        records[b"mtime"], mtime = b"%d" % mtime, 0
    for key, value in entry.xattrs:
        records[b"SCHILY.xattr." + fsencode(key)] = value
    device = b"%07o\0%07o\0" % entry.device if entry.kind in ("character", "block") else _NO_DEVICE
    fields = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (entry.mode, uid, gid, size, mtime)
    header = _block(short, fields, TYPE_BY_KIND[entry.kind], link, device, prefix)
    return _pax_blocks(records, name) + header if records else header


def split_name(name: bytes) -> tuple[bytes, bytes | None]:
    """Split a name over the prefix and name fields at a slash, as tarfile does; (b"", None) when it cannot be."""
    if len(name) <= _NAME:
        return b"", name
    # The longest name that fits: the first slash that leaves at most 100 bytes behind it.
    at = name.find(b"/", len(name) - _NAME - 1)
    if at <= 0 or at > _PREFIX or at == len(name) - 1:
        return b"", None
    return name[:at], name[at + 1 :]


def _pax_blocks(records: dict[bytes, bytes], name: bytes) -> bytes:
    body = b"".join(_pax_record(key, records[key]) for key in sorted(records))
    fields = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (0o644, 0, 0, len(body), 0)
    short = _truncated(_PAX_NAME + name.rstrip(b"/").rpartition(b"/")[2])
    header = _block(short, fields, b"x", b"", _NO_DEVICE, b"")
    return header + body + _ZEROS[: -len(body) % BLOCK]


def _pax_record(key: bytes, value: bytes) -> bytes:
    """`length key=value\\n`, where length counts itself."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) > len(str(rest)):
        length += 1
    return b"%d %b=%b\n" % (length, key, value)


def _truncated(name: bytes) -> bytes:
    """What readers without PAX see: printable ASCII, cut to the field."""
    return bytes(byte if 32 <= byte < 127 else 95 for byte in name[:_NAME])


def _block(name: bytes, fields: bytes, kind: bytes, link: bytes, device: bytes, prefix: bytes) -> bytes:
    tail = b"%b%b%b%b%b" % (kind, link.ljust(_NAME, b"\0"), _TAIL, device, prefix.ljust(_PREFIX + 12, b"\0"))
    return _with_checksum(name.ljust(_NAME, b"\0") + fields, tail)
