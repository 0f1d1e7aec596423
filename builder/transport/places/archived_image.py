"""What an image archive holds, as its table of contents says: for those who load all of it under its names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from builder.oci.reference import Reference
from builder.transport.source import Source


@dataclass(frozen=True, slots=True)
class ArchivedImage:
    """One image: what its source calls it, and the names it was saved under."""

    image: str
    names: tuple[Reference, ...] = ()


class ArchiveSource(Source, Protocol):
    """A source that knows all that is in it."""

    def images(self) -> tuple[ArchivedImage, ...]:
        """Return what is in the archive, in its order. Raises TransportError."""
        ...
