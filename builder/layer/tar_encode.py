"""One entry as tar header bytes: USTAR, and a PAX header before it for what USTAR cannot hold (POSIX.1-2017 pax).

    name 100 | mode 8 | uid 8 | gid 8 | size 12 | mtime 12 | checksum 8 | type 1 | link 100
    | "ustar\\0" "00" | user 32 | group 32 | device major 8 | minor 8 | prefix 155 | zeros 12

Three ways, the quickest that will do; the first two give byte for byte what tarfile does (tests compare them):

    encode_header   files, directories and links with short ASCII names: one format string, a tenth of tarfile's time
    _ustar          all else that USTAR holds: tarfile.TarInfo
    _pax_blocks     what it does not hold: records as Go's archive/tar writes them, which tarfile would write otherwise
                    (names as raw bytes and no `hdrcharset`, xattrs as `SCHILY.xattr.<name>`, no `././@PaxHeader`)
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
_CHECKSUM_AS_BLANKS = 8 * 32
_AFTER_LINK = _TAIL + bytes(16 + _PREFIX + 12)
"""No device, no prefix."""
_REST_BY_KIND = {
    kind: (sum(rest) + _CHECKSUM_AS_BLANKS - 1, rest)
    for kind, rest in (
        (kind, TYPE_BY_KIND[kind] + bytes(_NAME) + _AFTER_LINK) for kind in ("file", "directory", "symlink", "hardlink")
    )
}
"""What follows the checksum when there is no link, device or prefix; and what it adds to an Adler-32 for the sum."""
_PAX_NAME = b"PaxHeaders.0/"
_REPRESENTABLE_MTIME = range(_MAX_SIZE + 1)


def encode_header(entry: Entry, mtime: int) -> bytes:
    """Return the header blocks of `entry`: 512 bytes, or more where PAX records come first."""
    path, kind, mode, uid, gid, _, size, link, _, xattrs, _ = entry
    usual = _REST_BY_KIND.get(kind)
    if (
        usual is None
        or xattrs
        or not path
        or not path.isascii()
        or len(path) >= _NAME
        or uid > _MAX_ID
        or gid > _MAX_ID
        or size > _MAX_SIZE
        or not 0 <= mtime <= _MAX_SIZE
        or (link and not (link.isascii() and len(link) <= _NAME))
    ):
        return _encode_any(entry, mtime)
    name = path.encode() if kind != "directory" else path.encode() + b"/"
    head = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (name.ljust(_NAME, b"\0"), mode, uid, gid, size, mtime)
    # The checksum is the sum of all bytes, with its own field as blanks. The low half of an Adler-32 is 1 + that sum,
    # exact as long as it stays below 65521 (RFC 1950): so for up to 256 bytes. What follows the field is constant but
    # for the link.
    checksum = (adler32(head) & 0xFFFF) + usual[0]
    if not link:
        return b"%b%06o\0 %b" % (head, checksum, usual[1])
    target = link.encode()
    checksum += (adler32(target) & 0xFFFF) - 1
    return b"%b%06o\0 %b%b%b" % (head, checksum, TYPE_BY_KIND[kind], target.ljust(_NAME, b"\0"), _AFTER_LINK)


def _encode_any(entry: Entry, mtime: int) -> bytes:
    """The general case: what does not fit is said in PAX records, and cut or left out in the header."""
    name = fsencode(entry.path) or b"."
    if entry.kind == "directory":
        name += b"/"
    link = fsencode(entry.link)
    records: dict[bytes, bytes] = {}
    short = name
    if not fits_name(name):
        records[b"path"], short = name, _truncated(name)
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
    header = _ustar(short, TYPE_BY_KIND[entry.kind], (entry.mode, uid, gid, size, mtime), link, entry.device)
    return _pax_blocks(records, name) + header if records else header


def fits_name(name: bytes) -> bool:
    """Say whether a name needs no PAX record: ASCII, at most 100 bytes, or with a slash in the right place.

    tarfile would also split a directory's name at its last slash, which leaves an empty name: readers differ on it.
    """
    if len(name) <= _NAME:
        return name.isascii()
    # The longest name that fits: the first slash that leaves at most 100 bytes behind it.
    at = name.find(b"/", len(name) - _NAME - 1)
    return 0 < at <= _PREFIX and at != len(name) - 1 and name.isascii()


def _ustar(
    name: bytes, kind: bytes, numbers: tuple[int, ...], link: bytes = b"", device: tuple[int, int] = (0, 0)
) -> bytes:
    """Return the block of a header whose fields all fit; `numbers` are mode, uid, gid, size and mtime."""
    from tarfile import TarInfo  # gate: rare. Most layers have short names alone

    member = TarInfo()
    member.type, member.linkname = kind, link.decode("ascii")
    member.mode, member.uid, member.gid, member.size, member.mtime = numbers
    member.devmajor, member.devminor = device
    # Not `tobuf`, which ends each directory's name in a slash: one that was cut would be split anew.
    return member.create_ustar_header({**member.get_info(), "name": name.decode("ascii")}, "ascii", "strict")


def _pax_blocks(records: dict[bytes, bytes], name: bytes) -> bytes:
    body = b"".join(_pax_record(key, records[key]) for key in sorted(records))
    short = _truncated(_PAX_NAME + name.rstrip(b"/").rpartition(b"/")[2])
    header = _ustar(short, b"x", (0o644, 0, 0, len(body), 0))
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
