"""The table of contents of one layer, on disk: path → header and place in the uncompressed tar.

Looked up by bisection over a memory map, walked as a stream; nothing of it is held. Read once when it is opened, to
compare its checksum: offsets and digests in it are believed afterwards. index_format.py has the format;
index_layer.py makes one from a tar, tar_writer.py beside the tar it writes.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from struct import Struct
from types import TracebackType
from typing import NamedTuple
from zlib import crc32

from builder.errors import StoreError
from builder.filesystem.entry import Entry, tree_key
from builder.layer import index_format
from builder.layer.index_format import LayerStatistics
from builder.layer.whiteout import OPAQUE, PREFIX, is_leftover, is_whiteout
from builder.oci.digest import DiffID

_OFFSET = Struct("<Q")
_RELEASE_EVERY = 4096
"""Lookups after which the pages they touched are given back."""
_CHECK_BYTES = 1 << 20
_MARKER = PREFIX.encode()
_WALK_BYTES = 1 << 16
"""What a walk reads at a time. By read(2) and not through the map, whose pages would count as our memory."""


IMPLIED = -1


class IndexEntry(NamedTuple):
    """An entry of a layer, markers (whiteouts) included."""

    entry: Entry
    offset: int
    """Where its content begins in the uncompressed tar; IMPLIED for a directory that has no entry of its own."""


class LayerIndex:
    """A layer's table of contents, open for reading; a context manager. Safe to use from several threads."""

    def __init__(self, path: str, diff_id: DiffID | None = None) -> None:
        """As `open_index`."""
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreError(f"the index {path} cannot be read: {error.strerror}") from error
        try:
            size = os.fstat(self._fd).st_size
            head = os.pread(self._fd, index_format.HEADER.size, 0)
            header = index_format.decode_header(head, size)
            if diff_id is not None and header.diff_id.hex() != diff_id.encoded:
                raise index_format.damaged("it is of another layer")
            if _checksum(self._fd) != header.checksum:
                raise index_format.damaged("its bytes have been altered")
            self._map = mmap.mmap(self._fd, size, prot=mmap.PROT_READ)
        except BaseException:
            os.close(self._fd)
            raise
        self._flags, self._count, self._offsets_at = header.flags, header.records, header.offsets_at
        self._touched = 0
        self.statistics = LayerStatistics(header.records, header.files, header.bytes_)

    def __enter__(self) -> LayerIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; harmless when done already."""
        if self._fd >= 0:
            self._map.close()
            os.close(self._fd)
            self._fd = -1

    def __len__(self) -> int:
        return self._count

    @property
    def is_self_contained(self) -> bool:
        """Whether the parent directory of every entry is itself an entry."""
        return not self._flags & index_format.NOT_SELF_CONTAINED

    @property
    def has_markers(self) -> bool:
        """Whether there are whiteouts or opaque markers at all."""
        return bool(self._flags & (index_format.HAS_WHITEOUTS | index_format.HAS_OPAQUE))

    def find(self, path: str) -> IndexEntry | None:
        """Return the entry of exactly this path ("" is the root directory), or None."""
        key = tree_key(path)
        self._touch(1)
        number = self._bisect(key, 0)
        if number == self._count:
            return None
        at = self._at(number)
        if index_format.peek(self._map, at)[1] != key:
            return None
        entry, offset, _ = index_format.decode_record(self._map, at)
        return IndexEntry(entry, offset)

    def has_below(self, path: str) -> bool:
        """Say whether anything of the layer lies below `path`, which makes it a directory with or without an entry."""
        prefix = _prefix(path)
        number = self._bisect(prefix, 0)
        if number < self._count and not prefix and not index_format.peek(self._map, self._at(number))[1]:
            number += 1  # the root's own entry
        return number < self._count and index_format.peek(self._map, self._at(number))[1].startswith(prefix)

    def is_opaque(self, directory: str) -> bool:
        """Say whether an opaque marker hides what layers below have in `directory`."""
        if not self._flags & index_format.HAS_OPAQUE:
            return False
        return self.find(f"{directory}/{OPAQUE}" if directory else OPAQUE) is not None

    def has_whiteout(self, path: str) -> bool:
        """Say whether a whiteout hides `path` of the layers below."""
        if not self._flags & index_format.HAS_WHITEOUTS:
            return False
        parent, slash, name = path.rpartition("/")
        return self.find(f"{parent}{slash}{PREFIX}{name}") is not None

    def markers(self) -> Iterator[str]:
        """Yield the paths of all whiteouts and opaque markers, in tree order."""
        for number in range(self._count if self.has_markers else 0):
            self._touch(1)
            _, key = index_format.peek(self._map, self._at(number))
            if _MARKER in key:
                path = os.fsdecode(key.replace(b"\0", b"/"))
                if is_whiteout(path) and not is_leftover(path):
                    yield path

    def children(self, path: str) -> Iterator[IndexEntry]:
        """Yield what lies directly in `path`, sorted. A directory without entry is 0755 root:root."""
        for name, number in self._child_names(path):
            entry, offset, _ = index_format.decode_record(self._map, self._at(number))
            expected = f"{path}/{name}" if path else name
            if entry.path == expected:
                yield IndexEntry(entry, offset)
            else:
                yield implied(expected)

    def walk(self, prefix: str = "") -> Iterator[IndexEntry]:
        """Yield the entry at `prefix` and everything below, in tree order."""
        own = self.find(prefix)
        if own is not None:
            yield own
        start = _prefix(prefix)
        number = self._bisect(start, 0) + (own is not None and not prefix)
        # What lies below a path sorts before the path followed by byte 1, as 0 is the separator.
        end = self._bisect(start[:-1] + b"\1", number) if prefix else self._count
        if number < end:
            yield from self._stream(self._at(number), self._at(end) if end < self._count else self._offsets_at)

    def walk_complete(self, prefix: str = "") -> Iterator[IndexEntry]:
        """Walk as `walk` does, with the directories that only their contents imply."""
        if self.is_self_contained:
            yield from self.walk(prefix)
            return
        above = [prefix]
        for item in self.walk(prefix):
            path = item.entry.path
            parent = path.rpartition("/")[0]
            if path != prefix and parent != above[-1]:
                while len(above) > 1 and not (parent + "/").startswith(above[-1] + "/"):
                    above.pop()
                while above[-1] != parent:
                    end = parent.find("/", len(above[-1]) + 1 if above[-1] else 0)
                    above.append(parent if end < 0 else parent[:end])
                    yield implied(above[-1])
            yield item
            if item.entry.kind == "directory" and path != prefix:
                above.append(path)

    def _child_names(self, path: str) -> Iterator[tuple[str, int]]:
        prefix = _prefix(path)
        first = number = self._bisect(prefix, 0)
        while number < self._count:
            if number - first >= _RELEASE_EVERY:
                self._touch(number - first)
                first = number
            _, key = index_format.peek(self._map, self._at(number))
            if not key:
                number += 1  # the root's own entry
                continue
            if not key.startswith(prefix):
                return
            child = key[len(prefix) :].partition(b"\0")[0]
            yield os.fsdecode(child), number
            number += 1
            if number < self._count and index_format.peek(self._map, self._at(number))[1].startswith(
                prefix + child + b"\0"
            ):
                number = self._bisect(prefix + child + b"\1", number)

    def _stream(self, start: int, end: int) -> Iterator[IndexEntry]:
        data = b""
        while start < end:
            block = os.pread(self._fd, min(_WALK_BYTES, end - start), start)
            if not block:
                raise index_format.damaged("it has been cut short")
            start += len(block)
            data += block
            at = 0
            while len(data) - at >= index_format.FIXED_SIZE and at + index_format.peek(data, at)[0] <= len(data):
                entry, offset, length = index_format.decode_record(data, at)
                yield IndexEntry(entry, offset)
                at += length
            data = data[at:]
        if data:
            raise index_format.damaged("its last record is cut short")

    def _touch(self, times: int) -> None:
        """Give back the pages of the map now and then: they count as our memory, and are in the page cache anyway."""
        self._touched += times
        if self._touched >= _RELEASE_EVERY:
            self._touched = 0
            self._map.madvise(mmap.MADV_DONTNEED)

    def _at(self, number: int) -> int:
        (at,) = _OFFSET.unpack_from(self._map, self._offsets_at + 8 * number)
        if not index_format.HEADER.size <= at <= self._offsets_at - index_format.FIXED_SIZE:
            raise index_format.damaged("an offset points outside it")
        return int(at)

    def _bisect(self, key: bytes, low: int) -> int:
        """The number of the first record whose key is not less than `key`."""
        high = self._count
        data, at, peek = self._map, self._at, index_format.peek
        while low < high:
            middle = (low + high) // 2
            if peek(data, at(middle))[1] < key:
                low = middle + 1
            else:
                high = middle
        return low


def open_index(path: str, diff_id: DiffID | None = None) -> LayerIndex:
    """Open the index of a layer; with `diff_id`, it must have been sealed as that layer's (`seal_index`).

    Raises FileNotFoundError, StoreError, LayerError when it is damaged, of another layer or version: it must be
    rebuilt.
    """
    return LayerIndex(path, diff_id)


def seal_index(path: str, diff_id: DiffID) -> None:
    """Write into a finished index which layer it is of. Raises StoreError, LayerError."""
    try:
        with open(path, "r+b") as file:
            header = index_format.decode_header(file.read(index_format.HEADER.size), os.fstat(file.fileno()).st_size)
            file.seek(0)
            file.write(index_format.encode_header(header._replace(diff_id=bytes.fromhex(diff_id.encoded))))
    except OSError as error:
        raise StoreError(f"the index {path} cannot be written: {error.strerror}") from error


def implied(path: str) -> IndexEntry:
    """Return what stands for a directory that has no entry of its own."""
    return IndexEntry(Entry(path, "directory", 0o755), IMPLIED)


def _checksum(descriptor: int) -> int:
    """Return the CRC-32 of what follows the header."""
    checksum, at = 0, index_format.HEADER.size
    while block := os.pread(descriptor, _CHECK_BYTES, at):
        checksum = crc32(block, checksum)
        at += len(block)
    return checksum


def _prefix(path: str) -> bytes:
    return tree_key(path) + b"\0" if path else b""
