"""The verb that shows a build context: every file, whether a build sees it, and the rule that says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from builder.context.dockerfile_file import FoundDockerfile, find_dockerfile
from builder.context.ignore_file import find_ignore
from builder.context.listing import list_context
from builder.errors import ContextError


class ContextFile(NamedTuple):
    """One file of a context (anything but a directory). `rule` is the line that hid or kept it; empty for none."""

    path: str
    size: int
    """Bytes; 0 for links and special files."""
    included: bool
    rule: str

    def to_json(self) -> dict[str, object]:
        """Return what `context ls --json` says of it."""
        return self._asdict() | {"rule": self.rule or "no rule"}


class ContextListing(NamedTuple):
    """The files of a context in tree order, read while they are asked for: it may hold millions."""

    files: Iterator[ContextFile]
    """Raises ContextError, at what cannot be read."""
    warnings: tuple[str, ...]
    """A sentence for each thing that stands where an ignore file should, and is none."""


def open_listing(path: str, dockerfile: str | None = None, *, root: str) -> ContextListing:
    """List the directory `path` as a build with `dockerfile` would see it; the store at `root` is no part of it.

    Raises ContextError, and SourceError for an ignore file in error.
    """
    # One that was named must be there: an ignore file of its own may stand beside it (I-1).
    found = find_dockerfile(path, dockerfile) if dockerfile else _default_dockerfile(path)
    ignore, passed_over = find_ignore(path, found)
    files = (
        ContextFile(file.path, file.size, file.included, str(file.rule) if file.rule else "")
        for file in list_context(path, ignore, root)
    )
    return ContextListing(files, passed_over)


def _default_dockerfile(path: str) -> FoundDockerfile | None:
    try:
        return find_dockerfile(path, None)
    except ContextError:
        return None  # a directory can be looked at without one
