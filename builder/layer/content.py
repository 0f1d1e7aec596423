"""Where the bytes of a file are: in memory, in a file, or in a slice of a layer tar."""

from __future__ import annotations

import os
from typing import NamedTuple

from builder.filesystem.resolve import Root


class FileContent(NamedTuple):
    """A whole file: `path` on the host, or inside `root` when there is one."""

    path: str
    root: Root | None = None


class SlicedContent(NamedTuple):
    """`size` bytes of the file `path`, from `offset` on: a file inside an uncompressed tar."""

    path: str
    offset: int
    size: int


Content = bytes | FileContent | SlicedContent

# A name may have become a FIFO or a link since it was listed: never wait for a writer, never follow.
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


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
