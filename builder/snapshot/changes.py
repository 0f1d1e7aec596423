"""What a RUN changed, as the entries of a layer: the part that all snapshotters share.

    source.children("usr")   →  (b"bin", SAME) (b"lib", CANDIDATE) (b"old", REMOVED)        one directory at a time
    changed_entries(source)  →  (Entry, Content) in tree order: parents first, whiteouts among their siblings

Rules:
- A directory is part of the layer when it changed itself or when something beneath it did. Its time is part of it: a
  step may have set it (touch, tar), and the next one sees what this one left.
- A file that was copied up but is the same to the last byte and nanosecond is dropped (BuildKit does this too).
- Times are compared as the file system has them, before and after. A layer holds whole seconds: going by those, what it
  holds would hang on whether two steps ran in one second.
- All names of one inode stand together: the first path is the file, the others are hard links to it.
- A deletion is always an explicit whiteout, never an opaque directory: the layer then doesn't depend on how the tree
  was mounted (layer.md: "implementations SHOULD generate layers using explicit whiteout files").
- Sockets can't be in an image and are dropped.
- A file that is called like a whiteout is given as what it is, with its content: who writes a layer must refuse it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from builder.errors import LayerError
from builder.filesystem.entry import FILE, HARDLINK, Entry
from builder.filesystem.still import PATH_BYTES, StillTree
from builder.layer.content import Content, FileContent
from builder.layer.view import MergedView
from builder.layer.whiteout import is_whiteout, whiteout_entry
from builder.snapshot.metadata import read_entry, same_metadata

Change = tuple[Entry, Content | None]


def is_deletion(change: Change) -> bool:
    """Say whether a change is that something is gone; a file that is called like a whiteout has content."""
    entry, content = change
    return content is None and entry.kind == FILE and is_whiteout(entry.path)


class Verdict(Enum):
    """What is known of a name before its metadata is looked at."""

    SAME = "a directory that is unchanged itself"
    CANDIDATE = "may have changed"
    REMOVED = "was there before and is gone"


class ChangeSource(Protocol):
    """Where changes are looked for. Directories are visited depth first, each `children` followed by its `leave`."""

    tree: StillTree
    """What all paths are relative to."""

    def children(self, path: str) -> Iterator[tuple[bytes, Verdict]]:
        """Give the names in a directory that may have changed, in the layer's order; no sockets. Raises OSError."""
        ...

    def has_old_time(self, path: str, status: os.stat_result) -> bool:
        """Say whether the object given last, now with `status`, has the time that it had before. Raises OSError."""
        ...

    def drop(self, path: str, status: os.stat_result) -> None:
        """Learn that this object is not part of the layer. Raises OSError."""
        ...

    def leave(self, path: str) -> None:
        """Learn that a directory is done."""
        ...


@dataclass(slots=True)
class _Visit:
    """One directory on the way down."""

    path: str
    names: Iterator[tuple[bytes, Verdict]]
    pending: os.stat_result | None = None
    """The directory's lstat, until a change below it makes it part of the layer."""


@dataclass(slots=True)
class _Links:
    """Inodes with several names: the first path, and how many names are still to come."""

    first: dict[tuple[int, int], list[str | int]] = field(default_factory=dict)

    def target(self, path: str, status: os.stat_result) -> str:
        """Return the path this one is a hard link to, or nothing when it is the first."""
        key = (status.st_dev, status.st_ino)
        known = self.first.get(key)
        if known is None:
            self.first[key] = [path, status.st_nlink - 1]
            return ""
        target, left = str(known[0]), int(known[1]) - 1
        # Forgotten with its last name, or all of a large tree of links would be kept in memory.
        if left:
            known[1] = left
        else:
            del self.first[key]
        return target


