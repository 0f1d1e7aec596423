"""SQLite, for what is not an image: opened when first needed, created when first written, shared by processes.

WAL mode: readers never wait, writers wait for each other. Commits survive a kill; after a power failure the last ones
may be missing, but never half there, and blobs are durable before rows name them. In: statements. Out: rows.
What the tables mean is known by the files that declare them (`Schema`).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Any

from builder.errors import StoreError

_BUSY_SECONDS = 60.0
_ROWS_AT_ONCE = 2048


class Database:
    """One database file. Safe for threads (one connection, one lock), processes and forks."""

    def __init__(self, path: str, schema: str, version: int) -> None:
        self.path = path
        self._schema = schema
        self._version = version
        self._lock = RLock()
        self._connection: sqlite3.Connection | None = None
        self._owner = 0

    def rows(self, statement: str, arguments: Sequence[Any] = ()) -> list[Any]:
        """Return all rows; none when nothing was ever written. Raises StoreError."""
        with self._lock, self._translated("reading"):
            connection = self._open(create=False)
            return [] if connection is None else connection.execute(statement, arguments).fetchall()

    def row(self, statement: str, arguments: Sequence[Any] = ()) -> Any | None:
        """Return the first row or None."""
        rows = self.rows(statement, arguments)
        return rows[0] if rows else None

    def walk(self, statement: str, arguments: Sequence[Any] = ()) -> Iterator[Any]:
        """Yield rows with bounded memory, from one moment's view of the file."""
        with self._lock, self._translated("reading"):
            connection = self._open(create=False)
            cursor = None if connection is None else connection.execute(statement, arguments)
        while cursor is not None:
            with self._lock, self._translated("reading"):
                rows = cursor.fetchmany(_ROWS_AT_ONCE)
            yield from rows
            if len(rows) < _ROWS_AT_ONCE:
                return

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Give a connection inside a transaction that is committed at the end, or rolled back. Raises StoreError."""
        with self._lock, self._translated("writing"):
            connection = self._open(create=True)
            assert connection is not None
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def close(self) -> None:
        with self._lock:
            if self._connection is not None and self._owner == os.getpid():
                self._connection.close()
            self._connection = None

    def _open(self, create: bool) -> sqlite3.Connection | None:
        if self._connection is not None and self._owner == os.getpid():
            return self._connection
        if not os.path.exists(self.path):
            if not create:
                return None
            self._create()
        self._connection = self._connect()
        self._owner = os.getpid()
        found = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if found != self._version:
            self._adapt(found)
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        if not os.access(os.path.dirname(self.path), os.W_OK):
            # Without a writable directory SQLite can't make its -shm file; nobody else writes either.
            return self._prepare(f"file:{_quoted(self.path)}?mode=ro&immutable=1")
        return self._prepare(f"file:{_quoted(self.path)}?mode=rw")

    def _prepare(self, address: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    def _create(self) -> None:
        """Make the file under another name and rename it: nobody ever sees it without its tables."""
        lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.path.exists(self.path):
                return
            fresh = f"{self.path}.new"
            for leftover in (fresh, f"{fresh}-wal", f"{fresh}-shm"):
                if os.path.exists(leftover):
                    os.unlink(leftover)
            connection = sqlite3.connect(fresh, isolation_level=None)
            connection.executescript(f"{self._schema}; PRAGMA user_version={self._version}; PRAGMA journal_mode=WAL;")
            connection.close()
            os.rename(fresh, self.path)
        finally:
            os.close(lock)

    def _adapt(self, found: int) -> None:
        self.close()
        raise StoreError(
            f"{self.path} has version {found}; this pybuild reads version {self._version}",
            hint=f"Use the pybuild that wrote it, or remove {self.path}: only cached results are lost.",
        )

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{doing} {self.path}: {error}", hint=self._hint(str(error))) from error
        except OSError as error:
            from builder.store.faults import store_error  # a cached build meets no errors

            raise store_error(error, f"{doing} {self.path}") from error

    def _hint(self, message: str) -> str:
        if "full" in message:
            return "Free some space, for example with `pybuild prune`, or put the store elsewhere with --root."
        if "readonly" in message or "unable to open" in message:
            return "Use a store you can write to: --root DIR or PYBUILD_ROOT."
        if "not a database" in message or "malformed" in message:
            return f"Remove {self.path}: images stay, only cached results are lost."
        return ""


def _quoted(path: str) -> str:
    """Return a path as part of a file: URI (sqlite.org/uri.html) without importing urllib."""
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
