"""Finding the Dockerfile, and reading it as what it must be: small, regular, and inside.

    -f given      that file, from the working directory (or, when it is not there, from the context)
    otherwise     Dockerfile, dockerfile, Containerfile in the context

Links are followed inside the directory that is searched and nowhere else: a context may come from somebody else.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from builder.errors import ContextError
from builder.filesystem.resolve import Root
from builder.suggest import most_alike

if TYPE_CHECKING:
    from builder.context.archive import Readable

NAMES = ("Dockerfile", "dockerfile", "Containerfile")
MAX_DOCKERFILE_BYTES = 16 << 20


class FoundDockerfile(NamedTuple):
    """A Dockerfile's text, the directory it was found in and its path from there."""

    text: bytes
    directory: str
    name: str


def find_dockerfile(context: str, given: str | None) -> FoundDockerfile:
    """Return the Dockerfile for the context directory `context`. Raises ContextError."""
    if given is None:
        for name in NAMES:
            text = read_inside(context, name, MAX_DOCKERFILE_BYTES)
            if text is not None:
                return FoundDockerfile(text, context, name)
        raise _not_found(context, NAMES[0], NAMES[0])
    for path in (given, os.path.join(context, given)):
        directory, name = os.path.split(path)
        text = read_inside(directory or ".", name, MAX_DOCKERFILE_BYTES) if os.path.isdir(directory or ".") else None
        if text is not None:
            return FoundDockerfile(text, directory or ".", name)
    raise _not_found(os.path.dirname(given) or ".", os.path.basename(given), given)


def read_inside(directory: str, name: str, limit: int) -> bytes | None:
    """Return the content of a file in `directory`, None when there is none; links lead nowhere out of it.

    Raises ContextError when it is no regular file, longer than `limit` bytes, unreadable, or a link to the outside.
    """
    if not os.path.lexists(os.path.join(directory, name)):
        return None
    try:
        with Root(directory) as root:
            text = read_regular(root, name, limit)
    except OSError as error:
        raise _unreadable(directory, name, error) from error
    if isinstance(text, str):
        hint = (
            "This does not look like the right file." if text.startswith("is longer") else "Give another one with -f."
        )
        raise ContextError(f"{name} {text}", hint=hint)
    return text


def read_regular(root: Root, name: str, limit: int) -> bytes | str:
    """Return the content of a regular file, or what keeps it from being read: "is a FIFO, not a file", "is longer …".

    Raises OSError; for a directory IsADirectoryError.
    """
    # A FIFO must not make us wait, nor a terminal become ours.
    descriptor = root.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        if not stat.S_ISREG(mode):
            return f"is {_kind(mode)}, not a file"
        text = b""
        while len(text) <= limit and (more := os.read(descriptor, limit + 1 - len(text))):
            text += more
    finally:
        os.close(descriptor)
    return text if len(text) <= limit else f"is longer than {limit >> 20} MiB"


def _unreadable(directory: str, name: str, error: OSError) -> ContextError:
    path = os.path.join(directory, name)
    if os.path.islink(path) and error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV):
        return ContextError(
            f"{name} is a symbolic link to {os.readlink(path)!r}, which is not inside {directory!r}",
            hint="Links are not followed out of the directory: copy the file, or name its real place with -f.",
        )
    if isinstance(error, IsADirectoryError):
        return ContextError(f"{name} is a directory, not a file", hint="Give another one with -f.")
    return ContextError(f"{name} cannot be read: {error.strerror}")


def _not_found(directory: str, name: str, shown: str) -> ContextError:
    # BuildKit's words: scripts look for them.
    message = f"failed to read dockerfile: open {shown}: no such file or directory"
    try:
        near = most_alike(name, os.listdir(directory), case_sensitive=False)
    except PermissionError:
        return ContextError(f"failed to read dockerfile: the directory {directory!r} may not be read")
    except OSError:
        return ContextError(message, hint=f"There is no directory {directory!r}.")
    where = "the build context" if name == NAMES[0] else f"{directory!r}"
    return ContextError(message, hint=f"In {where} there is {near!r}: give it with -f." if near else "")


def _kind(mode: int) -> str:
    return {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}.get(stat.S_IFMT(mode), "a device")


def read_dockerfile_stream(stream: Readable, what: str) -> bytes:
    """Read a Dockerfile from a stream, which messages call `what`. Raises ContextError."""
    text = b""
    while more := stream.read(MAX_DOCKERFILE_BYTES + 1 - len(text)):
        text += more
    if len(text) > MAX_DOCKERFILE_BYTES:
        raise ContextError(f"{what} is neither an archive nor a Dockerfile: it is too long for one")
    return text
