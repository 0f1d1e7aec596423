"""A tree on disk that nobody else changes, named by paths for system calls: however deep it is.

Linux takes 4,095 bytes for a path in one call. A path in an image may be as long by itself; with that of the store in
front it is too long, and is reached from a directory on the way.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

PATH_BYTES = 4095
"""PATH_MAX without its NUL (limits.h); a path in a layer has no slash in front, which takes one more."""
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class StillTree:
    """The tree below the directory `root`; a context manager. Parents in paths are real directories, never links."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._room = PATH_BYTES - len(os.fsencode(root)) - 1
        self._opened: list[int] = []
        self._parent = ""

    def __enter__(self) -> StillTree:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def at(self, path: str) -> str:
        """Return a path of the object at `path` ("" is the root); a long one is good until the next is asked for.

        Raises OSError: ENAMETOOLONG for what no process could name from the root.
        """
        if not path:
            return self.root
        if 3 * len(path) < self._room or len(os.fsencode(path)) <= self._room:
            return f"{self.root}/{path}"
        return self._far(path)

    def _far(self, path: str) -> str:
        if len(os.fsencode(path)) >= PATH_BYTES:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
        parent, _, name = path.rpartition("/")
        if parent != self._parent or not self._opened:
            self._close()
            self._opened = [os.open(self.root, _DIRECTORY)]
            self._opened.append(os.open(parent, _DIRECTORY, dir_fd=self._opened[0]))
            self._parent = parent
        return f"/proc/self/fd/{self._opened[-1]}/{name}"

    def _close(self) -> None:
        while self._opened:
            os.close(self._opened.pop())


@contextmanager
def listing(directory: str) -> Iterator[Iterator[os.DirEntry[str]]]:
    """Give what is in a directory; entries are looked at by name, not by path. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with os.scandir(descriptor) as entries:
            yield entries
    finally:
        os.close(descriptor)
