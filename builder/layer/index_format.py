"""The table of contents of a layer, as bytes. What index.py reads and index_writer.py writes.

    header    100 bytes: magic, version, flags, counts, where the offsets begin, checksum of what follows the header,
              diff ID of the layer (zeros: not said), checksum of the header
    records   one per entry, sorted by tree key, each:
              length, key length, link length, xattrs length, kind, mode, uid, gid, mtime, size, offset, device,
              has digest, digest | key | link | xattrs
    offsets   8 bytes per record: where it begins

The tree key is the path with NUL for "/", so that plain byte order is tree order, whatever bytes a name holds.
Little-endian. The file is derived from the layer tar and is made again from it when it is damaged or not of its layer.
"""

from __future__ import annotations

from mmap import mmap
from os import fsdecode, fsencode
from struct import Struct
from struct import error as StructError
from typing import NamedTuple
from zlib import crc32

from builder.errors import LayerError, counted
from builder.filesystem.entry import Entry, Kind

HEADER = Struct("<8sHHIQQQQQ32sI")
"""magic, version, flags, CRC-32 of the rest, records, offsets position, file size, regular files, bytes in them,
diff ID, CRC-32 of the header."""
MAGIC = b"PBINDEX\n"
VERSION = 2

NOT_SELF_CONTAINED = 1
HAS_WHITEOUTS = 2
HAS_OPAQUE = 4

_FIXED = Struct("<IHHIBHIIqQQIIB32s")
_PEEK = Struct("<IH")
FIXED_SIZE = _FIXED.size
_KIND_AT = Struct("<IHHI").size
KINDS: tuple[Kind, ...] = ("file", "directory", "symlink", "hardlink", "character", "block", "fifo")
_CODE_BY_KIND = {kind: code for code, kind in enumerate(KINDS)}
_NO_DIGEST = bytes(32)
_pack = _FIXED.pack
_unpack = _FIXED.unpack_from


def encode_record(entry: Entry, mtime: int, offset: int, digest: bytes) -> tuple[bytes, bytes]:
    """Return (tree key, record).

    `offset` is where the content begins in the uncompressed tar, `digest` the sha256 of it (32 bytes) or empty.
    """
    path, kind, mode, uid, gid, _, size, link, device, xattrs, _ = entry
    key = (path.encode() if path.isascii() else fsencode(path)).replace(b"/", b"\0")
    if not link and not xattrs:
        length = FIXED_SIZE + len(key)
        return key, _pack(
            length, len(key), 0, 0, _CODE_BY_KIND[kind], mode, uid, gid, mtime, size, offset, device[0], device[1],
            1 if digest else 0, digest or _NO_DIGEST,
        ) + key  # fmt: skip
    target = fsencode(link)
    attributes = _encode_xattrs(xattrs)
    length = FIXED_SIZE + len(key) + len(target) + len(attributes)
    return key, _pack(
        length, len(key), len(target), len(attributes), _CODE_BY_KIND[kind], mode, uid, gid, mtime, size, offset,
        device[0], device[1], 1 if digest else 0, digest or _NO_DIGEST,
    ) + key + target + attributes  # fmt: skip


def decode_record(data: bytes | mmap, at: int) -> tuple[Entry, int, int]:
    """Read the record at `at`: (entry, offset of its content, its length). Raises LayerError when it is not one."""
    try:
        (
            length, key_size, link_size, xattrs_size, code, mode, uid, gid, mtime, size, offset, major, minor,
            has_digest, digest,
        ) = _unpack(data, at)  # fmt: skip
        kind = KINDS[code]
    except (StructError, IndexError) as error:
        raise damaged("a record is cut short or of no known kind") from error
    at += FIXED_SIZE
    end = at + key_size
    raw_key = data[at:end]
    if length != FIXED_SIZE + key_size + link_size + xattrs_size or len(raw_key) != key_size:
        raise damaged("the lengths of a record do not add up")
    raw_path = raw_key.replace(b"\0", b"/")
    path = raw_path.decode() if raw_path.isascii() else fsdecode(raw_path)
    link = fsdecode(data[end : end + link_size]) if link_size else ""
    xattrs = _decode_xattrs(data[end + link_size : end + link_size + xattrs_size]) if xattrs_size else ()
    text = digest.hex() if has_digest else ""
    return Entry(path, kind, mode, uid, gid, mtime, size, link, (major, minor), xattrs, text), offset, length


def peek(data: bytes | mmap, at: int) -> tuple[int, bytes]:
    """Return length and tree key of the record at `at`."""
    length, key_size = _PEEK.unpack_from(data, at)
    return length, data[at + FIXED_SIZE : at + FIXED_SIZE + key_size]


def is_directory(data: bytes) -> bool:
    """Say whether a record is that of a directory."""
    return data[_KIND_AT] == _CODE_BY_KIND["directory"]


class LayerStatistics(NamedTuple):
    """Members of the tar, those that are no directories, and bytes in regular files."""

    entries: int
    files: int
    bytes_: int


class Header(NamedTuple):
    """What an index file says of itself."""

    flags: int
    checksum: int
    """CRC-32 of all that follows the header."""
    records: int
    offsets_at: int
    size: int
    files: int
    bytes_: int
    diff_id: bytes = _NO_DIGEST


def encode_header(header: Header) -> bytes:
    """Return the header of an index file."""
    flags, checksum, records, offsets_at, size, files, bytes_, diff_id = header
    head = HEADER.pack(MAGIC, VERSION, flags, checksum, records, offsets_at, size, files, bytes_, diff_id, 0)[:-4]
    return head + crc32(head).to_bytes(4, "little")


def decode_header(data: bytes, size: int) -> Header:
    """Read the header of an index file `size` bytes long.

    Raises LayerError when it was written by another version, is damaged or cut short.
    """
    if len(data) < HEADER.size or data[:8] != MAGIC:
        raise damaged("it does not begin as one")
    version = int.from_bytes(data[8:10], "little")
    if version != VERSION:
        raise damaged(f"it has format {version}, and this is format {VERSION}")
    _, _, flags, checksum, records, offsets_at, file_size, files, bytes_, diff_id, own = HEADER.unpack_from(data)
    if crc32(data[: HEADER.size - 4]) != own:
        raise damaged("its header has been altered")
    if file_size != size or offsets_at + 8 * records != size:
        raise damaged(f"it has {counted(size, 'byte')} and should have {file_size}")
    return Header(flags, checksum, records, offsets_at, file_size, files, bytes_, diff_id)


def damaged(reason: str) -> LayerError:
    """Return the error for an index that cannot be used."""
    return LayerError(
        f"a layer index cannot be read: {reason}", hint="It can be rebuilt from the layer: remove it and build again."
    )


def _encode_xattrs(xattrs: tuple[tuple[str, bytes], ...]) -> bytes:
    parts = []
    for name, value in xattrs:
        raw = fsencode(name)
        parts.append(len(raw).to_bytes(2, "little") + len(value).to_bytes(4, "little") + raw + value)
    return b"".join(parts)


def _decode_xattrs(data: bytes) -> tuple[tuple[str, bytes], ...]:
    found = []
    at = 0
    while at < len(data):
        middle = at + 6 + int.from_bytes(data[at : at + 2], "little")
        end = middle + int.from_bytes(data[at + 2 : at + 6], "little")
        if end > len(data):
            raise damaged("the extended attributes of an entry are cut short")
        found.append((fsdecode(data[at + 6 : middle]), data[middle:end]))
        at = end
    return tuple(found)
