"""Files that appear whole or not at all: written beside their place, then renamed to it.

    DIR/.pybuild-<16 hex digits>.part    while DIR/NAME is written

Whoever makes something unfinished holds a shared lock on it, which ends with the process, kill -9 included (flock(2)).
So what can be locked exclusively belongs to nobody any more. Such files go when something is written beside them next.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

_BUFFER_BYTES = 1 << 20
_UNFINISHED = re.compile(r"\.pybuild-[0-9a-f]{16}\.part")


@contextmanager
def replacing(path: str, *, sync: bool = True) -> Iterator[BinaryIO]:
    """Give a file that takes the place of `path` when the block ends without an error, and is gone otherwise.

    It has the permissions that the umask gives, and with `sync` its content is on the disk before its name is. Raises
    OSError, also for a place that something other than a file or a link has: /dev/null would be gone for everybody.
    """
    if not _is_replaceable(path):
        raise FileExistsError(errno.EEXIST, "Something that is no file has this place", path)
    directory = os.path.dirname(path) or "."
    _sweep(directory)
    temporary, lock = _new_file(directory)
    try:
        with open(os.dup(lock), "wb", buffering=_BUFFER_BYTES) as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    finally:
        os.close(lock)


@contextmanager
def written(path: str, *, sync: bool = True) -> Iterator[BinaryIO]:
    """Give a file to write where a user wants it: a link is followed, a device or a pipe is written to as it is.

    Anything else is replaced, as `replacing` does. Raises OSError.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb", buffering=_BUFFER_BYTES) as file:
            yield file
        return
    with replacing(os.path.realpath(path), sync=sync) as file:
        yield file


@contextmanager
def abandoned(path: str) -> Iterator[None]:
    """Hold what is at `path`, so that nobody comes to own it. Raises OSError: BlockingIOError when somebody does."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _is_replaceable(path: str) -> bool:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return True  # nothing is there, or whoever writes is told more
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def _new_file(directory: str) -> tuple[str, int]:
    """Create a file of a name of its own; return its path and a locked descriptor of it. Raises OSError."""
    while True:
        path = f"{directory}/.pybuild-{os.urandom(8).hex()}.part"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with suppress(OSError):  # a file system without locks: there nobody sweeps either
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        if os.path.lexists(path):
            return path, descriptor
        os.close(descriptor)  # another writer has swept it before it was locked


def _sweep(directory: str) -> None:
    """Remove the files that killed writers have left."""
    with suppress(OSError):  # who may write to a directory may yet not see what is in it
        for name in filter(_UNFINISHED.fullmatch, os.listdir(directory)):
            with suppress(OSError), abandoned(f"{directory}/{name}"):  # or it is not ours, or went meanwhile
                os.unlink(f"{directory}/{name}")
