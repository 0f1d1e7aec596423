"""Small documents by key, and where images came from: tables that spare a cached build parsing and asking.

plan     key digest → bytes: plans, receipts, the keys of the last build, answers of HTTP servers, digests of mounted
         trees, which isolation works here (what made the key is the asker's affair; the table keeps its first name)
origin   manifest digest → the place its missing blobs can be had from
"""

from __future__ import annotations

import time

from builder.oci.digest import Digest
from builder.store.database import Database

SCHEMA = """
CREATE TABLE plan (key TEXT PRIMARY KEY, document BLOB NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE origin (manifest TEXT PRIMARY KEY, place TEXT NOT NULL) WITHOUT ROWID;
"""


_RENEW_SECONDS = 86_400


class Documents:
    """Documents by key; deleted when nobody has put them for a while (prune.py)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, key: Digest) -> bytes | None:
        row = self._database.row("SELECT document FROM plan WHERE key = ?", (key,))
        return bytes(row[0]) if row else None

    def put(self, key: Digest, document: bytes) -> None:
        if self.find(key) != document:
            row = (key, document, int(time.time()))
            self._database.change(
                lambda connection: connection.execute("INSERT OR REPLACE INTO plan VALUES (?, ?, ?)", row)
            )

    def renew(self, *keys: Digest) -> None:
        """Have documents count as put now, where that was a day ago or longer: they are still of use."""
        now = int(time.time())
        rows = [(now, key, now - _RENEW_SECONDS) for key in keys]
        if any(self._database.row("SELECT 1 FROM plan WHERE key = ? AND created < ?", row[1:]) for row in rows):
            self._database.change(
                lambda connection: connection.executemany(
                    "UPDATE plan SET created = ? WHERE key = ? AND created < ?", rows
                )
            )

    def delete_before(self, timestamp: int) -> None:
        """Forget documents put before `moment`, in seconds since 1970."""
        if self._database.row("SELECT 1 FROM plan WHERE created < ? LIMIT 1", (timestamp,)):
            self._database.change(
                lambda connection: connection.execute("DELETE FROM plan WHERE created < ?", (timestamp,))
            )


class Origins:
    """Where an image's missing layers can be fetched: `docker.io/library/x`, or `oci-layout:///path`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, manifest: Digest) -> str | None:
        row = self._database.row("SELECT place FROM origin WHERE manifest = ?", (manifest,))
        return row[0] if row else None

    def put(self, manifest: Digest, place: str) -> None:
        if self.find(manifest) != place:
            self._database.change(
                lambda connection: connection.execute("INSERT OR REPLACE INTO origin VALUES (?, ?)", (manifest, place))
            )
