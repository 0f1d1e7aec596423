"""Collects the table of contents of a layer while the layer is written or read, and leaves it sorted on disk.

Entries come in any order, and there may be more of them than memory should hold: they are sorted in runs, the runs
put aside on disk, and merged at the end. Usually they come in tree order already, and the merge is a copy.
"""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import chain
from operator import itemgetter
from types import TracebackType
from typing import IO
from zlib import crc32

from builder.errors import LayerError, StoreError
from builder.filesystem.entry import Entry
from builder.layer import index_format
from builder.layer.index_format import LayerStatistics
from builder.layer.paths import twice_of_two_kinds
from builder.layer.whiteout import OPAQUE, PREFIX

_RUN_RECORDS = 32_768
"""Records held in memory: about 10 MB of them."""
_BLOCK_BYTES = 1 << 18
_by_key = itemgetter(0)
_PREFIX = os.fsencode(PREFIX)
_OPAQUE = os.fsencode(OPAQUE)

Record = tuple[bytes, bytes]
"""(tree key, record)"""


class IndexWriter:
    """Write the index file `path`: a context manager; nothing is left behind unless `finish` was reached.

    `keep_last` says what two entries of one path mean: in a tar that is read the last one counts, in one that we
    write it is an error.
    """

    def __init__(self, path: str, *, keep_last: bool = False) -> None:
        self._path = path
        self._temporary = f"{path}.{os.getpid()}-{id(self):x}.tmp"
        self._keep_last = keep_last
        self._run: list[Record] = []
        self._runs: list[IO[bytes]] = []
        self._bounds: list[bytes] = []
        """First and last key of each run."""
        self._files = 0
        self._bytes = 0
        self._entries = 0
        self._flags = 0

    def __enter__(self) -> IndexWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for run in self._runs:
            run.close()
        if os.path.lexists(self._temporary):
            os.unlink(self._temporary)

    def add(self, entry: Entry, mtime: int, offset: int, digest: bytes) -> None:
        """Take one entry; `offset` is where its content begins in the uncompressed tar, `digest` 32 bytes or none."""
        self._entries += 1
        if entry.kind != "directory":
            self._files += 1
        if entry.kind == "file":
            self._bytes += entry.size
        self._run.append(index_format.encode_record(entry, mtime, offset, digest))
        if len(self._run) >= _RUN_RECORDS:
            self._put_aside()

    def finish(self) -> LayerStatistics:
        """Write the file (to a temporary name, then renamed). Raises LayerError, StoreError.

        It is not synced: most often the layer is known already, and whoever keeps the index sees to it.
        """
        try:
            with open(self._temporary, "wb") as file:
                self._write(file)
            os.rename(self._temporary, self._path)
        except OSError as error:
            raise StoreError(f"the index {self._path} cannot be written: {error.strerror}") from error
        return LayerStatistics(self._entries, self._files, self._bytes)

    def _put_aside(self) -> None:
        self._run.sort(key=_by_key)
        # `finish` has not come yet, so that the name is free; what has none goes with its descriptor.
        descriptor = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        run = open(descriptor, "w+b")  # noqa: SIM115 - closed on exit
        os.unlink(self._temporary)
        for block in _in_blocks(item[1] for item in self._run):
            run.write(block)
        self._runs.append(run)
        self._bounds += (self._run[0][0], self._run[-1][0])
        self._run = []

    def _sorted(self) -> Iterator[Record]:
        self._run.sort(key=_by_key)
        if not self._runs:
            return iter(self._run)
        sources: list[Iterable[Record]] = [_read_run(run) for run in self._runs]
        bounds = self._bounds + ([self._run[0][0], self._run[-1][0]] if self._run else [])
        if all(earlier < later for earlier, later in zip(bounds[1::2], bounds[2::2])):
            return chain(*sources, self._run)
        # merge is stable: of equal keys, the one from the earlier run comes first.
        return merge(*sources, self._run, key=_by_key)

    def _write(self, file: IO[bytes]) -> None:
        offsets = array("Q")
        file.write(bytes(index_format.HEADER.size))
        position = index_format.HEADER.size
        checksum = 0
        blocks: list[bytes] = []
        held = 0
        for item in self._checked(self._sorted()):
            offsets.append(position + held)
            blocks.append(item)
            held += len(item)
            if held >= _BLOCK_BYTES:
                checksum = _write_counted(file, b"".join(blocks), checksum)
                position, held, blocks = position + held, 0, []
        checksum = _write_counted(file, b"".join(blocks), checksum)
        position += held
        if sys.byteorder == "big":
            offsets.byteswap()
        checksum = _write_counted(file, offsets.tobytes(), checksum)
        size = position + 8 * len(offsets)
        file.seek(0)
        header = index_format.Header(self._flags, checksum, len(offsets), position, size, self._files, self._bytes)
        file.write(index_format.encode_header(header))

    def _checked(self, items: Iterator[Record]) -> Iterator[bytes]:
        """Pass the records on, without those a later one replaces; note what is special about the layer."""
        flags = 0
        directories = [b""]
        other = b""
        last_key: bytes | None = None
        last_item = b""
        for key, item in chain(items, [(None, b"")]):
            if key is not None and key == last_key:
                if not self._keep_last:
                    raise LayerError(f"{_path_of(key)!r} is in the layer twice")
                if index_format.is_directory(item) != index_format.is_directory(last_item):
                    raise twice_of_two_kinds(_path_of(key))
                last_item = item
                continue
            if last_key is not None:
                if other and last_key.startswith(other):
                    raise LayerError(f"{_path_of(last_key)!r} is in the layer below something that is no directory")
                if not index_format.is_directory(last_item):
                    other = last_key + b"\0"
                flags |= _flags_of(last_key, last_item, directories)
                yield last_item
            last_key, last_item = key, item
        self._flags = flags


def _write_counted(file: IO[bytes], data: bytes, checksum: int) -> int:
    """Write, and return the CRC-32 of all that was written so far."""
    file.write(data)
    return crc32(data, checksum)


def _flags_of(key: bytes, item: bytes, directories: list[bytes]) -> int:
    """What this entry makes the layer; `directories` is the way from the root to the last directory seen."""
    flags = 0
    parent, _, name = key.rpartition(b"\0")
    if name.startswith(_PREFIX):
        flags |= index_format.HAS_OPAQUE if name == _OPAQUE else index_format.HAS_WHITEOUTS
    if directories[-1] != parent:
        while directories[-1] and not key.startswith(directories[-1] + b"\0"):
            directories.pop()
        if directories[-1] != parent:
            flags |= index_format.NOT_SELF_CONTAINED
    if index_format.is_directory(item) and key:
        directories.append(key)
    return flags


def _read_run(run: IO[bytes]) -> Iterator[Record]:
    run.seek(0)
    data = b""
    while block := run.read(_BLOCK_BYTES):
        data += block
        at = 0
        while len(data) - at >= index_format.FIXED_SIZE:
            length, key = index_format.peek(data, at)
            if at + length > len(data):
                break
            yield key, data[at : at + length]
            at += length
        data = data[at:]


def _in_blocks(items: Iterable[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    size = 0
    for item in items:
        held.append(item)
        size += len(item)
        if size >= _BLOCK_BYTES:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)


def _path_of(key: bytes) -> str:
    return os.fsdecode(key.replace(b"\0", b"/"))
