"""What explains a cache record later: facts beside its preimage.

    fact     key of the record → bytes (solve/reason/facts.py); in a database of its own, which no cached build opens

Losing it loses no result, only how exactly a miss is explained.
"""

from __future__ import annotations

from collections.abc import Iterable

from builder.oci.digest import Digest
from builder.store.database import Database

SCHEMA = "CREATE TABLE fact (key TEXT PRIMARY KEY, document BLOB NOT NULL) WITHOUT ROWID;"


class Facts:
    """The facts of all cache records of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, key: Digest) -> bytes | None:
        row = self._database.row("SELECT document FROM fact WHERE key = ?", (key,))
        return bytes(row[0]) if row else None

    def put(self, key: Digest, document: bytes) -> None:
        self._database.change(
            lambda connection: connection.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (key, document))
        )

    def delete(self, keys: Iterable[Digest]) -> None:
        """Forget the facts of records that are deleted."""
        gone = [(key,) for key in keys if self.find(key) is not None]
        if gone:
            self._database.change(lambda connection: connection.executemany("DELETE FROM fact WHERE key = ?", gone))
