"""Where blobs come from that are not in the store: nowhere, unless a cache of others is asked.

A source is asked by digest, and what it gives is digested while it is written (content.py), so it need not be trusted.
Every implementation is run through tests/store/test_blob_sources.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from builder.errors import BlobNotFound
from builder.oci.digest import Digest

Write = Callable[[bytes], object]


class BlobSource(Protocol):
    """Safe for threads."""

    def has(self, digest: Digest) -> bool:
        """Say whether `fetch` would give the blob. Raises nothing: who cannot be asked has none."""
        ...

    def fetch(self, digest: Digest, write: Write) -> None:
        """Give the bytes of a blob to `write`. Raises BlobNotFound, and PybuildError where it cannot be read."""
        ...


class NoBlobs:
    """A blob is in the store, or it is not."""

    def has(self, digest: Digest) -> bool:
        return False

    def fetch(self, digest: Digest, write: Write) -> None:
        raise BlobNotFound(f"blob {digest} is not in the store")


class MemoryBlobs:
    """Blobs that this process holds."""

    def __init__(self, blobs: Mapping[Digest, bytes]) -> None:
        self._blobs = blobs

    def has(self, digest: Digest) -> bool:
        return digest in self._blobs

    def fetch(self, digest: Digest, write: Write) -> None:
        data = self._blobs.get(digest)
        if data is None:
            raise BlobNotFound(f"blob {digest} is not in the store")
        write(data)
