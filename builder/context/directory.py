"""A build context on disk, without what its ignore file hides.

Owners are reported as 0:0 and extended attributes not at all, as they reach a layer from BuildKit: who checked the
sources out has no part in the image. Modes and times are kept. Sockets are empty files, FIFOs and devices themselves.
Symbolic links lead to what they mean inside the context; one that points out of it points to nothing.

The store of the build may lie in the context it builds: then it is no part of it, as if it were not there.

A directory is listed in one go and closed again: however deep the tree and however many walks go on at once, the
descriptors are few. Digests come from the stat cache (`Stamps`) by a merge join, both being in tree order.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Protocol

from builder.context.ignore import NOTHING_IGNORED, IgnorePatterns, State
from builder.context.paths import name_of, parent_of
from builder.context.reading import unreadable
from builder.context.tree import Node, Prune
from builder.context.walk import Found, seen, walk_ignored
from builder.errors import ContextError
from builder.filesystem.entry import BLOCK, CHARACTER, DIRECTORY, FIFO, FILE, SYMLINK, Entry, tree_key
from builder.filesystem.links import follow_links
from builder.filesystem.resolve import Root
from builder.layer.content import FileContent
from builder.store.stat_cache import StampedFile, is_settled, stamp_of

_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_SECOND_NS = 1_000_000_000
_STAMPS_AT_ONCE = 4096


class Stamps(Protocol):
    """What remembers content digests between builds: store/stat_cache.py's ContextStamps."""

    def walk(self, under: str = "") -> Iterator[StampedFile]: ...

    def put(self, files: Iterable[StampedFile]) -> None: ...

    def delete(self, paths: Iterable[str]) -> None: ...


_OnDisk = Found[os.stat_result]
"""An object in the directory, ignored or not. It becomes a Node only when it is seen."""


