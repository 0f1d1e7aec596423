"""An event that poll(2) sees, so that who waits for a process need not look up to see whether it is to be ended."""

from __future__ import annotations

import os
import threading


class Cancel(threading.Event):
    """Set once, for good, by whoever has had enough.

    `fileno` is readable from then on (man 2 eventfd); nobody reads it, so that everybody who waits is woken.
    """

    def __init__(self) -> None:
        super().__init__()
        self._guard = threading.Lock()
        self._descriptor = -1
        """Made when somebody waits: most builds run nothing."""

    def set(self) -> None:
        super().set()
        with self._guard:
            if self._descriptor >= 0:
                os.eventfd_write(self._descriptor, 1)

    def fileno(self) -> int:
        """Return the descriptor to poll. Raises OSError where no more can be had."""
        with self._guard:
            if self._descriptor < 0:
                self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
                if self.is_set():
                    os.eventfd_write(self._descriptor, 1)
            return self._descriptor

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