@dataclass(slots=True)
class _Walk:
    source: ChangeSource
    view: MergedView
    inherit_owners: bool
    links: _Links = field(default_factory=_Links)
    visits: list[_Visit] = field(default_factory=list)

    def run(self) -> Iterator[Change]:
        # A stack and not recursion: a step may leave a tree deeper than Python's recursion limit.
        self.visits.append(_Visit("", self.source.children("")))
        while self.visits:
            visit = self.visits[-1]
            item = next(visit.names, None)
            if item is not None:
                yield from self.consider(visit, *item)
                continue
            self.visits.pop()
            # It is left first: taking it away is a change to the directory above, the innermost one by then.
            self.source.leave(visit.path)
            if visit.pending is not None:
                self.source.drop(visit.path, visit.pending)

    def consider(self, visit: _Visit, raw_name: bytes, verdict: Verdict) -> Iterator[Change]:
        name = os.fsdecode(raw_name)
        path = f"{visit.path}/{name}" if visit.path else name
        if verdict is Verdict.REMOVED:
            yield from self.emit(whiteout_entry(path), has_content=False)
            return
        absolute = self.source.tree.at(path)
        status = os.lstat(absolute)
        if stat.S_ISDIR(status.st_mode):
            yield from self.enter(path, absolute, status, verdict)
        else:
            yield from self.keep_or_drop(path, absolute, status)

    def enter(self, path: str, absolute: str, status: os.stat_result, verdict: Verdict) -> Iterator[Change]:
        below = _Visit(path, self.source.children(path), pending=status)
        if verdict is Verdict.CANDIDATE:
            entry = self.entry(path, absolute, status)
            if not self.looks_as_before(entry, status):
                below.pending = None
                yield from self.emit(entry)
        # Behind the directory's own entry, when it has one: parents come first in a layer.
        self.visits.append(below)

    def keep_or_drop(self, path: str, absolute: str, status: os.stat_result) -> Iterator[Change]:
        entry = self.entry(path, absolute, status)
        # Never compared with what was before: were the first name found unchanged and dropped, the others would be
        # links to a path that their layer does not have.
        if entry.kind == FILE and status.st_nlink > 1:
            target = self.links.target(path, status)
            if target:
                # Without attributes: a tar's link has none of its own, and the first name has brought them.
                yield from self.emit(entry._replace(kind=HARDLINK, link=target, size=0, xattrs=()))
                return
        elif self.is_as_before(entry, absolute, status):
            self.source.drop(path, status)
            return
        yield from self.emit(entry)

    def is_as_before(self, entry: Entry, absolute: str, status: os.stat_result) -> bool:
        if not self.looks_as_before(entry, status):
            return False
        if entry.kind != FILE:
            return True
        # Reading it again is rare: overlayfs copied the file up, and it has its old time and size.
        before = self.view.find(entry.path)
        return before is not None and before.entry.digest != "" and _sha256(absolute) == before.entry.digest

    def looks_as_before(self, entry: Entry, status: os.stat_result) -> bool:
        before = self.view.find(entry.path)
        if before is None or not same_metadata(entry, before.entry):
            return False
        return self.source.has_old_time(entry.path, status)

    def entry(self, path: str, absolute: str, status: os.stat_result) -> Entry:
        entry = read_entry(absolute, path, status)
        if not self.inherit_owners or entry.uid or entry.gid:
            return entry
        before = self.view.find(path)
        return entry if before is None else entry._replace(uid=before.entry.uid, gid=before.entry.gid)

    def emit(self, entry: Entry, *, has_content: bool = True) -> Iterator[Change]:
        """Give the directories above that have no entry yet, then the entry."""
        for visit in self.visits:
            if visit.pending is not None:
                status, visit.pending = visit.pending, None
                yield self.entry(visit.path, self.source.tree.at(visit.path), status), None
        yield entry, FileContent(self.source.tree.at(entry.path)) if has_content and entry.kind == FILE else None


def changed_entries(source: ChangeSource, view: MergedView, *, inherit_owners: bool = False) -> Iterator[Change]:
    """Walk `source` and give what differs from `view`, the layers below; nothing may change the tree meanwhile.

    `inherit_owners` is for trees in which everything belongs to one id: what was there before keeps the owner the
    layers below say it has. An owner that the step itself gave (chown) can't be known then, and new files are 0:0.
    Raises LayerError.
    """
    try:
        yield from _Walk(source, view, inherit_owners).run()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise _too_deep(error) from error
        root = source.tree.root
        what = os.path.relpath(error.filename, root) if isinstance(error.filename, str) else "a file"
        raise LayerError(f"what the step changed can't be read: /{what[:200]}: {error.strerror}") from error


def _too_deep(error: OSError) -> LayerError:
    path = error.filename if isinstance(error.filename, str) else ""
    length = len(os.fsencode(path)) + 1
    return LayerError(
        f"the step made a path of {length} bytes, below /{path[:40]}; Linux takes at most {PATH_BYTES}",
        hint="No later step could name it. It was made by going down step by step, most likely in a loop.",
    )


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
