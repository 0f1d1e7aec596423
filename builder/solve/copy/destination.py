"""Where a copy goes: the destination in the file system below, what is there already, and what must be made.

Links in the destination are followed inside the root, the last name included (C-7). Directories on the way keep what
they are; missing ones are made (C-6). A directory is never replaced by a file that is copied, nor a file by a
directory (C-8). Every directory on the way is part of the new layer, so that the layer stands by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.context.paths import inside_root, join
from builder.errors import ContextError
from builder.filesystem.entry import DIRECTORY, Entry

if TYPE_CHECKING:
    from builder.layer.view import MergedView


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDirectory:
    """Mode, owner and time (in seconds) of the directories that a copy or a WORKDIR makes."""

    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: int = 0

    def entry(self, path: str) -> Entry:
        return Entry(path, DIRECTORY, self.mode, self.uid, self.gid, self.mtime)


def says_directory(destination: str) -> bool:
    """Say whether a destination is a directory by how it is written: a slash or dot at its end, or nothing (C-2)."""
    return destination == "" or destination.rpartition("/")[2] in ("", ".", "..")


class Destination:
    """A destination in a view; "" is the root."""

    def __init__(self, view: MergedView, destination: str) -> None:
        """Resolve `destination`. Raises LayerError when its links go in circles."""
        self.view = view
        self.path = view.resolve(inside_root(destination))
        # Of the text as it is written: cleaned, and with links followed, it has no slash at its end.
        self.must_be_directory = says_directory(destination)
        found = view.find(self.path)
        self.existing = None if found is None else found.entry

    @property
    def is_directory(self) -> bool:
        return self.existing is not None and self.existing.kind == DIRECTORY

    def directories(self, last: str, new: NewDirectory) -> Iterator[Entry]:
        """Yield the directories from the root's children down to `last`, as they are or as they will be made.

        Raises ContextError when something on the way is no directory.
        """
        if not last:
            return
        names = last.split("/")
        for depth in range(1, len(names) + 1):
            path = "/".join(names[:depth])
            found = self.view.find(path)
            if found is None:
                yield new.entry(path)
            elif found.entry.kind != DIRECTORY:
                raise ContextError(
                    f"cannot create the directory /{last}: /{path} is a {found.entry.kind}, not a directory",
                    hint="Choose another destination, or remove it in an earlier step.",
                )
            else:
                yield found.entry


class KindConflicts:
    """Refuses to let a copy turn files into directories or the reverse. Entries come in tree order."""

    def __init__(self, view: MergedView, directory: str) -> None:
        self._view = view
        self._levels: list[tuple[str, dict[str, str]]] = [(directory, self._kinds(directory))]

    def check(self, entry: Entry, *, replaces: bool = False) -> None:
        """Raise ContextError when `entry` cannot take its place; one that `replaces` always can."""
        # Entries come in tree order: the levels are the directories on the way to the last one, each listed once.
        parent, _, name = entry.path.rpartition("/")
        levels = self._levels
        while len(levels) > 1 and levels[-1][0] != parent:
            levels.pop()
        there = levels[-1][1].get(name) if levels[-1][0] == parent else None
        if there is not None and not replaces:
            check_kinds(entry.path, there, entry.kind)
        if entry.kind == DIRECTORY:
            # Below a directory that is new, nothing can be in the way.
            levels.append((entry.path, self._kinds(entry.path) if there == DIRECTORY else {}))

    def _kinds(self, directory: str) -> dict[str, str]:
        return {item.entry.path.rpartition("/")[2]: item.entry.kind for item in self._view.children(directory)}


def check_kinds(path: str, there: str, coming: str) -> None:
    """Raise ContextError when what is `there` cannot give way to what is `coming` (C-8)."""
    if coming == DIRECTORY and there != DIRECTORY:
        raise ContextError(
            # The words are those of the library that BuildKit copies with (tonistiigi/fsutil, copy/copy.go): scripts
            # may look for them.
            f"cannot copy to non-directory: /{path}",
            hint=f"There is a {there} of that name; a directory cannot take its place.",
        )
    if coming != DIRECTORY and there == DIRECTORY:
        raise ContextError(
            f"cannot replace to directory /{path} with file",
            hint="To copy into the directory, end the destination with a slash and give the file another name.",
        )


def place(target: Destination, name: str, *, is_directory: bool, made_directory: bool) -> str:
    """Return the path that a source called `name` gets: the destination itself, or inside it (C-3, C-4)."""
    if is_directory:
        return target.path
    inside = target.must_be_directory or target.is_directory or made_directory
    return join(target.path, name) if inside else target.path
