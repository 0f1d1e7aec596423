"""Where a tar ends: a file that appears whole or not at all, or standard output.

In: a path or `-`. Out: a `write` to give blocks to.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from builder.errors import TransportError
from builder.filesystem.unfinished import written

STDOUT = "-"
_BUFFER_BYTES = 1 << 20


@contextmanager
def open_output_file(dest: str, stdout: int | None = None) -> Iterator[Callable[[bytes], object]]:
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
        else:
            with written(dest) as file:
                yield file.write
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
    # A copy, so that closing it, which writes what is left, doesn't close standard output itself.
    with open(os.dup(descriptor), "wb", buffering=_BUFFER_BYTES) as file:
        yield file.write
