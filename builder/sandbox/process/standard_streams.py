"""The command's output, as something that it can open by name: /dev/stdout is /proc/self/fd/1, and that a pipe.

with /proc      the pipe belongs to the command's user (as in runc, libcontainer/init_linux.go, fixStdioPermissions)
without         /dev/stdout and /dev/stderr are named pipes, which the command's output goes through
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

Pipe = tuple[int, int]
"""The reading and the writing end."""

_NAMES = ("stdout", "stderr")


def give_pipes(uid: int) -> None:
    """Make `uid` the owner of the pipes among this process's descriptors 0 to 2, where that may be done.

    Files and terminals stay whose they are: they are the caller's, and outlive the command.
    """
    for number in range(3):
        status = os.fstat(number)
        if stat.S_ISFIFO(status.st_mode) and status.st_uid != uid:
            with suppress(OSError):  # an id that does not exist in this user namespace, a pipe of somebody else
                os.fchown(number, uid, -1)


def output_pipes() -> tuple[Pipe, Pipe]:
    """Return pipes for stdout and stderr."""
    return os.pipe(), os.pipe()


def named_output_pipes(dev: str) -> tuple[Pipe, Pipe]:
    """Return pipes for stdout and stderr that have those names in the directory `dev`. Raises OSError."""
    first, second = (_named_pipe(os.path.join(dev, name)) for name in _NAMES)
    return first, second


def _named_pipe(path: str) -> Pipe:
    os.mkfifo(path, 0o600)
    read = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # blocking, it would wait for a writer
    try:
        write = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except BaseException:
        os.close(read)
        raise
    os.set_blocking(read, True)
    return read, write
