"""What the mounted parts of build contexts were seen to hold, so that a cache key never says anything else.

A context is a directory that others write to while a build runs. What a RUN can read of it is either

    in place   the directory itself: looked at for the key, and compared again after the command has ended (names and
               what stat(2) says of them, the time of the last change of status included, which nobody can set back)
    a copy     made once, and looked at itself: the key says what is in the copy

A part that was touched a moment ago is not mounted in place: the clock could not tell the next change from the last.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from threading import Lock

from builder.context.reading import hash_node
from builder.context.tree import Node, Tree
from builder.filesystem.entry import FILE, HARDLINK, SYMLINK, Entry
from builder.snapshot.metadata import belongs_into_image
from builder.solve.entry_line import entry_line
from builder.store.stat_cache import is_settled

Status = tuple[str, "os.stat_result | None"]
"""A path in the context, and what stat(2) said of it; None where nothing can change it."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One look at what lies at `start` of a tree."""

    start: str
    content: str
    """sha256 in hex of all that can be seen there."""
    lines: tuple[bytes, ...]
    """What was seen, entry by entry (entry_line.py)."""
    statuses: tuple[Status, ...] = ()
    is_settled: bool = True

    def moved(self, tree: Tree) -> str | None:
        """Return the first path of `tree` that has changed since; None when there is none."""
        for was, now in zip_longest(self.statuses, statuses_of(tree.walk(self.start)), fillvalue=("", None)):
            if was[0] != now[0] or not _same(was[1], now[1]):
                return min(filter(None, (was[0], now[0])), default=self.start)
        return None


def look(tree: Tree, start: str) -> Sighting:
    """Look at everything at and below `start`. Raises ContextError."""
    scanned_ns = time.time_ns()
    statuses: list[Status] = []

    def hashed() -> Iterator[tuple[Node, str]]:
        for node in tree.walk(start):
            # The status of the walk, from before the file was read: a change while it is hashed shows in `moved`.
            statuses.append((node.entry.path, node.status))
            digest = node.entry.digest
            if node.entry.kind == FILE and not digest:
                digest = hash_node(node)
                tree.remember(node, digest, scanned_ns)
            yield node, digest

    return _sighting(start, hashed(), statuses, scanned_ns)


def look_at_copy(start: str, nodes: Iterable[Node], hash_copy: Callable[[str], str]) -> Sighting:
    """Return the sighting of a copy of `nodes`, a walk at `start`; `hash_copy` hashes a file of the copy by path."""

    def hashed() -> Iterator[tuple[Node, str]]:
        for node in nodes:
            # A digest from the stat cache is one of this very file: it was found to be unchanged when it was copied.
            is_unknown = node.entry.kind == FILE and not node.entry.digest
            yield node, hash_copy(node.entry.path) if is_unknown else node.entry.digest

    return _sighting(start, hashed(), [], 0)


def _sighting(start: str, seen: Iterable[tuple[Node, str]], statuses: list[Status], scanned_ns: int) -> Sighting:
    lines = visible_lines(start, ((node.entry, digest) for node, digest in seen))
    settled = all(status is None or is_settled(status, scanned_ns) for _, status in statuses)
    return Sighting(start, content_of(lines), lines, tuple(statuses), settled)


def visible_lines(start: str, entries: Iterable[tuple[Entry, str]]) -> tuple[bytes, ...]:
    """Return the lines of (entry, content digest) of everything at and below `start`."""
    cut = len(start) + 1 if start else 0
    return tuple(_visible_line(entry.path[cut:], entry, digest) for entry, digest in entries)


def _visible_line(path: str, entry: Entry, digest: str) -> bytes:
    """Return the line of what a command sees: links have no mode of their own, and names of one file are files."""
    xattrs = tuple(item for item in entry.xattrs if belongs_into_image(item[0])) if entry.xattrs else ()
    if entry.kind == SYMLINK:
        return entry_line(path, entry._replace(mode=0, xattrs=xattrs), "", digest)
    kind = FILE if entry.kind == HARDLINK else entry.kind
    return entry_line(path, entry._replace(kind=kind, link="", xattrs=xattrs), "", digest)


def content_of(lines: Iterable[bytes]) -> str:
    """Return the sha256 of lines in hex."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line)
    return digest.hexdigest()


def statuses_of(nodes: Iterable[Node]) -> Iterator[Status]:
    """Yield what stat(2) said of each node."""
    return ((node.entry.path, node.status) for node in nodes)


def _same(was: os.stat_result | None, now: os.stat_result | None) -> bool:
    return was is now or (
        was is not None
        and now is not None
        # With ctime, which nobody can set back (man 2 utimensat); inode and device for a file put in
        # another one's place.
        and (was.st_ctime_ns, was.st_mtime_ns, was.st_ino, was.st_dev, was.st_size, was.st_mode)
        == (now.st_ctime_ns, now.st_mtime_ns, now.st_ino, now.st_dev, now.st_size, now.st_mode)
    )


@dataclass(slots=True)
class Sightings:
    """The sightings of one build, each part looked at once. Safe for threads."""

    _seen: dict[tuple[str, str], Sighting] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def see(self, name: str, subpath: str, look_now: Callable[[], Sighting]) -> Sighting:
        """Return what was seen of a context's `subpath`, looking when that hasn't been done."""
        with self._lock:  # also while it is looked at: all steps with this mount go by one look
            if (name, subpath) not in self._seen:
                self._seen[name, subpath] = look_now()
            return self._seen[name, subpath]
