"""Unfinished files: every process writes into a directory of its own below tmp/, locked as long as the process lives.

    ROOT/tmp/<random>/<number>-<label>

A directory whose lock can be had belongs to nobody any more (flock(2) ends with its last descriptor, kill -9 included)
and is swept away when the store is opened next. tmp/ itself is locked, shared, while a directory is created, and
exclusively, without waiting, while sweeping: so nobody sweeps one that has no lock yet.
"""

from __future__ import annotations

import fcntl
import os
from itertools import count
from threading import Lock

from builder.filesystem.unfinished import abandoned
from builder.store.os_errors import translated
from builder.store.trash import has_mounts, remove_tree


class TemporaryFiles:
    """Gives paths below `directory` on the file system of the store, so that rename(2) works."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._lock = Lock()
        self._numbers = count()
        self._own = ""
        self._owner = 0
        self._descriptor = -1

    def path(self, label: str) -> str:
        """Return a path that nobody else uses; nothing is created there. Raises StoreError."""
        with self._lock:
            if self._owner != os.getpid():  # a forked child must not write where its parent sweeps on close
                self._claim()
            return f"{self._own}/{next(self._numbers)}-{label}"

    def sweep(self) -> int:
        """Remove what dead processes left; returns the number of directories. Never raises: it will be tried again."""
        try:
            names = os.listdir(self.directory)
        except OSError:
            return 0
        if not names:
            return 0
        return self._sweep(names)

    def close(self) -> None:
        """Remove this process's directory."""
        with self._lock:
            if self._descriptor >= 0 and self._owner == os.getpid():
                remove_tree(self._own)
                os.close(self._descriptor)
            self._own, self._owner, self._descriptor = "", 0, -1

    def _claim(self) -> None:
        own = f"{self.directory}/{os.urandom(8).hex()}"
        with translated("making room for temporary files in the store"):
            parent = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(parent, fcntl.LOCK_SH)
                os.mkdir(own, 0o700)
                self._descriptor = os.open(own, os.O_RDONLY | os.O_DIRECTORY)
                fcntl.flock(self._descriptor, fcntl.LOCK_SH)
            finally:
                os.close(parent)
        self._own, self._owner = own, os.getpid()

    def _sweep(self, names: list[str]) -> int:
        try:
            parent = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return 0
        swept = 0
        try:
            fcntl.flock(parent, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for name in names:
                swept += _remove_unowned(f"{self.directory}/{name}")
        except OSError:
            pass  # somebody creates or sweeps right now; the next open does it
        finally:
            os.close(parent)
        return swept


def _remove_unowned(path: str) -> bool:
    try:
        with abandoned(path):
            return not has_mounts(path) and remove_tree(path)
    except OSError:
        return False
