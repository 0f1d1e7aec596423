"""Entries in, a layer tar and its index out. Each byte of content is read once.

    items ──▶ header + content + padding ──▶ write(block of about 1 MiB) …      the tar, for a blob
          └─▶ (path, header, offset, digest) ──▶ index_path                      the table of contents

Speed matters here more than anywhere: COPY of 50,000 files is this loop 50,000 times.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from builder.errors import ContextError, LayerError, counted
from builder.filesystem.entry import Entry
from builder.layer.content import IN_MEMORY_BYTES, Content, FileContent, SliceCheck, SlicedContent, open_content
from builder.layer.index_format import LayerStatistics
from builder.layer.index_writer import IndexWriter
from builder.layer.paths import refuse_long_path
from builder.layer.tar_encode import BLOCK, END, encode_header
from builder.layer.whiteout import PREFIX, refuse_reserved_name

BLOCK_BYTES = IN_MEMORY_BYTES
"""What is handed to `write` at a time, roughly."""
_PADDING = [bytes(-size % BLOCK) for size in range(BLOCK)]


class WrittenLayer(NamedTuple):
    statistics: LayerStatistics
    hashed: Mapping[str, str]
    """Path → sha256 in hex of the large files that came without a digest, and were hashed while they were written."""


def write_layer(
    items: Iterable[tuple[Entry, Content | None]],
    write: Callable[[bytes], object],
    index_path: str,
    *,
    epoch: int | None = None,
) -> WrittenLayer:
    """Write a layer tar through `write` and its index to `index_path`.

    Items come parents first and no path twice. A regular file whose entry has no digest is hashed on the way; the index
    gets the digest, and of large ones also what is returned. Whiteouts are entries named so, without content. `epoch`
    (seconds) is the latest mtime that is written. Raises ContextError when a file cannot be read or is not as long as
    its entry says, LayerError for names a layer cannot hold.
    """
    with IndexWriter(index_path) as index:
        hashed = _TarWriter(write, index.add, refuse_reserved_name, epoch).add_all(items)
        return WrittenLayer(index.finish(), hashed)


def write_tree(
    items: Iterable[tuple[Entry, Content | None]], write: Callable[[bytes], object], *, epoch: int | None = None
) -> None:
    """As `write_layer`, but write the tar of a tree: no name in it means that something is deleted."""
    _TarWriter(write, lambda *_: None, lambda _: None, epoch).add_all(items)


class _TarWriter:
    def __init__(
        self,
        write: Callable[[bytes], object],
        add_to_index: Callable[[Entry, int, int, bytes], None],
        check_name: Callable[[str], None],
        epoch: int | None,
    ) -> None:
        self._write = write
        self._add_to_index = add_to_index
        self._check_name = check_name
        """Is given each real file that is called like a whiteout."""
        self._epoch = epoch
        self._position = 0
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.hashed: dict[str, str] = {}
        self._tar: tuple[str, int] = ("", -1)
        """The tar that slices were last read from, and its descriptor."""

    def add_all(self, items: Iterable[tuple[Entry, Content | None]]) -> dict[str, str]:
        """Write a whole tar; return what was hashed."""
        try:
            for entry, content in items:
                self._add(entry, content)
            self._finish()
        finally:
            self._close()
        return self.hashed

    def _add(self, entry: Entry, content: Content | None) -> None:
        mtime = entry.mtime if self._epoch is None or entry.mtime < self._epoch else self._epoch
        refuse_long_path(entry.path)
        if PREFIX in entry.path and (content is not None or entry.size or entry.kind != "file"):
            self._check_name(entry.path)
        if entry.kind != "file":
            if entry.size:
                entry = entry._replace(size=0)
            header = encode_header(entry, mtime)
            self._position += len(header)
            self._keep(header)
            self._add_to_index(entry, mtime, self._position, b"")
            return
        header = encode_header(entry, mtime)
        offset = self._position + len(header)
        size = entry.size
        self._position = offset + size + -size % BLOCK
        if size > BLOCK_BYTES and not isinstance(content, bytes):
            digest = self._copy(header, entry, content)
            if not entry.digest:
                self.hashed[entry.path] = digest.hex()
        else:
            data = self._read(entry, content)
            if len(data) != size:
                raise _changed(entry, len(data))
            digest = bytes.fromhex(entry.digest) if entry.digest else hashlib.sha256(data).digest()
            self._held += (header, data, _PADDING[size % BLOCK])
            self._held_bytes += len(header) + size
            if self._held_bytes >= BLOCK_BYTES:
                self._flush()
        self._add_to_index(entry, mtime, offset, digest)

    def _finish(self) -> None:
        self._held.append(END)
        self._flush()

    def _close(self) -> None:
        if self._tar[1] >= 0:
            os.close(self._tar[1])
            self._tar = ("", -1)

    def _keep(self, data: bytes) -> None:
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes >= BLOCK_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._write(b"".join(self._held))
        self._held = []
        self._held_bytes = 0

    def _read(self, entry: Entry, content: Content | None) -> bytes:
        """Read a small file whole; one byte more than its size, so that growth shows."""
        if content is None:
            return b""
        if isinstance(content, bytes):
            return content
        try:
            if isinstance(content, SlicedContent):
                return self._read_slice(content)
            descriptor = open_content(content)
            try:
                data = os.read(descriptor, entry.size + 1)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _unreadable(entry, error) from error
        return data

    def _copy(self, header: bytes, entry: Entry, content: FileContent | SlicedContent | None) -> bytes:
        """Pass a large file through without gathering it; return its digest."""
        if content is None:
            raise LayerError(f"{entry.path!r} has {counted(entry.size, 'byte')} and no content")
        self._keep(header)
        self._flush()
        hashing = None if entry.digest else hashlib.sha256()
        try:
            descriptor = open_content(content)
        except OSError as error:
            raise _unreadable(entry, error) from error
        try:
            check = SliceCheck(content, descriptor) if isinstance(content, SlicedContent) else None
            left = entry.size
            while left:
                block = os.read(descriptor, min(left, BLOCK_BYTES))
                if not block:
                    raise _changed(entry, entry.size - left)
                left -= len(block)
                if hashing is not None:
                    hashing.update(block)
                if check is not None:
                    check.update(block)
                self._write(block)
            if check is not None:
                check.finish()
            elif isinstance(content, FileContent) and content.grew is None and os.read(descriptor, 1):
                raise _changed(entry, entry.size + 1)
        except OSError as error:
            raise _unreadable(entry, error) from error
        finally:
            os.close(descriptor)
        self._keep(_PADDING[entry.size % BLOCK])
        return hashing.digest() if hashing is not None else bytes.fromhex(entry.digest)

    def _read_slice(self, content: SlicedContent) -> bytes:
        tar = self._open_tar(content.path)
        data = os.pread(tar, content.size, content.offset)
        check = SliceCheck(content, tar)
        check.update(data)
        check.finish()
        return data

    def _open_tar(self, path: str) -> int:
        if self._tar[0] != path:
            self._close()
            self._tar = (path, os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        return self._tar[1]


def _changed(entry: Entry, found: int) -> ContextError:
    more = "more" if found > entry.size else "fewer"
    return ContextError(
        f"{entry.path!r} changed while it was read: it had {counted(entry.size, 'byte')} and now has {more}",
        hint="Something else is writing to it; build again when it has finished.",
    )


def _unreadable(entry: Entry, error: OSError) -> ContextError:
    return ContextError(f"{entry.path!r} cannot be read: {error.strerror or error}")
