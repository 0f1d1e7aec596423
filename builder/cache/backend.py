"""What the solver asks of a cache: records by key, and enough of older ones to say why a step has to run again.

The store's own cache is builder.store.records.CacheRecords, in SQLite; memory.py is one that ends with the process.
Every implementation is run through tests/cache/test_backends.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from builder.oci.digest import Digest
    from builder.store.records import CacheRecord


class CacheBackend(Protocol):
    """Safe for threads. Every method raises StoreError where the cache cannot be read."""

    def find(self, key: Digest) -> CacheRecord | None:
        """Return the record of a key if everything that it needs can be had."""
        ...

    def has_definition(self, definition: Digest) -> bool:
        """Say whether a step so defined was ever executed: if not, its inputs need not be read to know a miss."""
        ...

    def put(self, record: CacheRecord) -> None:
        """Remember a result, whose layer must already be there; the last one of a key counts."""
        ...

    def latest(self, description: str) -> Digest | None:
        """Return the key of the newest record of a step's place, to explain a miss by."""
        ...

    def preimage(self, key: Digest) -> bytes | None:
        """Return what a record was made from, whether or not its layer can still be had."""
        ...
