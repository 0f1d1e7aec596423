"""How far the blobs of a copy are: told while they move, so that somebody can watch.

In: blobs as `copy_blobs` handles them. Out: calls of a report, from several threads, each with what is so now.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from builder.errors import Cancelled
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest
from builder.transport.source import BlobFile, BlobSink, Document, Source
from builder.web.stretch import FileStretch

MOVING, DONE, PRESENT = "moving", "done", "present"
"""On its way; there now; there before, so that nothing is sent."""
_REPORT_SECONDS = 0.05


class BlobState(NamedTuple):
    """`done` of `size` bytes, `seconds` after its first byte was asked for."""

    digest: Digest
    state: str
    size: int
    done: int = 0
    seconds: float = 0.0


Report = Callable[[BlobState], None]


def ignore_progress(state: BlobState) -> None:
    """The report that nobody reads."""


class Watched:
    """A source that reports how far each of its blobs is, and gives no more once it `is_stopped`, with Cancelled."""

    def __init__(self, source: Source, report: Report, is_stopped: Callable[[], bool] = lambda: False) -> None:
        self._is_stopped = is_stopped
        self.location = source.location
        self.is_checked = source.is_checked
        self._source = source
        self._report = report

    def manifest(self, name: str) -> Document:
        """As the source's."""
        return self._source.manifest(name)

    def blob(self, descriptor: Descriptor, sink: BlobSink) -> None:
        """As the source's."""
        self._source.blob(descriptor, _WatchedSink(sink, _Teller(descriptor, self._report, self._is_stopped)))

    def open_blob(self, descriptor: Descriptor) -> BlobFile | None:
        """As the source's."""
        file = self._source.open_blob(descriptor)
        return file and _WatchedFile(file, _Teller(descriptor, self._report, self._is_stopped))


class _Teller:
    """Reports how far a blob is, now and then."""

    def __init__(self, descriptor: Descriptor, report: Report, is_stopped: Callable[[], bool]) -> None:
        self._descriptor = descriptor
        self._report = report
        self._is_stopped = is_stopped
        self._begun = self._told = time.monotonic()
        report(BlobState(descriptor.digest, MOVING, descriptor.size))

    def tell(self, done: int) -> None:
        if self._is_stopped():
            raise Cancelled("the copy was interrupted")
        now = time.monotonic()
        if now - self._told >= _REPORT_SECONDS:
            self._told = now
            blob = self._descriptor
            self._report(BlobState(blob.digest, MOVING, blob.size, done, now - self._begun))


class _WatchedSink:
    def __init__(self, sink: BlobSink, teller: _Teller) -> None:
        self._sink = sink
        self._teller = teller

    @property
    def written(self) -> int:
        return self._sink.written

    @written.setter
    def written(self, value: int) -> None:
        self._sink.written = value

    def write(self, data: bytes, /) -> int:
        taken = self._sink.write(data)
        self._teller.tell(self._sink.written)
        return taken

    def restart(self) -> bool:
        return self._sink.restart()


class _WatchedFile:
    def __init__(self, file: BlobFile, teller: _Teller) -> None:
        self._file = file
        self._teller = teller

    def read_at(self, offset: int, size: int) -> bytes:
        data = self._file.read_at(offset, size)
        self._teller.tell(offset + len(data))
        return data

    def stretch_at(self, offset: int, size: int) -> FileStretch:
        stretch = self._file.stretch_at(offset, size)
        self._teller.tell(offset + stretch.size)
        return stretch

    def close(self) -> None:
        self._file.close()
