"""Where the bytes of a file are: in memory, in a file, or in a slice of a layer tar."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import NamedTuple

from builder.errors import DigestMismatch
from builder.filesystem import sound
from builder.filesystem.resolve import Root


class FileContent(NamedTuple):
    """A whole file: `path` on the host, or inside `root` when there is one."""

    path: str
    root: Root | None = None
    grew: Callable[[str], None] | None = None
    """Told the path of a file that has become longer than it was listed and is the same else; None: it is an error."""


class SlicedContent(NamedTuple):
    """`size` bytes of the file `path`, from `offset` on: a file inside an uncompressed tar.

    `digest` is the sha256 that they must have, in hex; empty where nobody knows.
    """

    path: str
    offset: int
    size: int
    digest: str = ""


Content = bytes | FileContent | SlicedContent

IN_MEMORY_BYTES = 1 << 20
"""Files up to this size are read whole, and digested then; larger ones are streamed, and digested on the way."""

# A name may have become a FIFO or a link since it was listed: never wait for a writer, never follow.
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class SliceCheck:
    """Compares what is read of a slice with its digest: the tar may be damaged, and is never read as a whole here.

    Nothing is digested when the tar is known to be sound (builder.filesystem.sound).
    """

    def __init__(self, content: SlicedContent, descriptor: int) -> None:
        self._content = content
        needed = content.digest and not sound.known_digest(os.fstat(descriptor))
        self._hash = hashlib.sha256() if needed else None

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the slice."""
        if self._hash is not None:
            self._hash.update(data)

    def finish(self) -> None:
        """Compare. Raises DigestMismatch."""
        if self._hash is not None and self._hash.hexdigest() != self._content.digest:
            content = self._content
            raise DigestMismatch(
                f"the layer {content.path} is damaged: {content.size} bytes at {content.offset} are not what they were",
                hint=f"Remove it and build again, which makes or fetches it anew: rm '{content.path}'",
            )


def read_slice(content: SlicedContent) -> bytes:
    """Read a small slice; fewer bytes when the file is too short. Raises OSError, DigestMismatch."""
    descriptor = open_content(content)
    try:
        data = os.pread(descriptor, content.size, content.offset)
        check = SliceCheck(content, descriptor)
        check.update(data)
        check.finish()
    finally:
        os.close(descriptor)
    return data


def open_content(content: FileContent | SlicedContent) -> int:
    """Return a descriptor that stands at the first byte of the content. Raises OSError."""
    if isinstance(content, FileContent):
        if content.root is None:
            return os.open(content.path, _OPEN)
        return content.root.open(content.path, _OPEN)
    descriptor = os.open(content.path, os.O_RDONLY | os.O_CLOEXEC)
    if content.offset:
        os.lseek(descriptor, content.offset, os.SEEK_SET)
    return descriptor
