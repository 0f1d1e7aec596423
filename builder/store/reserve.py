"""A little room that is ours on a disk that is full: given up so that names can be removed, taken again afterwards.

    ROOT/reserve    64 KiB of noise, which no file system stores in less

Removing an image means writing a shorter index.json first, and deleting its layers then: with not one byte left, the
first step would fail for want of what the second would free.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress

from builder.errors import StoreError

_BYTES = 64 << 10
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Reserve:
    """The reserve of one store."""

    def __init__(self, root: str) -> None:
        self._path = f"{root}/reserve"

    def fill(self) -> None:
        """Take the room, if it isn't taken and there is some. Never raises: it is needed only when this worked."""
        with suppress(OSError):
            if os.path.exists(self._path):
                return
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, os.urandom(_BYTES))
            finally:
                os.close(descriptor)

    def used_for(self, work: Callable[[], None]) -> None:
        """Do `work`, and once more without the reserve when the disk is full. Raises what it raises."""
        try:
            work()
        except (OSError, StoreError) as error:
            if not is_full(error) or not self._give_up():
                raise
            work()

    def _give_up(self) -> bool:
        try:
            os.unlink(self._path)
        except OSError:
            return False
        return True


def is_full(error: BaseException | None) -> bool:
    """Say whether an error, or what caused it, is that of a full disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__
    return False
