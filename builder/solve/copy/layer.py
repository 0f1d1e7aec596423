"""The layer of a COPY or ADD, written straight from the sources; nothing is unpacked, each byte is read once.

    sources (source.py)  ──place──▶  streams in tree order  ──merge──▶  items for write_layer

On the way everything is digested as well, for the cache key (selection.py): small files here, since they are in memory,
large ones by whoever writes the layer, who tells `inputs` what was found.
"""

from __future__ import annotations

import os
import time
from collections.abc import Hashable, Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

from builder.context.paths import join, parent_of
from builder.context.reading import check_growth, check_node, hash_node, open_node
from builder.context.tree import Node
from builder.filesystem.entry import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry
from builder.layer.content import Content, FileContent
from builder.solve.accounts import find_owner
from builder.solve.copy.archive import Member, archive_members, unpack
from builder.solve.copy.chmod import octal_mode, parse_chmod
from builder.solve.copy.destination import Destination, KindConflicts, NewDirectory, check_kinds, place
from builder.solve.copy.digest import FindDigest, SelectionDigest
from builder.solve.copy.merge import Item, merge
from builder.solve.copy.selection import CopySelection, inputs_of
from builder.solve.copy.source import SelectedSource, read_nodes
from builder.solve.job import Inputs

if TYPE_CHECKING:
    from builder.context.archive import Archive
    from builder.layer.view import MergedView

LayerItem = tuple[Entry, Content | None]

_LINK_MODE = 0o777
"""What Linux shows for every symbolic link, whatever a tar said."""

Owner = tuple[int, int]
"""uid, gid"""


class CopyLayer:
    """One pass over what a COPY selects: first `items` to their end, then `inputs`."""

    def __init__(self, selection: CopySelection, parent: MergedView) -> None:
        """`parent` is the file system that the layer goes on top of, an empty view for --link."""
        self._selection = selection
        self._step = selection.step
        self._parent = parent
        self._selected = selection.select()
        # One a source, in the Dockerfile's order: streams are merged, and each digests its own entries.
        self._digests = [SelectionDigest() for _ in self._selected.sources]
        self._lost: dict[tuple[int, str], str] = {}
        """(number of the source, path) → digest of a large file that a later source of the same path has replaced."""
        self._grown: dict[str, Node] = {}
        """Path in the layer → large file that has become longer between being listed and being copied."""

    def items(self) -> Iterator[LayerItem]:
        """Yield entries and contents of the layer, parents first, every path once. Raises ContextError, LayerError."""
        if not self._selected.sources:
            return
        with ExitStack() as stack:
            # All of them before the first is placed: whether a source is an archive decides where it
            # and the next ones go.
            archives = [self._unpack(*numbered, stack) for numbered in enumerate(self._selected.sources)]
            # What is unpacked goes where a directory would; its inputs stay those of the file that it is.
            sources = [
                source if archive is None else source._replace(is_directory=True, mtime=self._selection.made_at)
                for source, archive in zip(self._selected.sources, archives, strict=True)
            ]
            target = Destination(self._parent, self._step.op.destination)
            owner = find_owner(self._parent, self._step.op.chown) if self._step.op.chown else None
            roots = _place_all(sources, target)
            # The first source makes the directories: where it is an archive, --chmod is not theirs either (Z-13, build
            # `add-tar-chmod`).
            yield from self._directories(target, roots, sources, owner, archives[0] is not None)
            streams: list[tuple[str, Iterator[Item]]] = []
            for number, (root, archive) in enumerate(zip(roots, archives, strict=True)):
                if archive is None:
                    streams.append((root, self._stream(number, sources[number], root, owner)))
                else:
                    members = archive_members(archive, self._parent, root, self._selection.made_at)
                    streams.append((root, _unpacked(number, members, owner)))
            # Where the destination is no directory there is nothing below it to be in the way.
            conflicts = KindConflicts(self._parent, target.path) if target.is_directory else None
            yield from _linked(merge(streams, self._lose), conflicts, self._grown)

    def inputs(self, hashed: Mapping[str, str]) -> Inputs:
        """Return what was read; `hashed` are the digests that were found while the layer was written, by path in it.

        Raises ContextError when a large file has changed, and not only become longer, meanwhile.
        """
        # After the layer is whole: what was copied of such a file is compared with its beginning once more, and only
        # these files are opened again.
        for path, node in self._grown.items():
            descriptor = open_node(node)
            try:
                check_growth(node, descriptor, hashed.get(path) or node.entry.digest)
            finally:
                os.close(descriptor)

        def find_in(number: int) -> FindDigest:
            return lambda path: self._lost.get((number, path)) or hashed[path]

        return inputs_of(self._step, self._selected, self._digests, map(find_in, range(len(self._digests))))

    def _unpack(self, number: int, source: SelectedSource, stack: ExitStack) -> Archive | None:
        """Return the archive that a source of ADD is, None when it is to be copied."""
        if not source.may_unpack or self._selection.temporary is None:
            return None
        node = next(source.nodes(), None)
        if node is None or node.entry.kind != FILE:
            return None
        scanned_ns = time.time_ns()
        found = unpack(node, self._selection.temporary, large=self._selection.large)
        if found is None:
            return None
        archive, digest = found
        stack.callback(archive.close)
        # The digest is of the archive and not of its members: that is what the key has, and it need
        # not be unpacked for it.
        source.tree.remember(node, digest, scanned_ns)
        self._digests[number].add(source.name, node.entry._replace(digest=digest), node.identity)
        return archive

    def _directories(
        self,
        target: Destination,
        roots: list[str],
        sources: list[SelectedSource],
        owner: Owner | None,
        unpacks_first: bool,
    ) -> Iterator[LayerItem]:
        """Yield the directories down to where things go; the destination itself has its source's time (C-15)."""
        octal = octal_mode(self._step.op.chmod) if self._step.op.chmod and not unpacks_first else None
        uid, gid = owner or (0, 0)
        # mkdir(2) knows no set-id and sticky bits the way Go calls it, so BuildKit's directories lack them (C-6).
        new = NewDirectory(
            mode=0o755 if octal is None else octal & 0o777, uid=uid, gid=gid, mtime=self._selection.made_at
        )
        times = [source.mtime for source in sources if source.is_directory]
        holds = any(root != target.path or source.is_directory for root, source in zip(roots, sources, strict=True))
        for entry in target.directories(target.path if holds else parent_of(target.path), new):
            yield (entry._replace(mtime=times[-1]) if times and entry.path == target.path else entry), None

    def _stream(self, number: int, source: SelectedSource, root: str, owner: Owner | None) -> Iterator[Item]:
        """Yield what a source puts at and below `root`, and digest it on the way."""
        digest = self._digests[number]
        change = parse_chmod(self._step.op.chmod) if self._step.op.chmod else None
        large: dict[Hashable, str] = {}
        for node in read_nodes(source, load=True):
            _, kind, mode, uid, gid, mtime, size, link, device, xattrs, known = node.entry
            path = join(root, source.relative(node.entry.path)) if source.is_directory else root
            if source.fixed is None:
                # The second name of a file will be a link in the layer, without a digest of its own.
                first = path if node.identity is None else large.setdefault(node.identity, path)
                digest.add(source.relative(node.entry.path), node.entry, node.identity, first)
            if owner is not None:
                uid, gid = owner
            if kind == SYMLINK:
                mode = _LINK_MODE
            elif change is not None:
                mode = change(mode, kind == DIRECTORY)
            entry = Entry(path, kind, mode, uid, gid, mtime, size, link, device, xattrs, known)
            yield Item(entry, node.content, number, node.identity, node)

    def _lose(self, item: Item) -> None:
        """Digest a large file that a later source has replaced: it is no part of the layer, but of the cache key."""
        if item.node is not None and item.entry.kind == FILE and not item.entry.digest:
            self._lost[item.source, item.entry.path] = hash_node(item.node)


