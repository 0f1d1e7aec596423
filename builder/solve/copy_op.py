"""COPY and ADD: a layer written straight from the sources; nothing is unpacked, each byte is read once.

    parts (copy_part.py)  ──place──▶  streams in tree order  ──merge──▶  items for write_layer
                          └─digest──▶  inputs of the cache key (copy_digest.py)

Where no record has the step's definition, `items` comes first and `inputs` afterwards costs nothing: its digests were
made on the way. Otherwise `inputs` reads what the stat cache does not know, and `items` reads again what is copied.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable, Iterator
from heapq import heappop, heappush
from typing import Any, NamedTuple

from builder.context.paths import join, parent_of
from builder.context.reading import hash_node, open_node
from builder.context.source import Node
from builder.errors import ContextError
from builder.filesystem.accounts import lookup_owner
from builder.filesystem.entry import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry
from builder.filesystem.walk import tree_key
from builder.layer.content import Content, FileContent
from builder.layer.view import MergedView
from builder.plan.step import CopyStep, GitSource, HttpSource, InlineSource, Paths
from builder.solve.copy_digest import SelectionDigest
from builder.solve.copy_mode import ChangeMode, octal_mode, parse_chmod
from builder.solve.copy_part import FindTree, Part, inline_part, local_parts, read_nodes
from builder.solve.copy_target import Clashes, NewDirectory, Target, check_kinds, place

MAX_ACCOUNTS_BYTES = 1 << 20
"""The longest /etc/passwd or /etc/group that is read."""

LayerItem = tuple[Entry, Content | None]
Key = tuple[int, str]
"""Number of the part, path: what a digest is asked for by."""
FindRemote = Callable[[HttpSource | GitSource], Iterator[Part]]


class _Item(NamedTuple):
    """What a part puts at a path. Hard links are found among the names of one part only."""

    entry: Entry
    content: Content | None
    part: int
    node: Node


class _Owner(NamedTuple):
    uid: int
    gid: int


def copy_inputs(step: CopyStep, find_tree: FindTree, find_remote: FindRemote | None = None) -> Any:
    """Return what `step` reads, for its cache key. Raises ContextError for what is missing or unreadable."""
    return Copy(step, MergedView(()), find_tree, find_remote).inputs()


def copy_layer_items(
    step: CopyStep,
    parent: MergedView,
    find_tree: FindTree,
    find_remote: FindRemote | None = None,
    *,
    made_at: int = 0,
) -> Iterator[LayerItem]:
    """Yield what `write_layer` makes the step's layer from; see `Copy`."""
    return Copy(step, parent, find_tree, find_remote, made_at=made_at).items()


class Copy:
    """One COPY or ADD on top of `parent` (an empty view for --link).

    `made_at` (seconds since 1970) is the time of what has none of its own: directories that are made, heredocs.
    """

    def __init__(
        self,
        step: CopyStep,
        parent: MergedView,
        find_tree: FindTree,
        find_remote: FindRemote | None = None,
        *,
        made_at: int = 0,
    ) -> None:
        self._step = step
        self._parent = parent
        self._find_tree = find_tree
        self._find_remote = find_remote
        self._made_at = made_at
        self._digests: list[tuple[Part, SelectionDigest]] | None = None
        self._found: dict[Key, str] = {}
        """(part, path) → digest of a large file; "" until the layer has been written."""

    def inputs(self) -> Any:
        """Return what the step reads, for its cache key; after `items` and `complete`, without reading anything."""
        if self._digests is None:
            self._digests = []
            for number, part in enumerate(self._parts()):
                digest = SelectionDigest()
                self._digests.append((part, digest))
                scanned_ns = time.time_ns()
                for node in read_nodes(part, load=False):
                    key = (number, node.entry.path)
                    if node.entry.kind == FILE and not node.entry.digest:
                        self._found[key] = hash_node(node)
                        part.tree.remember(node, self._found[key], scanned_ns)
                    digest.add(part.relative(node.entry.path), node.entry, node.identity, key)
        return [
            {"source": part.label, "kind": "directory" if part.is_directory else "file"}
            | digest.finish(lambda key: self._found[key])
            for part, digest in self._digests
        ]

    def complete(self, find_digest: Callable[[str], str]) -> None:
        """Take the content digests of large files from the layer that was written of `items`, by path in it."""
        for key in [key for key, digest in self._found.items() if not digest]:
            self._found[key] = find_digest(key[1])

    def items(self) -> Iterator[LayerItem]:
        """Yield entries and contents, parents first, every path once. Raises ContextError, LayerError."""
        parts = list(self._parts())
        self._digests = [(part, SelectionDigest()) for part in parts]
        if not parts:
            return
        owner = self._owner()
        change = parse_chmod(self._step.chmod) if self._step.chmod else None
        target = Target(self._parent, self._step.destination)
        roots = _place_all(parts, target)
        last = (
            target.path if any(root != target.path or part.is_directory for root, part in zip(roots, parts)) else None
        )
        yield from self._directories(target, last, parts, owner)
        streams = [
            (root, self._stream(number, part, root, owner, change))
            for number, (root, part) in enumerate(zip(roots, parts))
        ]
        clashes = Clashes(self._parent, target.path) if target.is_directory else None
        names: dict[Hashable, str] = {}
        for item in _merge(streams, self._lose):
            entry = item.entry
            if clashes is not None:
                clashes.check(entry)
            if item.node.identity is not None:
                first = names.setdefault((item.part, item.node.identity), entry.path)
                if first != entry.path:
                    yield entry._replace(kind=HARDLINK, link=first, size=0, digest=""), None
                    continue
            yield entry, item.content
            if entry.kind == FILE and not entry.digest:
                _check_unchanged(item.node)

    def _parts(self) -> Iterator[Part]:
        for source in self._step.sources:
            match source:
                case Paths():
                    yield from local_parts(self._step, source, self._find_tree(source.source))
                case InlineSource():
                    yield inline_part(source, self._made_at)
                case HttpSource() | GitSource():
                    if self._find_remote is None:
                        raise ContextError("this build cannot read from other machines")
                    yield from self._find_remote(source)

    def _lose(self, item: _Item) -> None:
        """Digest a large file here that another of the same name has kept out of the layer."""
        key = item.part, item.entry.path
        if self._found.get(key) == "":
            self._found[key] = hash_node(item.node)

    def _owner(self) -> _Owner | None:
        spec = self._step.chown
        if not spec:
            return None
        return _Owner(*find_owner(self._parent, spec))

    def _directories(
        self, target: Target, last: str | None, parts: list[Part], owner: _Owner | None
    ) -> Iterator[LayerItem]:
        """Yield the directories down to where things go; the destination itself has its source's time (C-15)."""
        octal = octal_mode(self._step.chmod) if self._step.chmod else None
        uid, gid = owner or (0, 0)
        new = NewDirectory(mode=0o755 if octal is None else octal, uid=uid, gid=gid, mtime=self._made_at)
        times = [part.mtime for part in parts if part.is_directory]
        for entry in target.directories(parent_of(target.path) if last is None else last, new):
            yield (entry._replace(mtime=times[-1]) if times and entry.path == target.path else entry), None

    def _stream(
        self, number: int, part: Part, root: str, owner: _Owner | None, change: ChangeMode | None
    ) -> Iterator[_Item]:
        """Yield what `part` puts at and below `root`, and digest it on the way."""
        assert self._digests is not None
        digest = self._digests[number][1]
        for node in read_nodes(part, load=True):
            _, kind, mode, uid, gid, mtime, size, link, device, xattrs, known = node.entry
            path = join(root, part.relative(node.entry.path)) if part.is_directory else root
            if kind == FILE and not known:
                self._found[number, path] = ""
            digest.add(part.relative(node.entry.path), node.entry, node.identity, (number, path))
            if owner is not None:
                uid, gid = owner
            if change is not None and kind != SYMLINK:
                mode = change(mode, kind == DIRECTORY)
            yield _Item(
                Entry(path, kind, mode, uid, gid, mtime, size, link, device, xattrs, known), node.content, number, node
            )


