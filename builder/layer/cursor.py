"""Where in a tree on disk we stand: a directory in it, and the way there.

Entries of a tar stand together by directory, so the next one needs a step or two and not a path from the root.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType

from builder.filesystem.trail import Trail


class TreeCursor:
    """A position in the tree below the directory `root`; a context manager.

    `arrive(parent descriptor, name, path)` is called before a directory is opened: it may make it.
    """

    def __init__(self, root: str, arrive: Callable[[int, str, str], None] | None = None) -> None:
        self._arrive = arrive
        self._path = ""
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._trail = Trail(self._root)

    def __enter__(self) -> TreeCursor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._trail.close()
        os.close(self._root)

    def enter(self, path: str) -> int:
        """Go to the directory `path` ("" is the root) and return its descriptor, which stays the cursor's.

        Raises OSError: ENOENT, and ENOTDIR or ELOOP where something else stands.
        """
        if path == self._path:
            return self._trail.descriptor
        names = path.split("/") if path else []
        common = 0
        for ours, wanted in zip(self._trail.names, names):
            if ours != wanted:
                break
            common += 1
        descriptor = self._back_to(common)
        for name in names[common:]:
            below = f"{self._path}/{name}" if self._path else name
            if self._arrive is not None:
                self._arrive(descriptor, name, below)
            descriptor = self._trail.down(name)
            self._path = below
        return descriptor

    def forget(self, path: str) -> None:
        """Take note that `path` is about to be removed or replaced: step out of it."""
        if self._path == path or self._path.startswith(path + "/"):
            self._back_to(path.count("/"))

    def _back_to(self, depth: int) -> int:
        descriptor = self._trail.up(depth)
        self._path = "/".join(self._trail.names)
        return descriptor


def find_status(directory: int, name: str) -> os.stat_result | None:
    """Return the status of a name in a directory, links not followed, or None when there is none."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
