"""Where a stream ends: a file that appears whole or not at all, or standard output.

In: a path or `-`. Out: a `write` to give blocks to.
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from builder.errors import TransportError
from builder.transport.output import STDOUT

_BUFFER_BYTES = 1 << 20
_MARK_BYTES = 4
"""Length of what tells unfinished files of one destination apart."""


@contextmanager
def open_destination(dest: str, stdout: int | None = None) -> Iterator[Callable[[bytes], object]]:
    """Give a function that writes to `dest`; `stdout` is the descriptor behind `-` (default: the process's own).

    A file is written beside its place and renamed at the end, with the permissions the umask gives; a device or FIFO
    is written to directly. Raises TransportError.
    """
    try:
        if dest == STDOUT:
            with _standard_output(stdout) as write:
                yield write
        elif os.path.isdir(dest):
            raise TransportError(f"{dest} is a directory; the output is one file", hint="Name a file in it with dest=.")
        elif os.path.exists(dest) and not stat.S_ISREG(os.stat(dest).st_mode):
            with open(dest, "wb", buffering=_BUFFER_BYTES) as file:
                yield file.write
        else:
            with _replaced(dest) as write:
                yield write
    except OSError as error:
        hint = "Is the reader of the pipe gone?" if isinstance(error, BrokenPipeError) else ""
        where = "standard output" if dest == STDOUT else dest
        raise TransportError(
            f"writing the output to {where}: {(error.strerror or str(error)).lower()}", hint=hint
        ) from error


def shown(dest: str) -> str:
    """Return how messages call a destination."""
    return "to standard output" if dest == STDOUT else dest


@contextmanager
def _standard_output(stdout: int | None) -> Iterator[Callable[[bytes], object]]:
    descriptor = sys.stdout.fileno() if stdout is None else stdout
    if os.isatty(descriptor):
        raise TransportError(
            "the output would go to the terminal", hint="Redirect standard output, or name a file with dest=."
        )
    with open(os.dup(descriptor), "wb", buffering=_BUFFER_BYTES) as file:
        yield file.write


@contextmanager
def _replaced(dest: str) -> Iterator[Callable[[bytes], object]]:
    _sweep(dest)
    temporary = f"{_beside(dest)}{os.urandom(_MARK_BYTES).hex()}"
    try:
        with open(temporary, "xb", buffering=_BUFFER_BYTES) as file:
            fcntl.flock(file, fcntl.LOCK_SH)  # says to `_sweep` that its writer lives
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, dest)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _sweep(dest: str) -> None:
    """Remove what writers of `dest` that were killed have left beside it."""
    directory, beginning = os.path.split(_beside(dest))
    for name in os.listdir(directory):
        mark = name.removeprefix(beginning)
        if mark == name or len(mark) != 2 * _MARK_BYTES or set(mark) - set("0123456789abcdef"):
            continue
        with suppress(OSError):  # it is being written, is not ours, or went meanwhile
            descriptor = os.open(f"{directory}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(f"{directory}/{name}")
            finally:
                os.close(descriptor)


def _beside(dest: str) -> str:
    """Return what the path of an unfinished file begins with."""
    return f"{os.path.dirname(dest) or '.'}/.{os.path.basename(dest)}."
