"""Cache records: what a step made, under the digest of everything that could reach the result.

`key` is the digest of `preimage`, canonical JSON; `definition` is the digest of what the Dockerfile says of the step,
without its inputs; `description` names the place of the step (build, stage, position), and the last record of that
place explains a miss where nothing says which was used last. A record whose layer is gone is as good as none.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from builder.oci.digest import DiffID, Digest
from builder.store.content import ContentStore
from builder.store.database import Database
from builder.store.layers import LayerRecord, Layers, put_layer

SCHEMA = """
CREATE TABLE record (
    key TEXT PRIMARY KEY, definition TEXT NOT NULL, preimage BLOB NOT NULL, diff_id TEXT, created INTEGER NOT NULL,
    used INTEGER NOT NULL, description TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX record_definition ON record (definition, created);
CREATE INDEX record_description ON record (description, created);
CREATE INDEX record_layer ON record (diff_id);
"""

FACTS_SCHEMA = "CREATE TABLE fact (key TEXT PRIMARY KEY, document BLOB NOT NULL) WITHOUT ROWID;"
"""Key of a record → bytes that explain it later (solve/reason/facts.py).

In a database of its own, which no cached build opens: losing it loses no result, only how exactly a miss is explained.
"""

_USED_STEP_SECONDS = 86_400
"""How exact the last use is known: finer would make every cached build write."""

_SELECT = """
SELECT record.key, definition, preimage, created, description, record.diff_id,
       layer.media_type, layer.digest, layer.size, layer.diff_id, layer.entries, layer.files, layer.bytes
FROM record LEFT JOIN layer ON layer.diff_id = record.diff_id
"""


class CacheRecord(NamedTuple):
    """The result of one step. `layer` None means the step made no layer."""

    key: Digest
    definition: Digest
    preimage: bytes
    layer: LayerRecord | None
    created: int
    """Nanoseconds since 1970, when the step finished."""
    description: str = ""


class CacheRecords:
    """The cache records of one store."""

    def __init__(self, database: Database, layers: Layers, blobs: ContentStore) -> None:
        self._database = database
        self._blobs = blobs
        self._layers = layers
        self._used: set[str] = set()

    def find(self, key: Digest) -> CacheRecord | None:
        """Return the record of a key if everything it needs is here."""
        row = self._database.row(
            _SELECT.replace("created, description", "created, description, used") + "WHERE record.key = ?", (key,)
        )
        if row is None:
            return None
        used = row[5]
        record = self._record((*row[:5], *row[6:]))
        if record is not None and used < time.time() - _USED_STEP_SECONDS:
            self._used.add(key)
        return record

    def latest(self, description: str) -> Digest | None:
        """Return the key of the newest record with a description, to explain a miss by."""
        row = self._database.row(
            "SELECT key FROM record WHERE description = ? ORDER BY created DESC LIMIT 1", (description,)
        )
        return None if row is None else Digest(row[0])

    def preimage(self, key: Digest) -> bytes | None:
        """Return what a record was made from, whether or not its layer is still here."""
        row = self._database.row("SELECT preimage FROM record WHERE key = ?", (key,))
        return None if row is None else bytes(row[0])

    def has_definition(self, definition: Digest) -> bool:
        """Say whether a step so defined was ever executed here."""
        return self._database.row("SELECT 1 FROM record WHERE definition = ? LIMIT 1", (definition,)) is not None

    def put(self, record: CacheRecord) -> None:
        """Remember a result; the blob and index of its layer must already be there."""

        def put(connection: Any) -> None:
            if record.layer is not None:
                put_layer(connection, record.layer, self._blobs)
            connection.execute(
                "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    record.key, record.definition, record.preimage, record.layer.diff_id if record.layer else None,
                    record.created, int(time.time()), record.description,
                ),
            )  # fmt: skip

        self._database.change(put)

    def walk(self) -> list[tuple[Digest, DiffID | None, int, str]]:
        """Return (key, diff ID or None, last use in s since 1970, description) of every record, oldest use first."""
        return [
            (Digest(row[0]), None if row[1] is None else DiffID(row[1]), row[2], row[3])
            for row in self._database.rows("SELECT key, diff_id, used, description FROM record ORDER BY used, key")
        ]

    def delete(self, keys: Iterable[Digest]) -> None:
        gone = [(key,) for key in keys]
        self._database.change(lambda connection: connection.executemany("DELETE FROM record WHERE key = ?", gone))

    def flush(self) -> None:
        """Write down what was used, where that says anything new (once a day at most)."""
        if self._used:
            now = int(time.time())
            used, self._used = [(now, key) for key in self._used], set()
            self._database.change(
                lambda connection: connection.executemany("UPDATE record SET used = ? WHERE key = ?", used)
            )

    def _record(self, row: Any) -> CacheRecord | None:
        key, definition, preimage, created, description, diff_id = row[:6]
        layer = self._layers.present(row[6:]) if diff_id is not None and row[6] is not None else None
        if diff_id is not None and layer is None:
            return None
        return CacheRecord(
            key=Digest(key),
            definition=Digest(definition),
            preimage=bytes(preimage),
            layer=layer,
            created=created,
            description=description,
        )


class Facts:
    """The facts of all cache records of a store, beside their preimages (docs/decisions/0013)."""

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