def find_owner(view: MergedView, spec: str) -> tuple[int, int]:
    """Return what --chown `spec` means in a file system. Raises LayerError for accounts that are no plain text file."""
    if all(part.isdigit() or not part for part in spec.split(":")):
        return lookup_owner(b"", b"", spec)
    passwd, group = (view.read(f"etc/{name}", MAX_ACCOUNTS_BYTES) or b"" for name in ("passwd", "group"))
    return lookup_owner(passwd, group, spec)


def _place_all(parts: list[Part], target: Target) -> list[str]:
    """Return where each part goes; a directory that one makes is there for the next."""
    roots: list[str] = []
    made = ""  # what the destination itself has become
    for part in parts:
        root = place(target, part.name, is_directory=part.is_directory, made_directory=made == DIRECTORY)
        if root == target.path:
            kind = DIRECTORY if part.is_directory else FILE
            there = made or (target.existing.kind if target.existing is not None else "")
            if there:
                check_kinds(root, there, kind)
            made = kind
        else:
            made = DIRECTORY
        roots.append(root)
    return roots


def _merge(streams: list[tuple[str, Iterator[_Item]]], lose: Callable[[_Item], None]) -> Iterator[_Item]:
    """Merge streams in tree order, given where each begins at the earliest; at one path the last stream wins.

    A stream is started when its turn comes, so that a thousand of them do not all list directories at once.
    """
    if len(streams) == 1:
        yield from streams[0][1]
        return
    waiting = sorted(((tree_key(root), number) for number, (root, _) in enumerate(streams)), reverse=True)
    heap: list[tuple[bytes, int, _Item]] = []
    best: _Item | None = None
    while waiting or heap:
        while waiting and (not heap or waiting[-1][0] <= heap[0][0]):
            _push(heap, streams, waiting.pop()[1])
        if not heap:
            continue
        _, number, item = heappop(heap)
        _push(heap, streams, number)
        if best is not None:
            if best.entry.path != item.entry.path:
                yield best
            else:
                check_kinds(item.entry.path, best.entry.kind, item.entry.kind)
                lose(best)
        best = item
    if best is not None:
        yield best


def _push(heap: list[tuple[bytes, int, _Item]], streams: list[tuple[str, Iterator[_Item]]], number: int) -> None:
    item = next(streams[number][1], None)
    if item is not None:
        heappush(heap, (tree_key(item.entry.path), number, item))


def _check_unchanged(node: Node) -> None:
    """Raise ContextError when a file that somebody else has just read is no longer what was listed."""
    if node.status is None or not isinstance(node.content, FileContent):
        return
    descriptor = open_node(node)
    os.close(descriptor)
