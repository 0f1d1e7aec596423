"""SQLite, for what can be done without: opened when first needed, created when first written, shared by processes.

Every table is a cache: of results, of digests, of where things were had from. What cannot be made again, images and
their names, is in `blobs/` and `index.json` (docs/decisions/0015). So a database never keeps a build from its end: one
that is damaged is set aside and begun anew, one that cannot be written is read, and each says so, once.

WAL mode: readers never wait, writers wait for each other. Commits survive a kill; after a power failure the last ones
may be missing, but never half there, and blobs are durable before rows name them. In: statements. Out: rows.
What the tables mean is known by the files that declare them (`SCHEMA`).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from threading import RLock
from typing import Any, TypeVar

from builder.errors import StoreError
from builder.store.os_errors import store_error

_BUSY_SECONDS = 60.0
_ROWS_AT_ONCE = 2048
_PRIMARY_CODE = 0xFF
"""The lower byte of an extended result code (sqlite.org/rescode.html)."""
_NO_ROOM = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY}
)
"""What a disk says that is full, read-only or failing; IOERR is -shm that cannot grow, CANTOPEN a -wal not made."""
_Found = TypeVar("_Found")


class Database:
    """One database file. Safe for threads (one connection, one lock), processes and forks.

    `notify` is told in a sentence what was lost.
    """

    def __init__(
        self, path: str, schema: str, version: int, notify: Callable[[str], None] = lambda sentence: None
    ) -> None:
        self.path = path
        self._schema = schema
        self._version = version
        self._notify = notify
        self._lock = RLock()
        self._connection: sqlite3.Connection | None = None
        self._owner = 0
        self._inode = 0
        self._as_it_stands = False
        """Only to be read, without the files that SQLite makes beside it."""

    def rows(self, statement: str, arguments: Sequence[Any] = ()) -> list[Any]:
        """Return all rows; none when nothing was ever written. Raises StoreError."""
        with self._lock, self._translated("reading"):
            found = self._tried(lambda connection: connection.execute(statement, arguments).fetchall(), create=False)
        return found or []

    def row(self, statement: str, arguments: Sequence[Any] = ()) -> Any | None:
        """Return the first row or None."""
        rows = self.rows(statement, arguments)
        return rows[0] if rows else None

    def walk(self, statement: str, arguments: Sequence[Any] = ()) -> Iterator[Any]:
        """Yield rows with bounded memory, from one moment's view of the file."""

        def start(connection: sqlite3.Connection) -> tuple[sqlite3.Cursor, list[Any]]:
            cursor = connection.execute(statement, arguments)
            return cursor, cursor.fetchmany(_ROWS_AT_ONCE)

        with self._lock, self._translated("reading"):
            found = self._tried(start, create=False)
        if found is None:
            return
        cursor, rows = found
        while rows:
            yield from rows
            with self._lock, self._translated("reading"):
                rows = self._tried(lambda _: cursor.fetchmany(_ROWS_AT_ONCE), create=False) or []

    def change(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Do `work` in a transaction; it may be called twice. Where nothing can be written, nothing is remembered."""

        def transact(connection: sqlite3.Connection) -> None:
            if self._as_it_stands:
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                work(connection)
            except BaseException:
                with suppress(sqlite3.Error):  # what went wrong may have ended the transaction
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

        with self._lock:
            try:
                self._tried(transact, create=os.access(os.path.dirname(self.path), os.W_OK))
            except OSError as error:
                self._forgetful(error.strerror or str(error))
            except sqlite3.DatabaseError as error:
                if _code(error) not in _NO_ROOM:
                    raise self._error("writing", error) from error
                self._forgetful(str(error))

    def problem(self) -> str:
        """Say what is wrong with the file, or nothing; it is read from end to end, and stays as it is."""
        if not os.path.lexists(self.path):
            return ""
        if not os.path.isfile(self.path):
            return "it is no file"
        if not _has_bytes(self.path):
            return "it is empty"
        try:
            with closing(self._connection_to("mode=ro")) as connection:
                connection.execute("SELECT * FROM sqlite_schema").fetchall()
                found: str = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        except sqlite3.DatabaseError as error:
            return str(error) if _is_damage(error) else ""
        return "" if found == "ok" else found

    def close(self) -> None:
        with self._lock:
            if self._connection is not None and self._owner == os.getpid():
                self._connection.close()
            self._connection = None
            self._as_it_stands = False

    def _tried(self, work: Callable[[sqlite3.Connection], _Found], *, create: bool) -> _Found | None:
        """Do `work` with a connection, once more if the first was of a damaged file or could not be had in full."""
        try:
            connection = self._open(create)
            return None if connection is None else work(connection)
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                self._set_aside(str(error))
            elif not create and _code(error) in _NO_ROOM and not self._as_it_stands:
                self.close()
                self._as_it_stands = True
            else:
                raise
        connection = self._open(create)
        return None if connection is None else work(connection)

    def _open(self, create: bool) -> sqlite3.Connection | None:
        if self._connection is not None and self._owner == os.getpid():
            return self._connection
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            if not create:
                return None
            self._create()
            status = os.stat(self.path)
        self._inode = status.st_ino
        if not status.st_size or not stat.S_ISREG(status.st_mode):
            raise sqlite3.DatabaseError("file is not a database: it is empty, or no file")
        self._connection = self._connect()
        self._owner = os.getpid()
        self._check_version(self._connection)
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        if not (os.access(os.path.dirname(self.path), os.W_OK) and os.access(self.path, os.W_OK)):
            self._as_it_stands = True
        if not self._as_it_stands:
            return self._connection_to("mode=rw")
        if _has_bytes(f"{self.path}-wal"):
            with suppress(sqlite3.DatabaseError):
                connection = self._connection_to("mode=ro")
                connection.execute("PRAGMA user_version").fetchone()
                return connection
        # Without room for its -shm file SQLite reads only what it is told nobody writes to; and nobody can, here.
        return self._connection_to("mode=ro&immutable=1")

    def _connection_to(self, mode: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{_quoted(self.path)}?{mode}",
            uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False,
        )  # fmt: skip
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    def _check_version(self, connection: sqlite3.Connection) -> None:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            raise sqlite3.DatabaseError("file is not a database of pybuild")
        if found != self._version:
            self.close()
            raise StoreError(
                f"{self.path} has version {found}; this pybuild reads version {self._version}",
                hint=f"Use the pybuild that wrote it, or remove {self.path}: only cached results are lost.",
            )

    def _create(self) -> None:
        """Make the file under another name and rename it: nobody ever sees it without its tables."""
        with self._locked():
            if os.path.exists(self.path):
                return
            fresh = f"{self.path}.new"
            for leftover in (fresh, f"{fresh}-wal", f"{fresh}-shm"):
                with suppress(FileNotFoundError):
                    os.unlink(leftover)
            with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
                connection.executescript(
                    f"{self._schema}; PRAGMA user_version={self._version}; PRAGMA journal_mode=WAL;"
                )
            os.rename(fresh, self.path)

    def _set_aside(self, reason: str) -> None:
        """Move a damaged file out of the way, unless another process has: then a new one is there."""
        self.close()
        kept = f"{self.path}.damaged"
        while os.path.isdir(kept):  # as which a file cannot be kept
            kept += ".damaged"
        try:
            with self._locked():
                if os.stat(self.path).st_ino == self._inode:
                    for suffix in ("-wal", "-shm", ""):  # the file itself last: until then it is damaged for others
                        with suppress(FileNotFoundError):
                            os.replace(self.path + suffix, kept + suffix)
                    self._notify(
                        f"{self.path} is damaged ({reason}): it was moved to {kept} and is made anew; "
                        "images stay, only cached results are lost"
                    )
        except FileNotFoundError:
            pass  # the next opening makes one
        except OSError as error:
            raise StoreError(
                f"{self.path} is damaged ({reason}), and cannot be moved away: {error.strerror}",
                hint=f"Images are not in it, only cached results. Remove it: rm '{self.path}'",
            ) from error

    def _forgetful(self, reason: str) -> None:
        self._notify(f"{self.path} cannot be written ({reason}): what is new is not remembered")
        self._notify = lambda sentence: None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from making or moving the file."""
        lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise self._error(doing, error) from error
        except OSError as error:
            raise store_error(error, f"{doing} {self.path}") from error

    def _error(self, doing: str, error: sqlite3.DatabaseError) -> StoreError:
        hint = f"Images are not in it, only cached results. Remove it: rm '{self.path}'" if _is_damage(error) else ""
        return StoreError(f"{doing} {self.path}: {error}", hint=hint)


def _code(error: sqlite3.DatabaseError) -> int:
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Say whether it is the file that is wrong: no database, a malformed one, or one without its tables."""
    if _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return True
    message = str(error)
    return message.startswith(("file is not a database", "no such table", "no such column", "Could not decode"))


def _has_bytes(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0
    except OSError:
        return False


def _quoted(path: str) -> str:
    """Return a path as part of a file: URI (sqlite.org/uri.html) without importing urllib."""
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
