"""What a tree looked like at a moment, on disk, and what is different now: changes without overlayfs.

A scan is a file of blocks, one for each directory, in the order in which directories are visited (depth first, names
sorted by bytes): marshal of (path, {name: fingerprint}). Both scans are made in that order, so they are compared by
reading one along the other: one directory is in memory at a time.

A fingerprint is everything lstat(2) knows that a change must change: the inode, type, mode, owner, size, both times
(seconds and nanoseconds apart: together they fill 64 bits in 2262, and what a tar holds goes on).
The change time can't be set by a process; it is only coarse (a tick of the kernel's clock, up to 10 ms), so a scan ends
no sooner than some ticks after the youngest time in it.
"""

from __future__ import annotations

import marshal
import os
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack
from struct import Struct
from typing import BinaryIO

from builder.errors import StoreError
from builder.filesystem.still import StillTree, listing
from builder.layer.whiteout import PREFIX
from builder.snapshot.changes import Verdict

Fingerprints = dict[bytes, bytes]
"""Of one directory: name → fingerprint."""

_WHITEOUT_PREFIX = PREFIX.encode()
_FINGERPRINT = Struct("<QIIIQqIqIQ")
_MODE = Struct("<8xI")
_MTIME = Struct("<28xqI")
_NS = 1_000_000_000
_CLOCK_TICKS_NS = 30_000_000


def write_scan(root: str, path: str) -> None:
    """Write the scan of the tree `root` to the file `path`. Raises OSError."""
    youngest = 0
    with open(path, "wb") as file, StillTree(root) as tree:
        pending = [b""]
        while pending:
            directory = pending.pop()
            found, newest = _fingerprints(tree.at(os.fsdecode(directory)))
            youngest = max(youngest, newest)
            marshal.dump((directory, found), file)
            # Backwards, since the last is taken first: blocks stand in the order of the walk, or they could not be read
            # along it (_Blocks).
            pending += [_join(directory, name) for name in sorted(found, reverse=True) if is_directory(found[name])]
    wait_for_clock(youngest)


def wait_for_clock(youngest_ns: int) -> None:
    """Sleep until a change made from now on has a change time other than `youngest_ns`."""
    left = youngest_ns + _CLOCK_TICKS_NS - time.time_ns()
    # A time further ahead than ticks are long is that of a clock that was set back: no wait would reach it.
    if 0 < left <= _CLOCK_TICKS_NS:
        time.sleep(left / 1e9)


def is_directory(fingerprint: bytes) -> bool:
    return stat.S_ISDIR(_MODE.unpack_from(fingerprint)[0])


def _fingerprints(directory: str) -> tuple[Fingerprints, int]:
    """Return the names in a directory without its sockets, and the youngest change time among them."""
    found: Fingerprints = {}
    newest = os.lstat(directory).st_ctime_ns
    with listing(directory) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            if not stat.S_ISSOCK(status.st_mode):
                found[os.fsencode(entry.name)] = _FINGERPRINT.pack(
                    status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_size,
                    *divmod(status.st_mtime_ns, _NS), *divmod(status.st_ctime_ns, _NS), status.st_rdev,
                )  # fmt: skip
                newest = max(newest, status.st_ctime_ns)
    return found, newest


class ScannedTree:
    """A ChangeSource that compares the tree `root` with the scan in the file `before`, and scans it anew to `after`."""

    def __init__(self, root: str, before: str, after: str) -> None:
        self._files = ExitStack()
        self.tree = self._files.enter_context(StillTree(root))
        self._blocks = _Blocks(self._files.enter_context(open(before, "rb")))  # noqa: SIM115 - closed on exit
        self._after = self._files.enter_context(open(after, "wb"))  # noqa: SIM115
        self._youngest = 0
        self._fingerprint_before: bytes | None = None
        """Of the name given last."""

    def __enter__(self) -> ScannedTree:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def children(self, path: str) -> Iterator[tuple[bytes, Verdict]]:
        directory = os.fsencode(path)
        now, newest = _fingerprints(self.tree.at(path))
        self._youngest = max(self._youngest, newest)
        marshal.dump((directory, now), self._after)
        before = self._blocks.find(directory)
        # Under the names of their whiteouts, since by those they are sorted among their siblings in the layer.
        # Both may be there: a file that is called like the whiteout of another one, which is gone.
        gone = {_WHITEOUT_PREFIX + name: name for name in before if name not in now}
        for name in sorted(now.keys() | gone.keys()):
            if name in gone:
                yield gone[name], Verdict.REMOVED
            if name not in now:
                continue
            if before.get(name) != now[name]:
                self._fingerprint_before = before.get(name)
                yield name, Verdict.CANDIDATE
            elif is_directory(now[name]):
                yield name, Verdict.SAME  # what changed inside one shows in its own content, not here

    def has_old_time(self, path: str, status: os.stat_result) -> bool:
        before = self._fingerprint_before
        return before is not None and _MTIME.unpack_from(before) == divmod(status.st_mtime_ns, _NS)

    def drop(self, path: str, status: os.stat_result) -> None:
        """Leave it: here it is the original, or a change of no consequence."""

    def leave(self, path: str) -> None:
        """Nothing to do."""

    def finish(self) -> None:
        """Make the new scan whole; it is then the `before` of the next step."""
        self._after.flush()
        wait_for_clock(self._youngest)


class _Blocks:
    """Reads a scan along a walk in the same order."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._path: bytes | None = None
        self._found: Fingerprints = {}
        self._read()

    def find(self, directory: bytes) -> Fingerprints:
        """Return the block of a directory, nothing when it has none; each call must be for a later directory."""
        wanted = _order(directory)
        while self._path is not None and _order(self._path) < wanted:
            self._read()
        return self._found if self._path == directory else {}

    def _read(self) -> None:
        try:
            self._path, self._found = marshal.load(self._file)
        except EOFError:
            self._path, self._found = None, {}
        except (ValueError, TypeError) as error:
            raise StoreError(f"the scan of a tree is damaged: {error}") from error


def _order(path: bytes) -> bytes:
    # A slash must sort before every byte of a name: what is in `a` comes before `a-b`, as on the walk.
    return path.replace(b"/", b"\0")


def _join(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name
