"""Reading what has a digest: a regular file, never waited for, whose bytes are digested while they pass.

    with open_checked(path, digest) as stream: … stream.read(n) …      DigestMismatch at the end, if they are others

Leaving the block without an error means that the file was read to its end and is what its name says. What was written
by this process, or read through before, is not digested again as long as stat(2) shows no change
(builder.filesystem.sound).
"""

from __future__ import annotations

import errno
import os
import stat
import time
from types import TracebackType
from typing import BinaryIO

from builder.errors import DigestMismatch
from builder.filesystem import sound
from builder.oci.digest import Digest
from builder.store.known_files import WORTH_BYTES
from builder.store.pipeline import Digester
from builder.store.stat_cache import is_settled

_BLOCK_BYTES = 1 << 20


def open_regular(path: str) -> BinaryIO:
    """Open a regular file for reading, unbuffered: in its place may be a FIFO, for us to wait at for ever.

    Raises OSError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", path)
        return open(descriptor, "rb", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise


def open_checked(path: str, digest: Digest, *, believe: bool = True) -> CheckedFile:
    """Open a file that must have the content `digest`. Raises OSError; reading it, DigestMismatch.

    It is digested even where it is known already, unless one may `believe` that.
    """
    return CheckedFile(open_regular(path), path, digest, believe=believe)


def damaged(path: str, digest: Digest, actual: str) -> DigestMismatch:
    """Return the error for a blob of the store with other bytes than its name says."""
    return DigestMismatch(
        f"blob {digest} of the store is damaged: its bytes have the digest {actual}", hint=removal_hint(path)
    )


def removal_hint(path: str) -> str:
    """Return what to do about a damaged file that can be made or fetched again."""
    return f"Remove it and build again, which makes or fetches it anew: rm '{path}'"


class CheckedFile:
    """An open file that is read forward, once."""

    def __init__(self, file: BinaryIO, path: str, digest: Digest, *, believe: bool) -> None:
        self._file = file
        self._path = path
        self._digest = digest
        status = os.fstat(file.fileno())
        self._stamp = sound.stamp(status)
        self._lasting = False
        self._hashing: Digester | None = None
        if not believe or sound.known_digest(status) != digest:
            self._lasting = status.st_size >= WORTH_BYTES and is_settled(status, time.time_ns())
            self._hashing = Digester(digest.algorithm)

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes (all when negative), b"" at the end. Raises OSError, DigestMismatch."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_BLOCK_BYTES), b""))
        data = self._file.read(size)
        if self._hashing is not None:
            if data:
                self._hashing.update(data)
            elif size:
                self._check(self._hashing)
        return data

    def fileno(self) -> int:
        return self._file.fileno()

    def finish(self) -> None:
        """Read what is left, and check. Raises OSError, DigestMismatch."""
        while self._hashing is not None:
            self.read(_BLOCK_BYTES)

    def _check(self, hashing: Digester) -> None:
        self._hashing = None
        actual = hashing.finish()
        if actual != self._digest:
            raise damaged(self._path, self._digest, actual)
        if sound.stamp(os.fstat(self._file.fileno())) == self._stamp:
            sound.remember(self._stamp, self._digest, lasting=self._lasting)

    def __enter__(self) -> CheckedFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            if self._hashing is not None:
                self._hashing.stop()
            self._file.close()
