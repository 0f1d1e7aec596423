"""A tar stream, member by member, with every number checked: the only tar parser that sees archives from outside.

    stream.read(n) ──▶ read_tar ──▶ TarMember(entry, offset, read) …

Forward only and in constant memory. Not here: decompression (compression.py), what the paths mean (paths.py),
whiteouts (whiteout.py), writing to disk (apply.py). Files with holes are read as if they had none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from builder.errors import LayerError, counted
from builder.filesystem.entry import Entry, Kind
from builder.layer.limits import LIMITS, Limits, outgrown
from builder.layer.paths import clean_path
from builder.layer.sparse import SparseReader, read_body_extents, read_header_extents
from builder.layer.tar_decode import BLOCK, Header, PaxRecords, decode_header, decode_pax

_SPARSE = b"S"
SCATTERED = -1
"""In place of an offset: the content is in no one piece."""
_READ_BYTES = 1 << 18
_ZERO_BLOCK = bytes(BLOCK)
_KIND_BY_TYPE: dict[bytes, Kind] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    _SPARSE: "file",
    b"1": "hardlink",
    b"2": "symlink",
    b"3": "character",
    b"4": "block",
    b"5": "directory",
    b"6": "fifo",
}
_EXTENSIONS = frozenset({b"x", b"g", b"L", b"K"})
"""PAX of one entry and of the whole archive; GNU long name and long link target."""
_NO_RECORDS = PaxRecords()


class Readable(Protocol):
    """What gives bytes: a file, a socket, a decompressor. An empty answer is the end."""

    def read(self, size: int, /) -> bytes: ...


class TarMember(NamedTuple):
    """One member. `read(n)` gives its next content bytes (b"" at the end), until the next member is asked for."""

    entry: Entry
    """A cleaned path inside the root; a hard link's target too. Symbolic links verbatim."""
    offset: int
    """Where the content begins in the archive; SCATTERED for a file with holes."""
    read: Callable[[int], bytes]


def read_tar(stream: Readable, limits: Limits = LIMITS) -> Iterator[TarMember]:
    """Yield the members of an uncompressed tar in their order, and read the stream to its end.

    Raises LayerError for what is malformed, cut short, or beyond `limits`.
    """
    source = _Source(stream, limits)
    pending: list[tuple[bytes, bytes]] = []
    entries = 0
    while (block := source.next_header()) is not None:
        position = source.position - BLOCK
        header = decode_header(block, position)
        if header.kind in _EXTENSIONS:
            body = source.read_body(header, limits)
            if header.kind != b"g":  # about a whole archive, not an entry: git's commit id; docker passes over it too
                pending.append((header.kind, body))
            if len(pending) > limits.pending_headers:
                raise LayerError(f"the archive has too many extension headers in a row at {position}")
            continue
        entry, records = _entry_of(header, pending, position, limits)
        if pending:
            pending = []
        entries += 1
        if entries > limits.entries:
            raise LayerError(f"the archive holds more than {limits.entries} entries")
        if header.kind == _SPARSE or records.sparse is not None:
            member = _sparse_member(entry, header, records, block, source, limits)
        else:
            source.begin(entry.size)
            member = TarMember(entry, source.position, source.read)
        # A file without a name (some archivers write the folder they were started in so) is passed over, as by docker.
        if entry.path or entry.kind == "directory":
            yield member
        source.end()
    if pending:
        raise LayerError("the archive ends after an extension header: it is cut short")
    source.drain()


def _sparse_member(
    entry: Entry, header: Header, records: PaxRecords, block: bytes, source: _Source, limits: Limits
) -> TarMember:
    """Read where the parts of a file with holes are, up to its data."""
    if entry.kind != "file":
        raise LayerError(f"{entry.path!r} has holes and is a {entry.kind}")
    found = records.sparse
    if found is None:
        size, extents = read_header_extents(block, source.take_block, limits)
        source.begin(entry.size)
    else:
        source.begin(entry.size)
        size = found.size
        extents = read_body_extents(source.read, limits) if found.extents is None else found.extents
    _check_size(entry.path, size, limits)
    source.add_holes(size - source.left)
    reader = SparseReader(extents, size, source.left, source.read)
    return TarMember(entry._replace(size=size), SCATTERED, reader.read)


def _check_size(path: str, size: int, limits: Limits) -> None:
    if size > limits.total_bytes:
        raise LayerError(f"{path!r} claims {counted(size, 'byte')}; at most {limits.total_bytes} are accepted")


