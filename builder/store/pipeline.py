"""Hashing and writing beside the producer: blocks in, a digest out, bytes on the disk.

A big stream gets two threads: one hashes and writes, one asks the kernel now and then to write back, so that the wait
for fsync at the end is short. hashlib, write(2) and fsync(2) release the interpreter lock. `Digester` is the half of it
for what is only read.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable
from threading import Event, Semaphore, Thread

_WRITE_BACK_BYTES = 64 << 20
_BLOCKS_IN_FLIGHT = 8
_ALONE_BYTES = 4 << 20
"""What is digested without a thread."""


class _Blocks:
    """A queue of few blocks from one thread to another. Python's own brings a heap along, into every cached build."""

    def __init__(self) -> None:
        self._blocks = deque[bytes | None]()
        self._free, self._waiting = Semaphore(_BLOCKS_IN_FLIGHT), Semaphore(0)

    def put(self, block: bytes | None) -> None:
        """Hand a block over, or None for the end; wait while there are many."""
        self._free.acquire()
        self._blocks.append(block)
        self._waiting.release()

    def get(self) -> bytes | None:
        """Wait for the next."""
        self._waiting.acquire()
        block = self._blocks.popleft()
        self._free.release()
        return block


class Pipeline:
    """Takes blocks until `finish`. Every method raises OSError when writing failed."""

    def __init__(self, descriptor: int, algorithm: str) -> None:
        self.hash = hashlib.new(algorithm)
        self._descriptor = descriptor
        self._blocks: _Blocks | None = None
        self._worker: Thread | None = None
        self._flusher: _Flusher | None = None
        self._failure: OSError | None = None

    def write(self, data: bytes) -> None:
        if self._blocks is None:
            self._consume(data)
            return
        if self._failure is not None:
            raise self._failure
        self._blocks.put(data)

    def parallel(self) -> None:
        """From here on, work in threads: the stream turned out to be big."""
        if self._blocks is None:
            self._blocks = _Blocks()
            self._flusher = _Flusher(self._descriptor)
            self._worker = _begun(self._work, "ingest")

    def finish(self) -> None:
        """Wait for everything handed over."""
        if self._worker is not None and self._blocks is not None:
            self._blocks.put(None)
            self._worker.join()
            self._worker = None
        if self._flusher is not None:
            flusher, self._flusher = self._flusher, None
            flusher.stop()
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        assert self._blocks is not None
        unflushed = 0
        while (data := self._blocks.get()) is not None:
            if self._failure is not None:
                continue  # keep emptying the queue, so that the producer never blocks
            try:
                self._consume(data)
            except OSError as error:
                self._failure = error
                continue
            unflushed += len(data)
            if unflushed >= _WRITE_BACK_BYTES and self._flusher is not None:
                self._flusher.flush()
                unflushed = 0

    def _consume(self, data: bytes) -> None:
        self.hash.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]


class _Flusher:
    """Calls fdatasync(2) when asked; requests during one are folded together."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._wanted = Event()
        self._stopping = False
        self._thread: Thread | None = None
        self._failure: OSError | None = None

    def flush(self) -> None:
        if self._thread is None:
            self._thread = _begun(self._work, "write-back")
        self._wanted.set()

    def stop(self) -> None:
        self._stopping = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._stopping:
                return
            try:
                os.fdatasync(self._descriptor)
            except OSError as error:
                self._failure = (
                    error  # the kernel tells a descriptor only once: the fsync at the end would say all is well
                )
                return


class Digester:
    """Takes blocks and gives their digest; a big stream is digested in a thread, beside its reader."""

    def __init__(self, algorithm: str) -> None:
        self._hash = hashlib.new(algorithm)
        self._taken = 0
        self._blocks: _Blocks | None = None
        self._worker: Thread | None = None

    def update(self, data: bytes) -> None:
        """Take a block."""
        if self._blocks is not None:
            self._blocks.put(data)
            return
        self._hash.update(data)
        self._taken += len(data)
        if self._taken > _ALONE_BYTES:
            self._blocks = _Blocks()
            self._worker = _begun(self._work, "digest")

    def finish(self) -> str:
        """Return the digest of all that was taken, as `algorithm:hex`."""
        self.stop()
        return f"{self._hash.name}:{self._hash.hexdigest()}"

    def stop(self) -> None:
        """End the thread, if there is one."""
        if self._blocks is not None and self._worker is not None:
            self._blocks.put(None)
            self._worker.join()
            self._worker = None

    def _work(self) -> None:
        assert self._blocks is not None
        while (data := self._blocks.get()) is not None:
            self._hash.update(data)


def _begun(work: Callable[[], None], name: str) -> Thread:
    """Start a thread and return it: Ctrl-C may come before it runs, and who has none to join must not join it."""
    thread = Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread
