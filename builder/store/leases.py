"""Leases: what running builds use, written down, so that prune can work beside them and take the rest.

    ROOT/leases/<random>   one per build, flock(2)ed as long as it lives; a line for each thing it uses: a digest (of a
                           blob, a layer's diff ID), or a path in the store (snapshots/…, mounts/…)
    ROOT/leases/gate       passed by a build (shared, let go at once) after each line; held by prune (exclusive) while
                           it looks what is needed and takes the rest away
    ROOT/lock              held by those that hold everything: shared by builds that cannot write a lease (a read-only
                           store, a full disk), exclusively by prune, which gives way to them

A build first writes what it is about to use, passes the gate, and only then looks whether it is there. So either prune
has seen the line and spares the thing, or it had taken it away before the build looked.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import RLock

from builder.errors import StoreError
from builder.store.os_errors import translated

_GATE = "gate"
_RESERVED_BYTES = 16 << 10
"""Allocated for each lease, so that a disk that fills up meanwhile does not keep it from growing: 220 lines."""
_POLL_SECONDS = 0.05


class Leases:
    """The leases of one store, and the one of this process, if it holds any. Safe for threads."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._directory = f"{root}/leases"
        self._lock = RLock()
        self._pinned: set[str] = set()
        self._lease = self._gate = self._all = -1

    @contextmanager
    def hold(self, *, everything: bool = False) -> Iterator[None]:
        """Be a running build until the block ends; with `everything`, keep prune away altogether. Raises StoreError."""
        path = ""
        try:
            if not everything:
                with suppress(OSError):
                    path = self._open_lease()
            if not path:
                self._hold_all()
            yield
        finally:
            self._end(path)

    def pin(self, *things: str) -> None:
        """Say that this build uses `things` from now on: to be called before looking whether they are there."""
        if self._lease < 0 or self._pinned.issuperset(things):
            return
        with self._lock:
            fresh = dict.fromkeys(thing for thing in things if thing not in self._pinned)
            if not fresh or self._lease < 0:
                return
            data = "".join(f"{thing}\n" for thing in fresh).encode()
            try:
                written = os.write(self._lease, data)
                if written < len(data):
                    os.write(self._lease, data[written:])
                fcntl.flock(self._gate, fcntl.LOCK_SH)
                fcntl.flock(self._gate, fcntl.LOCK_UN)
            except OSError:
                self._hold_all()  # a full disk: nothing may go as long as this build is running
            self._pinned.update(fresh)

    @contextmanager
    def alone(self, wait_seconds: float = 0.0) -> Iterator[frozenset[str]]:
        """Keep builds from looking for anything until the block ends; gives what the running ones use.

        Raises StoreError when somebody holds everything for longer than `wait_seconds`.
        """
        with translated("locking the store"):
            everything = _open(f"{self._root}/lock")
            gate = -1
            try:
                _lock_within(everything, wait_seconds, self._root)
                gate = self._open_gate()
                fcntl.flock(gate, fcntl.LOCK_EX)
            except BaseException:
                _close(everything, gate)
                raise
        try:
            yield frozenset(self._used_by_others())
        finally:
            _close(gate, everything)

    def running(self) -> int:
        """Return the number of builds that hold a lease."""
        return sum(1 for _ in self._living())

    def wait(self) -> None:
        """Wait until the builds that are running now have ended; those that begin meanwhile are not waited for."""
        for descriptor in self._living():
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        with translated("locking the store"):
            everything = _open(f"{self._root}/lock")
            try:
                fcntl.flock(everything, fcntl.LOCK_EX)
            finally:
                os.close(everything)

    def _open_lease(self) -> str:
        path = f"{self._directory}/{os.urandom(8).hex()}"
        gate, lease = self._open_gate(), -1
        try:
            fcntl.flock(gate, fcntl.LOCK_SH)  # until it is locked, it looks like one that a dead build left
            lease = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(lease, fcntl.LOCK_EX)
            os.posix_fallocate(lease, 0, _RESERVED_BYTES)
            fcntl.flock(gate, fcntl.LOCK_UN)
        except BaseException:
            if lease >= 0:
                os.unlink(path)
            _close(lease, gate)
            raise
        self._lease, self._gate, self._pinned = lease, gate, set()
        return path

    def _open_gate(self) -> int:
        try:
            return _open(f"{self._directory}/{_GATE}")
        except FileNotFoundError:
            os.makedirs(self._directory, 0o700, exist_ok=True)
            return _open(f"{self._directory}/{_GATE}")

    def _hold_all(self) -> None:
        if self._all >= 0:
            return
        with translated("locking the store"):
            try:
                self._all = _open(f"{self._root}/lock")
            except OSError:
                if os.access(self._root, os.W_OK):
                    raise
                return  # a layout that somebody else made, and nobody here can prune
            fcntl.flock(self._all, fcntl.LOCK_SH)

    def _end(self, path: str) -> None:
        with self._lock:
            if path:
                with suppress(OSError):
                    os.unlink(path)
            _close(self._lease, self._gate, self._all)
            self._lease = self._gate = self._all = -1

    def _used_by_others(self) -> Iterator[str]:
        for descriptor in self._living(sweep=True):
            with open(descriptor, encoding="utf-8", closefd=False) as file:
                yield from file.read().rstrip("\0").split("\n")

    def _living(self, *, sweep: bool = False) -> Iterator[int]:
        """Give a descriptor of each lease whose build is alive; those of dead ones can be locked."""
        try:
            names = sorted(os.listdir(self._directory))
        except FileNotFoundError:
            return
        for name in names:
            path = f"{self._directory}/{name}"
            if name == _GATE:
                continue
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # what is there may be a FIFO
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                yield descriptor
            else:
                if sweep:
                    with suppress(OSError):
                        os.unlink(path)
            finally:
                os.close(descriptor)


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:
        if not os.path.exists(path):
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # of a read-only store; flock(2) asks for no more


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        if descriptor >= 0:
            os.close(descriptor)


def _lock_within(descriptor: int, seconds: float, root: str) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise StoreError(
                    f"the store {root} is in use as a whole, by a check, a prune, or a build that cannot write to it",
                    hint="Try again when it has finished, or wait for it with --wait.",
                ) from None
            time.sleep(_POLL_SECONDS)
