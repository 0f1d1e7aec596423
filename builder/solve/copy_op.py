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
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from builder.context.ignore import IgnorePatterns, exclude_patterns
from builder.context.paths import join, parent_of
from builder.context.reading import hash_node, open_node
from builder.context.source import Node
from builder.errors import ContextError
from builder.filesystem.accounts import lookup_owner
from builder.filesystem.entry import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry
from builder.layer.content import Content, FileContent
from builder.plan.step import CopyStep, GitSource, HttpSource, InlineSource, Paths
from builder.solve.copy_digest import SelectionDigest
from builder.solve.copy_merge import Item, merge
from builder.solve.copy_mode import octal_mode, parse_chmod
from builder.solve.copy_part import FindTree, Part, inline_part, local_parts, read_nodes
from builder.solve.copy_target import Clashes, NewDirectory, Target, check_kinds, place

if TYPE_CHECKING:
    from builder.context.archive import Archive, Temporary
    from builder.layer.view import MergedView
    from builder.solve.copy_archive import Member

MAX_ACCOUNTS_BYTES = 1 << 20
"""The longest /etc/passwd or /etc/group that is read."""

LayerItem = tuple[Entry, Content | None]
Key = tuple[int, str]
"""Number of the part, path: what a digest is asked for by."""
FindRemote = Callable[[HttpSource | GitSource, IgnorePatterns], Iterator[Part]]


_LINK_MODE = 0o777
"""What Linux shows for every symbolic link, whatever a tar said."""

Owner = tuple[int, int]
"""uid, gid"""


class Copy:
    """One COPY or ADD on top of `parent` (an empty view for --link).

    `made_at` (seconds since 1970) is the time of what has none of its own: directories that are made, heredocs.
    `temporary` gives paths for what archives are spooled to; without it ADD copies them as they are.
    """

    def __init__(
        self,
        step: CopyStep,
        parent: MergedView,
        find_tree: FindTree,
        find_remote: FindRemote | None = None,
        *,
        made_at: int = 0,
        temporary: Temporary | None = None,
    ) -> None:
        self._step = step
        self._parent = parent
        self._find_tree = find_tree
        self._find_remote = find_remote
        self._made_at = made_at
        self._temporary = temporary
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
                if part.fixed is None:
                    self._digest_part(number, part, digest)
        return [
            {"source": part.label, "kind": "directory" if part.is_directory else "file"}
            | (digest.finish(lambda key: self._found[key]) if part.fixed is None else dict(part.fixed))
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
        with ExitStack() as stack:
            archives = [self._unpack(number, part, stack) for number, part in enumerate(parts)]
            for number, archive in enumerate(archives):
                if archive is not None:
                    parts[number] = parts[number]._replace(is_directory=True, mtime=self._made_at)
            target = Target(self._parent, self._step.destination)
            owner = find_owner(self._parent, self._step.chown) if self._step.chown else None
            roots = _place_all(parts, target)
            yield from self._directories(target, roots, parts, owner, archives[0] is not None)
            streams: list[tuple[str, Iterator[Item]]] = []
            for number, (root, archive) in enumerate(zip(roots, archives)):
                if archive is None:
                    streams.append((root, self._stream(number, parts[number], root, owner)))
                else:
                    from builder.solve.copy_archive import archive_members

                    members = archive_members(archive, self._parent, root, self._made_at)
                    streams.append((root, _unpacked(number, members, owner)))
            clashes = Clashes(self._parent, target.path) if target.is_directory else None
            yield from _linked(merge(streams, self._lose), clashes)

    def _parts(self) -> Iterator[Part]:
        exclude = exclude_patterns(self._step.exclude)
        for source in self._step.sources:
            match source:
                case Paths():
                    yield from local_parts(self._step, source, self._find_tree(source.source), exclude)
                case InlineSource():
                    yield inline_part(source, self._made_at)
                case HttpSource() | GitSource():
                    if self._find_remote is None:
                        raise ContextError("this build cannot read from other machines")
                    for part in self._find_remote(source, exclude):
                        yield part._replace(may_unpack=bool(self._step.unpack) and not part.is_directory)

    def _digest_part(self, number: int, part: Part, digest: SelectionDigest) -> None:
        scanned_ns = time.time_ns()
        for node in read_nodes(part, load=False):
            key = (number, node.entry.path)
            if node.entry.kind == FILE and not node.entry.digest:
                self._found[key] = hash_node(node)
                part.tree.remember(node, self._found[key], scanned_ns)
            digest.add(part.relative(node.entry.path), node.entry, node.identity, key)

    def _unpack(self, number: int, part: Part, stack: ExitStack) -> Archive | None:
        """Return the archive that a part of ADD is, None when it is to be copied."""
        if not part.may_unpack or self._temporary is None:
            return None
        node = next(part.nodes(), None)
        if node is None or node.entry.kind != FILE:
            return None
        from builder.solve.copy_archive import unpack  # not for a cached build

        scanned_ns = time.time_ns()
        found = unpack(node, self._temporary)
        if found is None:
            return None
        archive, digest = found
        stack.callback(archive.close)
        part.tree.remember(node, digest, scanned_ns)
        assert self._digests is not None
        self._digests[number][1].add(part.name, node.entry._replace(digest=digest), node.identity)
        return archive

    def _directories(
        self, target: Target, roots: list[str], parts: list[Part], owner: Owner | None, unpacks_first: bool
    ) -> Iterator[LayerItem]:
        """Yield the directories down to where things go; the destination itself has its source's time (C-15)."""
        octal = octal_mode(self._step.chmod) if self._step.chmod and not unpacks_first else None
        uid, gid = owner or (0, 0)
        new = NewDirectory(mode=0o755 if octal is None else octal, uid=uid, gid=gid, mtime=self._made_at)
        times = [part.mtime for part in parts if part.is_directory]
        holds = any(root != target.path or part.is_directory for root, part in zip(roots, parts))
        for entry in target.directories(target.path if holds else parent_of(target.path), new):
            yield (entry._replace(mtime=times[-1]) if times and entry.path == target.path else entry), None

    def _stream(self, number: int, part: Part, root: str, owner: Owner | None) -> Iterator[Item]:
        """Yield what `part` puts at and below `root`, and digest it on the way."""
        assert self._digests is not None
        digest = self._digests[number][1]
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


def _linked(items: Iterator[Item], clashes: Clashes | None) -> Iterator[LayerItem]:
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
            _check_unchanged(node)


def _unpacked(number: int, members: Iterator[Member], owner: Owner | None) -> Iterator[Item]:
    for entry, content, identity, is_member in members:
        if owner is not None and is_member:
            entry = entry._replace(uid=owner[0], gid=owner[1])
        yield Item(entry, content, number, identity, None)


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


def _check_unchanged(node: Node) -> None:
    """Raise ContextError when a file that somebody else has just read is no longer what was listed."""
    if node.status is None or not isinstance(node.content, FileContent):
        return
    descriptor = open_node(node)
    os.close(descriptor)
