"""Finding the ignore file of a context: the rules it holds, and what stood in its place and could not be one.

    <Dockerfile>.dockerignore beside it, else .containerignore, else .dockerignore in the context

A link that leads nowhere inside, and a directory, are no ignore files: BuildKit goes on to the next name as if there
were none, and so do we, with a warning, since what was meant to stay out is now in. What is there and can't be read is
an error: it may be the very file that keeps a secret out.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from builder.context.dockerfile_file import FoundDockerfile, read_regular
from builder.context.ignore import NOTHING_IGNORED, IgnorePatterns, parse_ignore
from builder.errors import ContextError
from builder.filesystem.resolve import Root

IGNORE_NAMES = (".containerignore", ".dockerignore")
_MAX_IGNORE_BYTES = 4 << 20
_LEADS_NOWHERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV})
_HINT = "A build without its ignore file could let secrets in: make it a readable file, or remove it."


class FoundIgnore(NamedTuple):
    """The rules that hold, and a sentence for each thing that was passed over."""

    patterns: IgnorePatterns
    passed_over: tuple[str, ...] = ()


def find_ignore(context: str, dockerfile: FoundDockerfile | None) -> FoundIgnore:
    """Return the ignore rules that hold for a context. Raises ContextError, and SourceError for bad patterns."""
    places = [(context, name) for name in IGNORE_NAMES]
    if dockerfile is not None:
        # The Dockerfile's own goes before all, as in BuildKit: it may lie outside of the context, with the Dockerfile.
        places.insert(0, (dockerfile.directory, f"{dockerfile.name}.dockerignore"))
    passed_over: list[str] = []
    for directory, name in places:
        found = _read_ignore(directory, name)
        if isinstance(found, bytes):
            return FoundIgnore(parse_ignore(found.decode("utf-8", "surrogateescape"), name), tuple(passed_over))
        if found:
            passed_over.append(f"{os.path.join(directory, name)} {found}: it hides nothing from the build")
    return FoundIgnore(NOTHING_IGNORED, tuple(passed_over))


def _read_ignore(directory: str, name: str) -> bytes | str:
    """Return an ignore file's text, or what stands there instead; "" is nothing. Raises ContextError."""
    path = os.path.join(directory, name)
    try:
        mode = os.lstat(path).st_mode
        with Root(directory) as root:
            text = read_regular(root, name, _MAX_IGNORE_BYTES)
    except IsADirectoryError:
        return "is a directory, not a file"
    except OSError as error:
        # To go on without it would put into the build what it keeps out.
        if error.errno not in _LEADS_NOWHERE:
            raise ContextError(f"the ignore file {path} cannot be read: {error.strerror}", hint=_HINT) from error
        if error.filename == path:
            return ""  # lstat's: nothing is there
        if not stat.S_ISLNK(mode):
            raise ContextError(f"the ignore file {path} cannot be read: {error.strerror}", hint=_HINT) from error
        return f"is a symbolic link to {os.readlink(path)!r}, which leads to nothing inside {directory!r}"
    if isinstance(text, str):
        raise ContextError(f"the ignore file {path} {text}", hint=_HINT)
    return text
