"""What a build would see of a context directory, and why: the answer to `context ls`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from builder.context.directory import DirectoryTree
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
    with DirectoryTree(path, store=_store_inside(path, store)) as tree:
        state_of = _States(ignore)
        for node in tree.walk(""):
            entry = node.entry
            excluded = state_of.enter(entry.path, is_directory=entry.kind == DIRECTORY)
            if entry.kind == DIRECTORY or (excluded and not ignored):
                continue
            rule = ignore.decide(entry.path).rule if ignore else None
            yield ListedFile(entry.path, entry.size if entry.kind == FILE else 0, not excluded, rule)


def _store_inside(path: str, store: str) -> str:
    try:
        return store_inside(path, store)
    except OSError as error:
        raise unreadable(path, error) from error


class _States:
    """The ignore states of the directories above the path at hand, for paths that come in tree order."""

    def __init__(self, ignore: IgnorePatterns) -> None:
        self._ignore = ignore
        self._above: list[tuple[str, int]] = []

    def enter(self, path: str, *, is_directory: bool) -> bool:
        if not path:
            return False
        while self._above and not path.startswith(self._above[-1][0]):
            self._above.pop()
        excluded, state = self._ignore.enter(path, self._above[-1][1] if self._above else self._ignore.ROOT)
        if is_directory:
            self._above.append((path + "/", state))
        return excluded
