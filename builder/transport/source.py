"""Where images come from: one protocol. Its implementations are in builder.transport.places.

A source gives the exact bytes of manifests and blobs; whether they are what they should be is the affair of whoever
takes them (builder.transport.copy, builder.transport.destination).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from builder.oci.descriptor import Descriptor
from builder.web.stretch import FileStretch


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest or index as delivered.

    The media type of its descriptor is what the carrier says; "" means that only the document itself says.
    """

    descriptor: Descriptor
    data: bytes


class BlobSink(Protocol):
    """What the bytes of a blob are given to: `written` of them so far, and `write`."""

    written: int

    def write(self, data: bytes, /) -> int: ...

    def restart(self) -> bool:
        """Forget what was written, and say so; False where the bytes have gone on to somebody."""
        ...


class BlobFile(Protocol):
    """A blob that can be read from anywhere, again, and by several at once."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes, none at the end. Raises OSError."""
        ...

    def stretch_at(self, offset: int, size: int) -> FileStretch:
        """Return where those bytes lie in an open file, for who can send them unread. Raises OSError."""
        ...

    def close(self) -> None: ...


class OpenFile:
    """A blob that is an open file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read_at(self, offset: int, size: int) -> bytes:
        """Read where it says, whatever others read."""
        return os.pread(self._file.fileno(), size, offset)

    def stretch_at(self, offset: int, size: int) -> FileStretch:
        """Say how much of that is there."""
        descriptor = self._file.fileno()
        return FileStretch(descriptor, offset, max(0, min(size, os.fstat(descriptor).st_size - offset)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Source(Protocol):
    """A place images are read from."""

    location: str
    """Text that builder.transport.places.opening.open_origin understands again later."""
    is_checked: bool
    """Whether a blob that was read to its end is known to have the bytes of its digest."""

    def manifest(self, name: str) -> Document:
        """Return what a tag or digest names. Raises RegistryError, TransportError, DigestMismatch."""
        ...

    def blob(self, descriptor: Descriptor, sink: BlobSink) -> None:
        """Write a blob to `sink`, which checks it. Raises as `manifest`."""
        ...

    def open_blob(self, descriptor: Descriptor) -> BlobFile | None:
        """Open a blob that is a file here, so that it can be read again from anywhere; None where it is none.

        Raises as `manifest`.
        """
        ...
