"""The layer of a COPY or ADD, written straight from the sources; nothing is unpacked, each byte is read once.

    parts (source.py)  ──place──▶  streams in tree order  ──merge──▶  items for write_layer

On the way everything is digested as well, for the cache key (selection.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Hashable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from builder.context.paths import join, parent_of
from builder.context.reading import check_node, hash_node, open_node
from builder.context.tree import Node
from builder.filesystem.entry import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry
from builder.layer.content import Content, FileContent
from builder.solve.accounts import find_owner
from builder.solve.copy.chmod import octal_mode, parse_chmod
from builder.solve.copy.destination import Destination, KindConflicts, NewDirectory, check_kinds, place
from builder.solve.copy.digest import SelectionDigest
from builder.solve.copy.merge import Item, merge
from builder.solve.copy.selection import Copy, Key
from builder.solve.copy.source import Part, read_nodes

if TYPE_CHECKING:
    from builder.context.archive import Archive
    from builder.layer.view import MergedView
    from builder.solve.copy.archive import Member

LayerItem = tuple[Entry, Content | None]

_LINK_MODE = 0o777
"""What Linux shows for every symbolic link, whatever a tar said."""

Owner = tuple[int, int]
"""uid, gid"""


def layer_items(copy: Copy, parent: MergedView) -> Iterator[LayerItem]:
    """Yield entries and contents of the layer on top of `parent` (an empty view for --link), parents first, every path
    once. Raises ContextError, LayerError.
    """
    parts = list(copy.parts())
    digests = [SelectionDigest() for _ in parts]
    copy.digests = list(zip(parts, digests, strict=True))
    copy.grown.clear()
    copy.found.clear()  # what an earlier look found may have changed since
    if parts:
        yield from _Writing(copy, parent, parts, digests).items()


class _Writing:
    """One pass over the parts of `copy`."""

    def __init__(self, copy: Copy, parent: MergedView, parts: list[Part], digests: list[SelectionDigest]) -> None:
        self._step = copy.step
        self._parent = parent
        self._parts = parts
        self._digests = digests
        self._found = copy.found
        self._grown = copy.grown
        self._made_at = copy.made_at
        self._temporary = copy.temporary
        self._large = copy.large

    def items(self) -> Iterator[LayerItem]:
        parts = self._parts
        with ExitStack() as stack:
            archives = [self._unpack(number, part, stack) for number, part in enumerate(parts)]
            for number, archive in enumerate(archives):
                if archive is not None:
                    parts[number] = parts[number]._replace(is_directory=True, mtime=self._made_at)
            target = Destination(self._parent, self._step.destination)
            owner = find_owner(self._parent, self._step.chown) if self._step.chown else None
            roots = _place_all(parts, target)
            yield from self._directories(target, roots, parts, owner, archives[0] is not None)
            streams: list[tuple[str, Iterator[Item]]] = []
            for number, (root, archive) in enumerate(zip(roots, archives)):
                if archive is None:
                    streams.append((root, self._stream(number, parts[number], root, owner)))
                else:
                    from builder.solve.copy.archive import archive_members

                    members = archive_members(archive, self._parent, root, self._made_at)
                    streams.append((root, _unpacked(number, members, owner)))
            clashes = KindConflicts(self._parent, target.path) if target.is_directory else None
            yield from _linked(merge(streams, self._lose), clashes, self._grown)

    def _unpack(self, number: int, part: Part, stack: ExitStack) -> Archive | None:
        """Return the archive that a part of ADD is, None when it is to be copied."""
        if not part.may_unpack or self._temporary is None:
            return None
        node = next(part.nodes(), None)
        if node is None or node.entry.kind != FILE:
            return None
        from builder.solve.copy.archive import unpack  # not for a cached build

        scanned_ns = time.time_ns()
        found = unpack(node, self._temporary, large=self._large)
        if found is None:
            return None
        archive, digest = found
        stack.callback(archive.close)
        part.tree.remember(node, digest, scanned_ns)
        self._digests[number].add(part.name, node.entry._replace(digest=digest), node.identity)
        return archive

    def _directories(
        self, target: Destination, roots: list[str], parts: list[Part], owner: Owner | None, unpacks_first: bool
    ) -> Iterator[LayerItem]:
        """Yield the directories down to where things go; the destination itself has its source's time (C-15)."""
        octal = octal_mode(self._step.chmod) if self._step.chmod and not unpacks_first else None
        uid, gid = owner or (0, 0)
        # mkdir(2) knows no set-id and sticky bits the way Go calls it, so BuildKit's directories lack them (C-6).
        new = NewDirectory(mode=0o755 if octal is None else octal & 0o777, uid=uid, gid=gid, mtime=self._made_at)
        times = [part.mtime for part in parts if part.is_directory]
        holds = any(root != target.path or part.is_directory for root, part in zip(roots, parts))
        for entry in target.directories(target.path if holds else parent_of(target.path), new):
            yield (entry._replace(mtime=times[-1]) if times and entry.path == target.path else entry), None

    def _stream(self, number: int, part: Part, root: str, owner: Owner | None) -> Iterator[Item]:
        """Yield what `part` puts at and below `root`, and digest it on the way."""
        digest = self._digests[number]
        change = parse_chmod(self._step.chmod) if self._step.chmod else None
        large: dict[Hashable, Key] = {}
        for node in read_nodes(part, load=True):
            _, kind, mode, uid, gid, mtime, size, link, device, xattrs, known = node.entry
            path = join(root, part.relative(node.entry.path)) if part.is_directory else root
            key = (number, path)
            if kind == FILE and not known:
                # The second name of a file will be a link in the layer, without a digest of its own.
                key = key if node.identity is None else large.setdefault(node.identity, key)
                self._found.setdefault(key, "")
            if part.fixed is None:
                digest.add(part.relative(node.entry.path), node.entry, node.identity, key)
            if owner is not None:
                uid, gid = owner
            if kind == SYMLINK:
                mode = _LINK_MODE
            elif change is not None:
                mode = change(mode, kind == DIRECTORY)
            entry = Entry(path, kind, mode, uid, gid, mtime, size, link, device, xattrs, known)
            yield Item(entry, node.content, number, node.identity, node)

    def _lose(self, item: Item) -> None:
        """Digest a large file here that another of the same name has kept out of the layer."""
        key = item.part, item.entry.path
        if item.node is not None and self._found.get(key) == "":
            self._found[key] = hash_node(item.node)


