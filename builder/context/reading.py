"""The bytes of a file of a tree, read once, and only if it is still the file that was listed.

A context is a directory that other programs write to, or an attacker: between listing and opening, a file may grow,
shrink or become a symbolic link or a FIFO. Opening never follows a link and never waits; what is opened must have the
inode, size and times that the listing had, before and after it is read. Otherwise the build fails with its name.

A file that has only become longer, as logs do, is taken as long as it was listed, where the content says whom to tell:
what is read of it must read the same once more.
"""

from __future__ import annotations

import hashlib
import os

from builder.context.tree import Node, changed
from builder.errors import ContextError
from builder.layer.content import IN_MEMORY_BYTES, FileContent, SliceCheck, SlicedContent, open_content

_BLOCK_BYTES = 1 << 20


def read_node(node: Node) -> bytes:
    """Return the content of a file of at most IN_MEMORY_BYTES. Raises ContextError."""
    content, size = node.content, node.entry.size
    if isinstance(content, bytes):
        return content
    assert content is not None
    try:
        descriptor = open_content(content)
        try:
            # One byte more, or a file that holds more than stat(2) says, as some of /proc do, would be taken for whole.
            data = os.read(descriptor, size + 1 if node.status is not None else size)
            while len(data) < size and (more := os.read(descriptor, size - len(data))):
                data += more
            # Looking once is enough: what was read is now still, and was when it was listed, this file in this state.
            if check_node(node, descriptor):
                data = data[:size]
                check_growth(node, descriptor, hashlib.sha256(data).hexdigest())
            if isinstance(content, SlicedContent) and len(data) == size:
                check = SliceCheck(content, descriptor)
                check.update(data)
                check.finish()
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unreadable(node.entry.path, error) from error
    if len(data) != size:
        raise changed(node.entry.path)
    return data


def hash_node(node: Node) -> str:
    """Return the sha256 of a file's content in hex. Raises ContextError."""
    if node.entry.size <= IN_MEMORY_BYTES:
        return hashlib.sha256(read_node(node)).hexdigest()
    descriptor = open_node(node)
    digest = hashlib.sha256()
    content, left = node.content, node.entry.size
    buffer = memoryview(bytearray(_BLOCK_BYTES))
    try:
        while left and (count := os.readv(descriptor, [buffer[: min(left, _BLOCK_BYTES)]])):
            digest.update(buffer[:count])
            left -= count
        # Shorter than it was listed: no digest of what is there now would be that of the listing.
        if left:
            raise changed(node.entry.path)
        if check_node(node, descriptor):
            check_growth(node, descriptor, digest.hexdigest())
        # Bytes of a layer are compared where they are read (docs/decisions/0015).
        if isinstance(content, SlicedContent) and content.digest not in ("", digest.hexdigest()):
            raise changed(node.entry.path)
    except OSError as error:
        raise unreadable(node.entry.path, error) from error
    finally:
        os.close(descriptor)
    return digest.hexdigest()


def open_node(node: Node) -> int:
    """Return a descriptor at the first byte of a file that is still the listed one. Raises ContextError."""
    assert node.content is not None
    assert not isinstance(node.content, bytes)
    try:
        descriptor = open_content(node.content)
    except OSError as error:
        raise unreadable(node.entry.path, error) from error
    try:
        check_node(node, descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def check_node(node: Node, descriptor: int) -> bool:
    """Raise ContextError unless the open file is what was listed, or may have only become longer; say whether it has.

    A slice of a layer can't change.
    """
    was = node.status
    if was is None:
        return False
    now = os.fstat(descriptor)
    # The time of the last change of status is what nobody can set back.
    if (now.st_size, now.st_ctime_ns, now.st_mtime_ns, now.st_ino, now.st_mode) != (
        was.st_size,
        was.st_ctime_ns,
        was.st_mtime_ns,
        was.st_ino,
        was.st_mode,
    ):
        is_longer = now.st_size > was.st_size and (now.st_ino, now.st_mode) == (was.st_ino, was.st_mode)
        if not is_longer or not isinstance(node.content, FileContent) or node.content.grew is None:
            raise changed(node.entry.path)
        return True
    return False


def check_growth(node: Node, descriptor: int, digest: str) -> None:
    """Tell of a file that has become longer, when it still begins with what was read, which has `digest`.

    Raises ContextError when it was changed as well.
    """
    assert isinstance(node.content, FileContent), "only files of a context grow"
    assert node.content.grew is not None, "else growing is an error"
    if digest != beginning_of(node, descriptor) or node.entry.digest not in ("", digest):
        raise changed(node.entry.path)
    node.content.grew(node.entry.path)


def beginning_of(node: Node, descriptor: int) -> str:
    """Return the sha256 of as much of an open file as was listed, in hex."""
    digest, position = hashlib.sha256(), 0
    while block := os.pread(descriptor, min(_BLOCK_BYTES, node.entry.size - position), position):
        digest.update(block)
        position += len(block)
    return digest.hexdigest()


def unreadable(path: str, error: OSError) -> ContextError:
    """Return the error for a path that the operating system refused."""
    if isinstance(error, FileNotFoundError):
        return changed(path)
    return ContextError(
        f"{path!r} cannot be read: {error.strerror}",
        hint="Make it readable, or exclude it in .dockerignore." if isinstance(error, PermissionError) else "",
    )
