"""Large files that were written here, or read and found to be what their digest says, while stat(2) shows no change.

    file     stamp (builder.filesystem.sound) → digest; in a database of its own, which no cached build opens

Exporting the same image again, or copying from it, then reads its layers without digesting them. A change of a file
changes its stamp; what a disk loses without one, `info --verify` finds, which believes nothing of this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from builder.errors import StoreError
from builder.filesystem.sound import Stamp
from builder.store.database import Database

SCHEMA = "CREATE TABLE file (stamp TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID;"
WORTH_BYTES = 1 << 20
"""Smaller files are digested in the time that remembering them takes."""


class KnownFiles:
    """The files of one store, and those that images were exported to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> dict[Stamp, str]:
        """Return what is known; nothing when that cannot be read, for whoever asks can find it out again."""
        found = {}
        with suppress(StoreError):
            for text, digest in self._database.rows("SELECT stamp, digest FROM file"):
                if known := _parsed(text):
                    found[known] = digest
        return found

    def put(self, found: Mapping[Stamp, str]) -> None:
        """Remember files; nothing is written when there are none."""
        rows = [(_text(stamp), digest) for stamp, digest in found.items()]
        if rows:
            self._database.change(
                lambda connection: connection.executemany("INSERT OR REPLACE INTO file VALUES (?, ?)", rows)
            )

    def keep_only(self, stamps: Iterable[Stamp]) -> None:
        """Forget all files but these."""
        kept = {_text(stamp) for stamp in stamps}
        gone = [(text,) for (text,) in self._database.rows("SELECT stamp FROM file") if text not in kept]
        if gone:
            self._database.change(lambda connection: connection.executemany("DELETE FROM file WHERE stamp = ?", gone))


def _text(stamp: Stamp) -> str:
    return " ".join(map(str, stamp))


def _parsed(text: str) -> Stamp | None:
    """Return the stamp that `_text` wrote; None for what it did not."""
    try:
        device, inode, size, mtime_ns, ctime_ns = map(int, text.split())
    except ValueError:
        return None
    return (device, inode, size, mtime_ns, ctime_ns)