def _linked(items: Iterator[Item], clashes: KindConflicts | None, grown: dict[str, Node]) -> Iterator[LayerItem]:
    """Yield items for the layer: a further name of a file becomes a link to the first, which stands before it."""
    names: dict[tuple[int, Hashable], str] = {}
    for entry, content, part, identity, node in items:
        if clashes is not None:
            clashes.check(entry, replaces=node is None)
        if identity is not None:
            first = names.setdefault((part, identity), entry.path)
            if first != entry.path:
                yield entry._replace(kind=HARDLINK, link=first, size=0, digest=""), None
                continue
        yield entry, content
        if node is not None and entry.kind == FILE and not isinstance(content, bytes):
            _check_unchanged(node, entry.path, grown)


def _unpacked(number: int, members: Iterator[Member], owner: Owner | None) -> Iterator[Item]:
    for entry, content, identity, is_member in members:
        if owner is not None and is_member:
            entry = entry._replace(uid=owner[0], gid=owner[1])
        yield Item(entry, content, number, identity, None)


def _place_all(parts: list[Part], target: Destination) -> list[str]:
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


def _check_unchanged(node: Node, path: str, grown: dict[str, Node]) -> None:
    """Raise ContextError when a file that somebody else has just read to `path` is no longer what was listed.

    One that may have only become longer is put into `grown`.
    """
    if node.status is None or not isinstance(node.content, FileContent):
        return
    descriptor = open_node(node)
    try:
        if check_node(node, descriptor):
            grown[path] = node
    finally:
        os.close(descriptor)
