"""Where images go: one protocol. Its implementations are in builder.transport.places.

A destination is given every blob, then the manifests, those of an index before it, then the names: whoever looks
meanwhile finds no document whose parts are missing. Where documents are blobs like others, and only names lead to them,
they come among the blobs too. What is half written when an error comes names nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, Protocol

from builder.errors import DigestMismatch, TransportError, counted
from builder.oci.descriptor import Descriptor
from builder.oci.reference import Reference
from builder.transport.source import Document, Source


class Destination(Protocol):
    """A place images are written to."""

    location: str
    parallel: int
    """How many blobs it takes at once; 1 for what is written front to back."""
    documents_are_blobs: bool
    """Whether manifests come among the blobs, all in the order of their digests."""

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Say whether the blob is there already, whole: then it isn't sent."""
        ...

    def put_blob(self, descriptor: Descriptor, source: Source) -> None:
        """Take a blob from `source`, and check it. Safe for threads when `parallel` is more than 1.

        Raises DigestMismatch, RegistryError, TransportError, StoreError.
        """
        ...

    def put_manifest(self, document: Document) -> None:
        """Take a manifest or index that an index names, and whose own parts are here. Raises as `put_blob`."""
        ...

    def finish(self, top: Document, names: Sequence[Reference]) -> None:
        """Take the document that the image is, and let `names` stand for it; without any, it is kept by its digest.

        Raises as `put_blob`.
        """
        ...


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Translate what the operating system says while `what` is written. Raises TransportError."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise TransportError(f"writing {what}: {reason} ({error.filename or ''})") from error


def copy_blob(
    source: Source, descriptor: Descriptor, write: Callable[[bytes], object], again: Callable[[], object] | None = None
) -> None:
    """Give a blob to `write`, checked by the end; `again` forgets what was written, where that can be.

    Raises DigestMismatch, and what the source raises.
    """
    sink = _CheckedSink(descriptor, write, again, digests=not source.is_checked)
    source.blob(descriptor, sink)
    sink.finish()


def copy_to_file(source: Source, descriptor: Descriptor, file: BinaryIO) -> None:
    """Write a blob to an empty file, checked by the end. Raises DigestMismatch, OSError, and what the source raises."""

    def again() -> None:
        file.seek(0)
        file.truncate()

    copy_blob(source, descriptor, file.write, again)


class _CheckedSink:
    """Passes a blob on, and compares its size and, unless its source has done so, its digest."""

    def __init__(
        self,
        descriptor: Descriptor,
        write: Callable[[bytes], object],
        again: Callable[[], object] | None,
        *,
        digests: bool,
    ) -> None:
        self.written = 0
        self._descriptor = descriptor
        self._write = write
        self._again = again
        self._hash = hashlib.new(descriptor.digest.algorithm) if digests else None

    def write(self, data: bytes, /) -> int:
        """Pass on a block. Raises DigestMismatch as soon as there is more than there should be."""
        if self.written + len(data) > self._descriptor.size:
            raise self._wrong(f"is longer than the {counted(self._descriptor.size, 'byte')} it should have")
        self._write(data)  # first: what could not be written does not count
        self.written += len(data)
        if self._hash is not None:
            self._hash.update(data)
        return len(data)

    def restart(self) -> bool:
        """Begin anew, where who is given the blob can."""
        if self._again is None:
            return False
        self._again()
        self.written = 0
        if self._hash is not None:
            self._hash = hashlib.new(self._descriptor.digest.algorithm)
        return True

    def finish(self) -> None:
        """Compare. Raises DigestMismatch."""
        if self.written != self._descriptor.size:
            raise self._wrong(f"is {counted(self.written, 'byte')} long, not {self._descriptor.size}")
        if self._hash is not None and self._hash.hexdigest() != self._descriptor.digest.encoded:
            raise self._wrong(f"has other bytes: their digest is {self._hash.name}:{self._hash.hexdigest()}")

    def _wrong(self, reason: str) -> DigestMismatch:
        return DigestMismatch(f"blob {self._descriptor.digest} {reason}")
