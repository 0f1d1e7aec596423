"""Content digests of context files, valid as long as stat(2) says the file is the one that was hashed.

    stamp    (context, path) → mtime, ctime, size, inode, mode; sha256

A context is the directory with its device and inode number; it lives in a database of its own, so that writing 50,000
rows keeps no build waiting. Only files that were settled when they were scanned are believed
(`is_settled`, git's "racy" rule). Rows stream in tree order: a scan is a merge join.

A change leaves a file's status as it was when it falls into the same tick of the file system's clock as the one before.
File systems of this kernel stamp with its own clock, whose ticks take at most 10 ms. Others may count in seconds (FAT
even in pairs of them) or by the clock of another machine.
"""

from __future__ import annotations

import functools
import os
import struct
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from builder.filesystem.entry import tree_key
from builder.store.database import Database

SCHEMA = """
CREATE TABLE context (id INTEGER PRIMARY KEY, device INTEGER, inode INTEGER, root TEXT, used INTEGER NOT NULL,
    UNIQUE (device, inode, root));
CREATE TABLE stamp (context INTEGER, path BLOB, stamp BLOB NOT NULL, digest BLOB NOT NULL,
    PRIMARY KEY (context, path)) WITHOUT ROWID;
"""

YOUNG_NS = 2_000_000_000
"""How long a file must have been left alone on any file system."""

YOUNG_BY_OUR_CLOCK_NS = 50_000_000
"""The same where the kernel's own clock makes the stamps."""

_BY_OUR_CLOCK = frozenset({"ext4", "xfs", "btrfs", "tmpfs", "overlay", "f2fs"})
_COARSE_NS = 1_000_000
"""A stamp that is a multiple of this may come from a file system that keeps no more (ext4 with small inodes)."""

_STAMP = struct.Struct("<qIqIqQI")
_NS = 1_000_000_000
_ROWS_AT_ONCE = 4096


class StampedFile(NamedTuple):
    """`path` is POSIX, relative to the context; `digest` is the sha256 of the content, in hex."""

    path: str
    stamp: bytes
    digest: str


def stamp_of(status: os.stat_result) -> bytes:
    """Return what must be equal for a file to count as unchanged."""
    # Seconds and nanoseconds apart: together they fill 64 bits in 2262, and file systems go on.
    mtime, ctime = divmod(status.st_mtime_ns, _NS), divmod(status.st_ctime_ns, _NS)
    return _STAMP.pack(*mtime, *ctime, status.st_size, status.st_ino, status.st_mode)


class StatCache:
    """The stamps of all contexts of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def context(self, root: str) -> ContextStamps:
        """Return the stamps of the context directory `root`. Raises OSError when it cannot be stat'ed."""
        status = os.stat(root)
        return ContextStamps(self._database, status.st_dev, status.st_ino, os.path.realpath(root))

    def delete_unused(self, timestamp: int) -> None:
        """Forget contexts last written before `moment`, in seconds since 1970."""
        stale = self._database.rows("SELECT id FROM context WHERE used < ?", (timestamp,))
        if stale:

            def delete(connection: Any) -> None:
                connection.executemany("DELETE FROM stamp WHERE context = ?", stale)
                connection.executemany("DELETE FROM context WHERE id = ?", stale)

            self._database.change(delete)


