"""A tar from outside, read without being unpacked: the bytes of its files lie in one file, its table of contents in
another.

    stream ──decompress──▶ members ──▶ contents, end to end; index ──▶ MergedView of one layer

So nothing in it can be written anywhere, whatever its names and links say. Owners and modes are the archive's own, as
BuildKit leaves them in a context that comes as a tar.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import BinaryIO, Protocol

from builder.errors import ContextError, LayerError
from builder.filesystem import sound
from builder.layer.compression import open_decompressed
from builder.layer.index import LayerIndex, open_index
from builder.layer.index_layer import build_index
from builder.layer.limits import limits_for
from builder.layer.tar_decode import decode_header
from builder.layer.view import MergedView, ViewLayer

Temporary = Callable[[str], str]
"""Gives a path nobody else uses, for a label: store/temporary.py's TemporaryFiles.path."""

_HEAD_BYTES = 512
_HOLE_BYTES = 4096
"""A block of most file systems: less is no hole."""
_ZEROS = bytes(1 << 20)


class Readable(Protocol):
    """What gives bytes: a file, a socket, a pipe. An empty answer is the end."""

    def read(self, size: int, /) -> bytes: ...


class Archive:
    """An archive's tree; a context manager that removes its files."""

    def __init__(self, contents: str, index: LayerIndex) -> None:
        self._contents = contents
        self._index = index
        self.view = MergedView([ViewLayer(index, lambda: contents)])
        self.has_markers = index.has_markers

    @property
    def files(self) -> tuple[str, str]:
        """The paths of its contents and of its index."""
        return self._contents, self._index.path

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._index.close()
        for path in (self._contents, self._index.path):
            if os.path.exists(path):
                os.unlink(path)


class Replayed:
    """A stream whose first bytes have been looked at, from its beginning."""

    def __init__(self, stream: Readable, size: int = _HEAD_BYTES) -> None:
        self._stream = stream
        self.head = b""
        while len(self.head) < size and (more := stream.read(size - len(self.head))):
            self.head += more
        self._left = self.head

    def read(self, size: int = -1, /) -> bytes:
        if self._left:
            data = self._left if size < 0 else self._left[:size]
            self._left = self._left[len(data) :]
            return data
        return self._stream.read(size)


def is_archive(stream: Readable) -> bool:
    """Say whether a stream, decompressed if need be, begins with a tar header: what ADD unpacks (C-25). Reads a little.

    Content decides, not a name; a tar without any entry is none.
    """
    try:
        head = Replayed(open_decompressed(stream)).head
        # Zeros alone are the end of a tar, and so one without entries: ADD copies it as a file (build `add-tar-empty`).
        if len(head) < _HEAD_BYTES or not any(head):
            return False
        decode_header(head, 0)
    except LayerError:
        return False
    return True


def read_archive(stream: Readable, temporary: Temporary, what: str, *, large: bool = False) -> Archive:
    """Return the tree of a tar stream, compressed or not; `large` is --allow-large-layers.

    Raises ContextError naming `what` for what is none.
    """
    contents, index_path = temporary("archive"), temporary("archive.index")
    try:
        # Contents go here and nowhere else: no name of the archive is ever a path of this machine.
        descriptor = os.open(contents, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            kept = _Contents(file)
            limits = limits_for(large=large)
            digest, _ = build_index(open_decompressed(stream, limits), index_path, limits, kept)
            kept.finish()
        # Its digest was made on the way: what is copied out of it later need not be compared with another reading.
        sound.remember(sound.stamp(os.stat(contents)), digest)
        archive = Archive(contents, open_index(index_path))
    except BaseException as error:
        for path in (contents, index_path):
            if os.path.exists(path):
                os.unlink(path)
        if isinstance(error, LayerError):
            raise ContextError(f"{what}: {error.message}", hint=error.hint) from error
        if isinstance(error, OSError):
            raise ContextError(f"{what} cannot be read: {error.strerror or error}") from error
        raise
    # BuildKit lets them into the layer, where they delete what is below (build `add-tar-whiteout-names`).
    if archive.has_markers:
        archive.close()
        raise ContextError(
            f"{what} holds names that begin with '.wh.': in a layer they stand for deleted files",
            hint="Rename them, or keep them out of the archive.",
        )
    return archive


class _Contents:
    """A file that contents are written into, end to end; what is zeros in them takes no room on the disk."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._position = 0
        self._begun = -1

    def begin(self) -> int:
        if self._position == self._begun:
            self.write(b"\0")  # after an empty one: they are told apart by their places
        self._begun = self._position
        return self._position

    def write(self, data: bytes, /) -> None:
        if len(data) >= _HOLE_BYTES and data == _ZEROS[: len(data)]:
            self._file.seek(len(data), os.SEEK_CUR)
        else:
            self._file.write(data)
        self._position += len(data)

    def finish(self) -> None:
        """Give the file its length, though it should end in a hole."""
        self._file.truncate(self._position)
