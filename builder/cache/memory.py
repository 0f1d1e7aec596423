"""A cache that ends with the process."""

from __future__ import annotations

from builder.oci.digest import Digest
from builder.store.records import CacheRecord


class MemoryCache:
    """Records by key; whoever puts one keeps its layer."""

    def __init__(self) -> None:
        self._records: dict[Digest, CacheRecord] = {}

    def find(self, key: Digest) -> CacheRecord | None:
        return self._records.get(key)

    def has_definition(self, definition: Digest) -> bool:
        return any(record.definition == definition for record in self._snapshot())

    def put(self, record: CacheRecord) -> None:
        self._records[record.key] = record

    def latest(self, description: str) -> Digest | None:
        found = [record for record in self._snapshot() if record.description == description]
        return max(found, key=lambda record: record.created).key if found else None

    def preimage(self, key: Digest) -> bytes | None:
        record = self._records.get(key)
        return None if record is None else record.preimage

    def _snapshot(self) -> list[CacheRecord]:
        return list(self._records.values())  # at one moment: other threads put
