"""Bytes of an open file that are sent without being read: from its pages to the network (man 2 sendfile).

In: a descriptor, which stays its owner's. The bytes are those of the moment at which they leave; whoever takes them
has to check them, as a registry does with each blob.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass

_BLOCK_BYTES = 256 << 10


class UnreadableError(Exception):
    """What was to be sent cannot be read. No OSError, which urllib3 would take for the network's."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, slots=True)
class FileStretch:
    """`size` bytes from `offset` on."""

    descriptor: int
    offset: int
    size: int

    def blocks(self) -> Iterator[bytes]:
        """Read it, for a connection that encrypts. Raises UnreadableError, also for a file that has become shorter."""
        left = self
        while left.size:
            block = left.read(_BLOCK_BYTES)
            yield block
            left = left.after(len(block))

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes of its beginning. Raises as `blocks`."""
        try:
            if data := os.pread(self.descriptor, min(size, self.size), self.offset):
                return data
            raise OSError(errno.EIO, "the file has become shorter while it was sent")
        except OSError as error:
            raise UnreadableError(error) from error

    def after(self, count: int) -> FileStretch:
        """Return what is left after `count` bytes."""
        return FileStretch(self.descriptor, self.offset + count, self.size - count)

    def send(self, connection: socket.socket, seconds: float) -> int:
        """Send some of it within so many seconds; return how many bytes.

        Raises TimeoutError, OSError, UnreadableError.
        """
        writable = select.poll()
        writable.register(connection, select.POLLOUT)
        if not writable.poll(seconds * 1000):
            raise TimeoutError
        connection.settimeout(seconds)  # has the kernel not wait either
        try:
            if count := os.sendfile(connection.fileno(), self.descriptor, self.offset, self.size):
                return count
        except BlockingIOError as error:
            raise TimeoutError from error
        except ConnectionError:
            raise
        except OSError:
            pass  # of the file, of the network, or of a file system that can't do this: the calls below tell
        return connection.send(self.read(_BLOCK_BYTES))