def _entry_of(
    header: Header, pending: list[tuple[bytes, bytes]], position: int, limits: Limits
) -> tuple[Entry, PaxRecords]:
    kind = _KIND_BY_TYPE.get(header.kind)
    if kind is None:
        raise LayerError(f"the archive holds an entry of unknown type {header.kind!r} at {position}")
    name, link, records = header.name, header.link, _NO_RECORDS
    for extension, body in pending:
        if extension == b"x":
            records = decode_pax(body, limits)
        elif extension == b"L":
            name = body.partition(b"\0")[0]
        else:
            link = body.partition(b"\0")[0]
    name = name if records.path is None else records.path
    if records.sparse is not None and records.sparse.name:
        name = records.sparse.name
    if kind == "file" and name.endswith(b"/"):
        kind = "directory"  # how v7 wrote them
    path = clean_path(name, limits)
    if not path and kind not in ("directory", "file"):
        raise LayerError(f"the archive holds a {kind} in place of its root directory, at {position}")
    target = ""
    if kind in ("symlink", "hardlink"):
        target = _target(kind, link if records.link is None else records.link, path, limits)
    size = 0
    if kind == "file":
        size = header.size if records.size is None else records.size
        _check_size(path, size, limits)
    mode = header.mode if kind != "symlink" else 0o777  # symlink(7): the mode is always that, whatever a tar says
    entry = Entry(
        path, kind, mode, header.uid if records.uid is None else records.uid,
        header.gid if records.gid is None else records.gid, header.mtime if records.mtime is None else records.mtime,
        size, target, header.device, records.xattrs,
    )  # fmt: skip
    return entry, records


def _target(kind: Kind, raw: bytes, path: str, limits: Limits) -> str:
    if not raw:
        raise LayerError(f"{path!r} is a link without a target")
    if kind == "hardlink":
        target = clean_path(raw, limits, "link target")
        if not target:
            raise LayerError(f"{path!r} is a hard link to the root directory")
        return target
    if len(raw) > limits.path_bytes or b"\0" in raw:
        raise LayerError(f"{path!r} is a symbolic link whose target is too long or holds a NUL byte")
    return raw.decode("utf-8", "surrogateescape")


class _Source:
    """The stream, in blocks of our size, with the position in it and what is left of the member at hand."""

    def __init__(self, stream: Readable, limits: Limits) -> None:
        self._read_more = stream.read
        self._limits = limits
        self._buffer = b""
        self._at = 0
        self.left = 0
        self._padding = 0
        self._holes = 0
        self.position = 0

    def next_header(self) -> bytes | None:
        """The next header block, None at the end of the archive: a zero block, or the end of the stream."""
        block = self._take(BLOCK)
        if not block or block == _ZERO_BLOCK:
            return None
        if len(block) < BLOCK:
            raise _cut_short()
        return block

    def read_body(self, header: Header, limits: Limits) -> bytes:
        if header.size > limits.header_bytes:
            raise LayerError(
                f"an extension header claims {header.size} bytes; at most {limits.header_bytes} are accepted"
            )
        self.begin(header.size)
        body = self._take(header.size)
        self.left -= len(body)
        self.end()
        return body

    def begin(self, size: int) -> None:
        self.left = size
        self._padding = -size % BLOCK

    def read(self, size: int = -1) -> bytes:
        wanted = self.left if size < 0 or size > self.left else size
        data = self._take(wanted)
        if len(data) < wanted:
            raise _cut_short()
        self.left -= wanted
        return data

    def end(self) -> None:
        """Pass over what of the member was not read."""
        left = self.left + self._padding
        if self._at + left <= len(self._buffer):
            self._at += left
            self.position += left
            return
        while left:
            passed = len(self._take(min(left, _READ_BYTES)))
            if not passed:
                raise _cut_short()
            left -= passed

    def take_block(self, size: int = BLOCK) -> bytes:
        """One more block that belongs to a header."""
        block = self._take(size)
        if len(block) < size:
            raise _cut_short()
        return block

    def add_holes(self, size: int) -> None:
        """Count what the member will be longer than it is here."""
        self._holes += size
        if self._limits.are_outgrown(self.position + self._holes, self.position):
            raise outgrown("an archive with sparse files", self._limits)

    def drain(self) -> None:
        """Read what follows the end mark: it is part of the stream's digest."""
        while self._take(_READ_BYTES):
            pass

    def _take(self, size: int) -> bytes:
        at = self._at
        end = at + size
        if end <= len(self._buffer):
            self._at = end
            self.position += size
            return self._buffer[at:end]
        return self._take_more(size)

    def _take_more(self, size: int) -> bytes:
        parts = [self._buffer[self._at :]]
        held = len(parts[0])
        while held < size:
            block = self._read_more(max(_READ_BYTES, size - held))
            if not block:
                break
            parts.append(block)
            held += len(block)
        self._buffer = b"".join(parts)
        self._at = min(size, held)
        self.position += self._at
        if self.position > self._limits.total_bytes:
            raise LayerError(f"the archive is longer than {self._limits.total_bytes} bytes")
        return self._buffer[: self._at]


def _cut_short() -> LayerError:
    return LayerError("the archive ends in the middle of an entry: it is cut short")