def _linked(items: Iterator[Item], conflicts: KindConflicts | None, grown: dict[str, Node]) -> Iterator[LayerItem]:
    """Yield items for the layer: a further name of a file becomes a link to the first, which stands before it."""
    names: dict[tuple[int, Hashable], str] = {}
    for entry, content, source, identity, node in items:
        if conflicts is not None:
            # Members of archives have no node: they replace whatever is there (C-25).
            conflicts.check(entry, replaces=node is None)
        if identity is not None:
            # By source: names of one file in two sources are two files of the layer, as in docker (build
            # `copy-hard-links-two-sources`).
            first = names.setdefault((source, identity), entry.path)
            if first != entry.path:
                yield entry._replace(kind=HARDLINK, link=first, size=0, digest=""), None
                continue
        # The writer has read the content when it asks for the next item: so a change is looked for behind
        # this line, not before.
        yield entry, content
        if node is not None and entry.kind == FILE and not isinstance(content, bytes):
            _check_unchanged(node, entry.path, grown)


def _unpacked(number: int, members: Iterator[Member], owner: Owner | None) -> Iterator[Item]:
    for entry, content, identity, is_member in members:
        if owner is not None and is_member:
            entry = entry._replace(uid=owner[0], gid=owner[1])
        yield Item(entry, content, number, identity, None)


def _place_all(sources: list[SelectedSource], target: Destination) -> list[str]:
    """Return where each source goes; a directory that one makes is there for the next."""
    roots: list[str] = []
    made = ""  # what the destination itself has become
    for source in sources:
        root = place(target, source.name, is_directory=source.is_directory, made_directory=made == DIRECTORY)
        if root == target.path:
            kind = DIRECTORY if source.is_directory else FILE
            there = made or (target.existing.kind if target.existing is not None else "")
            if there:
                check_kinds(root, there, kind)
            made = kind
        else:
            made = DIRECTORY
        roots.append(root)
    return roots


def _check_unchanged(node: Node, path: str, grown: dict[str, Node]) -> None:
    """Raise ContextError when the file that was just written to `path` of the layer is not the listed one any more.

    A file that may have only become longer is put into `grown`.
    """
    if node.status is None or not isinstance(node.content, FileContent):
        return
    descriptor = open_node(node)
    try:
        if check_node(node, descriptor):
            grown[path] = node
    finally:
        os.close(descriptor)