class ContextStamps:
    """The stamps of one context."""

    def __init__(self, database: Database, device: int, inode: int, root: str) -> None:
        self._database = database
        # SQLite's integers are signed: st_dev and st_ino may use the top bit on some file systems.
        self._identity = (_signed(device), _signed(inode), root)
        self._id: int | None = None

    def find(self, path: str, status: os.stat_result) -> str | None:
        """Return the digest of a file that has not changed since it was hashed."""
        row = None
        if (context := self._find_id()) is not None:
            row = self._database.row(
                "SELECT stamp, digest FROM stamp WHERE context = ? AND path = ?", (context, tree_key(path))
            )
        return row[1].hex() if row and row[0] == stamp_of(status) else None

    def walk(self, under: str = "") -> Iterator[StampedFile]:
        """Yield the files at or below `under` in tree order."""
        context = self._find_id()
        if context is None:
            return
        statement, arguments = "SELECT path, stamp, digest FROM stamp WHERE context = ?", [context]
        bounds: list[Any] = []
        if under:
            statement += " AND (path = ? OR (path > ? AND path < ?))"
            key = tree_key(under)
            bounds = [key, key + b"\0", key + b"\1"]
        for key, stamp, digest in self._database.walk(f"{statement} ORDER BY path", [*arguments, *bounds]):
            yield StampedFile(os.fsdecode(key.replace(b"\0", b"/")), stamp, digest.hex())

    def put(self, files: Iterable[StampedFile]) -> None:
        """Remember files; only those that `is_settled` may be given. Nothing is written for an empty sequence."""
        batch: list[StampedFile] = []
        for file in files:
            batch.append(file)
            if len(batch) == _ROWS_AT_ONCE:
                self._write(batch)
                batch = []
        if batch:
            self._write(batch)

    def delete(self, paths: Iterable[str]) -> None:
        """Forget files that are no more."""
        keys = [tree_key(path) for path in paths]
        if keys and (context := self._find_id()) is not None:

            def delete(connection: Any) -> None:
                connection.executemany(
                    "DELETE FROM stamp WHERE context = ? AND path = ?", [(context, key) for key in keys]
                )

            self._database.change(delete)

    def _write(self, batch: list[StampedFile]) -> None:

        def put(connection: Any) -> None:
            connection.execute(
                "INSERT INTO context (device, inode, root, used) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (device, inode, root) DO UPDATE SET used = excluded.used",
                (*self._identity, int(time.time())),
            )
            row = connection.execute(
                "SELECT id FROM context WHERE device = ? AND inode = ? AND root = ?", self._identity
            ).fetchone()
            self._id = row[0]
            connection.executemany(
                "INSERT OR REPLACE INTO stamp VALUES (?, ?, ?, ?)",
                [(row[0], tree_key(file.path), file.stamp, bytes.fromhex(file.digest)) for file in batch],
            )

        self._database.change(put)

    def _find_id(self) -> int | None:
        if self._id is None:
            row = self._database.row(
                "SELECT id FROM context WHERE device = ? AND inode = ? AND root = ?", self._identity
            )
            self._id = row[0] if row else None
        return self._id


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def is_settled(status: os.stat_result, moment_ns: int) -> bool:
    """Say whether a file was old enough at `moment_ns` (before it was read) for its status to be believed."""
    age_ns = moment_ns - max(status.st_mtime_ns, status.st_ctime_ns)
    return age_ns >= YOUNG_NS or (age_ns >= YOUNG_BY_OUR_CLOCK_NS and has_fine_times(status))


def has_fine_times(status: os.stat_result) -> bool:
    """Say whether the kernel's own clock made the times of a file, so that changes a tick apart differ in them."""
    return status.st_ctime_ns % _COARSE_NS != 0 and status.st_dev in devices_by_our_clock()


@functools.cache
def devices_by_our_clock(mountinfo: str = "/proc/self/mountinfo") -> frozenset[int]:
    """Return the devices whose file systems are stamped by this kernel's clock (proc_pid_mountinfo(5), fields 3 and 9).

    Empty when it cannot be told. File systems that use device numbers of their own, as btrfs may, are left out.
    """
    found = set()
    try:
        with open(mountinfo, encoding="utf-8", errors="replace") as file:
            for line in file:
                mount, _, file_system = line.partition(" - ")
                if file_system.split(" ", 1)[0] in _BY_OUR_CLOCK:
                    major, _, minor = mount.split(" ", 3)[2].partition(":")
                    found.add(os.makedev(int(major), int(minor)))
    except (OSError, ValueError, IndexError):
        return frozenset()
    return frozenset(found)
