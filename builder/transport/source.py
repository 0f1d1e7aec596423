"""Where images come from: one protocol. Its implementations are in builder.transport.places.

A source gives the exact bytes of manifests and blobs; whether they are what they should be is the affair of whoever
takes them (builder.transport.copy, builder.transport.destination).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from builder.oci.descriptor import Descriptor


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


class Source(Protocol):
    """A place images are read from."""

    location: str
    """Text that builder.transport.places.location.open_source understands again later."""
    is_checked: bool
    """Whether a blob that was read to its end is known to have the bytes of its digest."""

    def manifest(self, name: str) -> Document:
        """Return what a tag or digest names. Raises RegistryError, TransportError, DigestMismatch."""
        ...

    def blob(self, descriptor: Descriptor, sink: BlobSink) -> None:
        """Write a blob to `sink`, which checks it. Raises as `manifest`."""
        ...
