"""The way from a directory down to one below it, held open: however deep, with few descriptors.

Each step goes from an open directory to one name in it, and follows no symbolic link: nothing in the tree, and nobody
who changes it meanwhile, leads out of it. No path is ever longer than a name.
"""

from __future__ import annotations

import os

OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HELD = 64
"""Directories held open at the end of the way. Further up they are opened anew when they are wanted again."""


class Trail:
    """Where we stand below the directory open at `root`, which stays the caller's; `names` lead there."""

    def __init__(self, root: int) -> None:
        self._root = root
        self.names: list[str] = []
        self._held: list[int] = []
        """Of the last directories of the way, the deepest last."""

    @property
    def descriptor(self) -> int:
        """The directory we stand in; it stays ours, until the next step."""
        return self._held[-1] if self._held else self._root

    def down(self, name: str) -> int:
        """Step into the directory `name` and return its descriptor. Raises OSError: ENOTDIR or ELOOP for others."""
        descriptor = os.open(name, OPEN, dir_fd=self.descriptor)
        self._held.append(descriptor)
        self.names.append(name)
        if len(self._held) > _HELD:
            os.close(self._held.pop(0))
        return descriptor

    def up(self, depth: int) -> int:
        """Step back until `depth` names are left, and return the descriptor there. Raises OSError."""
        while len(self.names) > depth:
            self.names.pop()
            if self._held:
                os.close(self._held.pop())
        if self.names and not self._held:
            names, self.names = self.names, []
            for name in names:
                self.down(name)
        return self.descriptor

    def close(self) -> None:
        """Let go of all of it."""
        self.names = []
        while self._held:
            os.close(self._held.pop())
