"""Where in a tree on disk we stand: the directories from its root down to one, held open.

Entries of a tar stand together by directory, so the next one needs a step or two and not a path from the root. No
step follows a symbolic link, and none is ever taken by a path of more than one word: nothing in the tree, and nobody
who changes it meanwhile, can lead us out of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class TreeCursor:
    """A position in the tree below the directory `root`; a context manager.

    `arrive(parent descriptor, name, path)` is called before a directory is opened: it may make it.
    """

    def __init__(self, root: str, arrive: Callable[[int, str, str], None] | None = None) -> None:
        self._arrive = arrive
        self._path = ""
        self._names: list[str] = []
        self._descriptors = [os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]

    def __enter__(self) -> TreeCursor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._back_to(0)
        os.close(self._descriptors.pop())

    def enter(self, path: str) -> int:
        """Go to the directory `path` ("" is the root) and return its descriptor, which stays the cursor's.

        Raises OSError: ENOENT, and ENOTDIR or ELOOP where something else stands.
        """
        if path == self._path:
            return self._descriptors[-1]
        names = path.split("/") if path else []
        common = 0
        for ours, wanted in zip(self._names, names):
            if ours != wanted:
                break
            common += 1
        self._back_to(common)
        for depth in range(common, len(names)):
            name = names[depth]
            if self._arrive is not None:
                self._arrive(self._descriptors[-1], name, "/".join(names[: depth + 1]))
            self._descriptors.append(os.open(name, _OPEN, dir_fd=self._descriptors[-1]))
            self._names.append(name)
        self._path = path
        return self._descriptors[-1]

    def forget(self, path: str) -> None:
        """Take note that `path` is about to be removed or replaced: step out of it."""
        if self._path == path or self._path.startswith(path + "/"):
            self._back_to(path.count("/"))

    def _back_to(self, depth: int) -> None:
        while len(self._names) > depth:
            self._names.pop()
            os.close(self._descriptors.pop())
        self._path = "/".join(self._names)


def find_status(directory: int, name: str) -> os.stat_result | None:
    """Return the status of a name in a directory, links not followed, or None when there is none."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
