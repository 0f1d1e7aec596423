"""What a build would see of a context directory, and why: the answer to `context ls`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from builder.context.directory import DirectoryTree
from builder.context.docker_ignore import DockerIgnoreSpec
from builder.context.ignore import IgnorePatterns, Rule
from builder.context.own_store import store_inside
from builder.context.reading import unreadable
from builder.filesystem.entry import DIRECTORY, FILE


class ListedFile(NamedTuple):
    """One file of a context (anything but a directory). `rule` is the one that hid or kept it, None for neither."""

    path: str
    size: int
    """Bytes; 0 for links and special files."""
    included: bool
    rule: Rule | None


def list_context(path: str, ignore: IgnorePatterns, store: str, *, ignored: bool = True) -> Iterator[ListedFile]:
    """Yield the files of the directory `path` in tree order, with `ignored` also those that are hidden.

    What lies in the directory `store` is neither.

    Excluded directories are looked into too: their files are what makes a context large. Raises ContextError.
    """
    spec = DockerIgnoreSpec.of(ignore)
    with DirectoryTree(path, store=_store_inside(path, store)) as tree:
        for node in tree.walk(""):
            entry = node.entry
            if entry.kind == DIRECTORY:
                continue
            decision = spec.check_file(entry.path, separators=())  # a backslash is part of a name here
            if decision.include and not ignored:
                continue
            rule = None if decision.index is None else ignore.rules[decision.index]
            yield ListedFile(entry.path, entry.size if entry.kind == FILE else 0, not decision.include, rule)


def _store_inside(path: str, store: str) -> str:
    try:
        return store_inside(path, store)
    except OSError as error:
        raise unreadable(path, error) from error