class DirectoryTree:
    """A context directory as a tree to copy from; a context manager that holds it open."""

    def __init__(
        self,
        path: str,
        ignore: IgnorePatterns = NOTHING_IGNORED,
        stamps: Stamps | None = None,
        *,
        store: str = "",
        grew: Callable[[str], None] | None = None,
    ) -> None:
        """Open the directory `path`; `store` is where in it the store lies (own_store.py). Raises ContextError.

        `grew` is told of files that become longer while they are read, which is an error without it.
        """
        self._grew = grew
        self.path = path
        self.ignore = ignore
        self._store = store
        self._stamps = stamps
        self._fresh: list[StampedFile] = []
        try:
            self._root = Root(path)
        except OSError as error:
            raise ContextError(f"the build context {path!r} cannot be opened: {error.strerror}") from error

    @property
    def hides(self) -> bool:
        """Whether the directory on disk may hold what the tree does not."""
        return bool(self.ignore or self._store)

    def __enter__(self) -> DirectoryTree:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remember the digests found, and let go of the directory."""
        self._flush()
        self._root.close()

    def find(self, path: str) -> Entry | None:
        status = self._status(path)
        if status is None:
            return None
        state = self.ignore.state_of(path)
        if state.excluded and not self._shines_through(path, status, state):
            return None
        return self._entry(path, status)

    def resolve(self, path: str) -> str:
        try:
            # A link that is hidden leads nowhere: by way of it nobody gets in what the ignore file keeps out.
            return follow_links(path, self._visible_link)
        except OSError as error:
            raise ContextError(f"{path!r} cannot be resolved: {error.strerror}") from error

    def hidden_by(self, path: str) -> str:
        if self._in_store(path):
            return "pybuild: its store is never part of a context"
        decision = self.ignore.decide(path)
        return str(decision.rule) if decision.excluded and self._status(path) is not None else ""

    def walk(self, path: str, *, deep: bool = True, prune: Prune | None = None) -> Iterator[Node]:
        if not deep:
            # Files further down are passed over by this walk, and not gone.
            yield from self._with_digests(self._children(path), path, forget=False)
            return
        status = self._status(path)
        if status is not None:
            yield from self._with_digests(self._visible(path, status, prune), path)

    def remember(self, node: Node, digest: str, scanned_ns: int) -> None:
        # A file that changed a moment ago may change again without a trace in its status: such a digest is not kept.
        if self._stamps is not None and node.status is not None and is_settled(node.status, scanned_ns):
            self._fresh.append(StampedFile(node.entry.path, stamp_of(node.status), digest))
            if len(self._fresh) >= _STAMPS_AT_ONCE:
                self._flush()

    def _flush(self) -> None:
        if self._stamps is not None and self._fresh:
            batch, self._fresh = self._fresh, []
            self._stamps.put(batch)

    def _children(self, path: str) -> Iterator[Node]:
        above = self.ignore.state_of(path)
        prefix = path + "/" if path else ""
        for name, status in self._list(path):
            child = prefix + name
            state = self.ignore.enter(child, above)
            if not state.excluded or self._shines_through(child, status, state):
                yield self._node(child, status)

    def _shines_through(self, path: str, status: os.stat_result, state: State) -> bool:
        """Say whether an excluded `path` is a directory that has something below it that is not."""
        # That something could be seen is cheap to say; whether it is takes a walk, which ends at the first thing seen.
        is_directory = stat.S_ISDIR(status.st_mode)
        return is_directory and self.ignore.may_reinclude_below(path, state) and any(self.walk(path))

    def _visible(self, path: str, status: os.stat_result, prune: Prune | None) -> Iterator[Node]:
        """Yield what is at `path` and everything below it that is seen."""
        if self.ignore:
            walk, state = partial(self._on_disk, path, status), self.ignore.state_of(path)
            shown = seen(walk_ignored(walk, self.ignore, state, prune=prune))
        else:
            shown = self._on_disk(path, status, prune)
        for path, _, status in shown:
            yield self._node(path, status)

    def _on_disk(self, path: str, status: os.stat_result, prune: Prune | None) -> Iterator[_OnDisk]:
        """Yield what is at `path` and everything below it, ignored or not."""
        is_directory = stat.S_ISDIR(status.st_mode)
        yield path, is_directory, status
        if not is_directory or (prune is not None and prune(path)):
            return
        # A stack and not recursion: trees may be deeper than Python's recursion limit.
        stack = [(path + "/" if path else "", iter(self._list(path)))]
        while stack:
            prefix, items = stack[-1]
            for name, status in items:
                path = prefix + name
                is_directory = stat.S_ISDIR(status.st_mode)
                yield path, is_directory, status
                if is_directory and (prune is None or not prune(path)):
                    stack.append((path + "/", iter(self._list(path))))
                    break  # into it: the iterator of this directory waits on the stack, and goes on afterwards
            else:
                stack.pop()

    def _with_digests(self, nodes: Iterator[Node], under: str, *, forget: bool = True) -> Iterator[Node]:
        """Give files the digests that the stat cache has for them, and make it forget files that are gone."""
        if self._stamps is None:
            yield from nodes
            return
        known = self._stamps.walk(under)
        row = next(known, None)
        gone: list[str] = []
        for node in nodes:
            entry = node.entry
            if row is not None and entry.kind == FILE and node.status is not None:
                # Of a context that was built before nearly all are equal; keys are made for the others alone.
                if row.path != entry.path:
                    key = tree_key(entry.path)
                    while row is not None and tree_key(row.path) < key:
                        gone.append(row.path)
                        row = next(known, None)
                if row is not None and row.path == entry.path:
                    if row.stamp == stamp_of(node.status):
                        # Not _replace, which takes more than twice as long: this is done for each file.
                        _, kind, mode, uid, gid, mtime, size, link, device, xattrs, _ = entry
                        entry = Entry(entry.path, kind, mode, uid, gid, mtime, size, link, device, xattrs, row.digest)
                        node = Node(entry, node.content, node.identity, node.status)
                    row = next(known, None)
            yield node
        if gone and forget:
            self._stamps.delete(gone)

    def _list(self, path: str) -> list[tuple[str, os.stat_result]]:
        """Return the names in a directory, sorted by bytes, with their status. Raises ContextError."""
        try:
            descriptor = self._root.open(path, _LIST)
            try:
                found = _stat_all(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise unreadable(path or self.path, error) from error
        if self._store and path == parent_of(self._store):
            found = [item for item in found if item[0] != name_of(self._store)]
        # Code point order is byte order in UTF-8, but not for the surrogates that stand for other bytes.
        if all(name.isascii() for name, _ in found):
            found.sort()
        else:
            found.sort(key=lambda item: os.fsencode(item[0]))
        return found

    def _node(self, path: str, status: os.stat_result) -> Node:
        mode = status.st_mode
        if stat.S_ISREG(mode):
            entry = Entry(path, FILE, mode & 0o7777, 0, 0, status.st_mtime_ns // _SECOND_NS, status.st_size)
            identity = (status.st_dev, status.st_ino) if status.st_nlink > 1 else None
            return Node(entry, FileContent(path, self._root, self._grew), identity, status)
        return Node(self._entry(path, status), b"" if stat.S_ISSOCK(mode) else None, None, status)

    def _entry(self, path: str, status: os.stat_result) -> Entry:
        mode, mtime = status.st_mode & 0o7777, status.st_mtime_ns // _SECOND_NS
        match stat.S_IFMT(status.st_mode):
            case stat.S_IFDIR:
                return Entry(path, DIRECTORY, mode, 0, 0, mtime)
            case stat.S_IFLNK:
                # What Linux reports; other file systems may differ, and nothing heeds it.
                return Entry(path, SYMLINK, 0o777, 0, 0, mtime, 0, self._read_link(path) or "")
            case stat.S_IFREG:
                return Entry(path, FILE, mode, 0, 0, mtime, status.st_size)
            case stat.S_IFSOCK:
                return Entry(path, FILE, mode, 0, 0, mtime)  # a tar has no sockets; BuildKit makes empty files
            case stat.S_IFIFO:
                return Entry(path, FIFO, mode, 0, 0, mtime)
            case stat.S_IFCHR | stat.S_IFBLK as kind:
                device = (os.major(status.st_rdev), os.minor(status.st_rdev))
                return Entry(path, CHARACTER if kind == stat.S_IFCHR else BLOCK, mode, 0, 0, mtime, 0, "", device)
            case _:
                raise ContextError(f"{path!r} is of a kind that no layer can hold")

    def _status(self, path: str) -> os.stat_result | None:
        """Return the status of `path` when its parents are real directories inside the context."""
        if self._in_store(path):
            return None
        try:
            parent = path.rpartition("/")[0]
            # What lies behind a link has a path of its own, by which ignore rules decide; by this one nothing is there.
            if parent and self._root.resolve(parent) != parent:
                return None
            return self._root.stat(path, follow_last=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise unreadable(path or self.path, error) from error

    def _in_store(self, path: str) -> bool:
        return bool(self._store) and (path == self._store or path.startswith(f"{self._store}/"))

    def _read_link(self, path: str) -> str | None:
        try:
            return self._root.read_link(path)
        except OSError as error:
            raise unreadable(path, error) from error

    def _visible_link(self, path: str) -> str | None:
        target = self._read_link(path)
        return target if target is not None and not self.ignore.state_of(path).excluded else None


def _stat_all(descriptor: int) -> list[tuple[str, os.stat_result]]:
    """Return names and status; what vanishes meanwhile, as editors' temporary files do, is left out."""
    found = []
    with os.scandir(descriptor) as listing:
        for item in listing:
            try:
                found.append((item.name, item.stat(follow_symlinks=False)))
            except FileNotFoundError:
                continue
    return found
