"""ADD of an archive: its members as items of the layer (C-25).

What an archive does to what is there is not what a copy does: anything replaces anything; a link among the parents of
a member leads on, with the destination for its root; directories that no member names are kept as they are, or made.
--chown holds for members and for the destination, not for directories that are made on the way; --chmod for nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import NamedTuple

from builder.context.archive import Archive, Temporary, is_archive, read_archive
from builder.context.paths import join
from builder.context.reading import check_node, open_node, unreadable
from builder.context.tree import Node, changed
from builder.errors import ContextError
from builder.filesystem.entry import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry, tree_key
from builder.filesystem.links import follow_links
from builder.layer.content import Content
from builder.layer.view import MergedView, ViewEntry

_IMPLIED = -1
"""The layer number of directories that the archive only mentions."""


class Member(NamedTuple):
    """What an archive puts at a path below the destination; `identity` is equal for names of one file.

    `is_member` is false for directories that the archive only mentions.
    """

    entry: Entry
    content: Content | None = None
    identity: tuple[int, int] | None = None
    is_member: bool = True


def unpack(node: Node, temporary: Temporary, *, large: bool) -> tuple[Archive, str] | None:
    """Return the archive a file is, and the sha256 of that file in hex; None when it is no archive.

    `large` is --allow-large-layers.

    Raises ContextError, also when the file changes meanwhile.
    """
    if node.entry.size == 0:
        return None
    # Opened twice: to see what it is takes the first bytes, and the digest is to be of all of them.
    with _opened(node) as stream:
        if not is_archive(stream):
            return None
    with _opened(node) as stream:
        archive = read_archive(stream, temporary, repr(node.entry.path), large=large)
        # Reading on past the archive's end: the digest is that of the file, whatever follows in it.
        while stream.read(1 << 20):
            pass
        if check_node(node, stream.descriptor):
            raise changed(node.entry.path)  # there is no telling where an archive ends that goes on
    return archive, stream.digest.hexdigest()


def archive_members(archive: Archive, below: MergedView, target: str, made_at: int) -> Iterator[Member]:
    """Yield what `archive` puts below the directory `target` of the view `below`, in tree order.

    Raises ContextError for links that go in circles.
    """
    members = _members(archive, below, target, made_at)
    if not _leads_elsewhere(archive, below, target):
        return members
    # Links lead out of the order of the tree: all members are held and sorted, which others are spared.
    placed = {member.entry.path: member for member in members}  # the last one counts
    return iter(sorted(placed.values(), key=lambda member: tree_key(member.entry.path)))


def _members(archive: Archive, below: MergedView, target: str, made_at: int) -> Iterator[Member]:
    # A link's bytes are where its target's are: names with one place are one file. Those with a place of their own get
    # no identity, so that `_linked` (layer.py) need not remember every file of an archive.
    linked = {(found.layer_number, found.offset) for found in archive.view.walk() if found.entry.kind == HARDLINK}
    # What is below a link goes where the link leads: each directory's place hangs on that of the one above.
    places: dict[str, str] = {"": target}  # of the directories above, and of those that links have moved
    for found in archive.view.walk():
        path = found.entry.path
        if not path:
            continue
        parent, _, name = path.rpartition("/")
        place = join(places[parent], name)
        if found.entry.kind == DIRECTORY:
            # A directory that the archive names takes the place of a link; one that it only mentions is entered by it.
            if found.layer_number == _IMPLIED:
                place, made = _through(below, target, place, made_at)
                yield from made
            else:
                yield Member(found.entry._replace(path=place))
            places[path] = place
        else:
            yield _member(archive, found, place, linked)


def _through(below: MergedView, target: str, place: str, made_at: int) -> tuple[str, list[Member]]:
    """Return where a directory that is only mentioned really is, with the directories on the way there."""
    there = below.find(place)
    if there is None:
        return place, [Member(Entry(place, DIRECTORY, 0o755, mtime=made_at), is_member=False)]
    if there.entry.kind == DIRECTORY:
        return place, [Member(there.entry, is_member=False)]
    if there.entry.kind != SYMLINK:
        raise ContextError(f"cannot unpack below /{place}: it is a {there.entry.kind}, not a directory")
    # Every directory on the way that the link means goes into the layer, so that it stands by itself.
    cut = len(target) + 1 if target else 0
    resolved = _resolve(below, target, place[cut:])
    made = []
    names = resolved.split("/") if resolved else []
    for depth in range(1, len(names) + 1):
        made += _through(below, target, join(target, "/".join(names[:depth])), made_at)[1]
    return join(target, resolved), made


def _resolve(below: MergedView, target: str, path: str) -> str:
    """Follow links with the destination as their root, as a process there would after chroot(2)."""

    def read_link(inside: str) -> str | None:
        found = below.find(join(target, inside))
        return found.entry.link if found is not None and found.entry.kind == SYMLINK else None

    try:
        return follow_links(path, read_link)
    except OSError as error:
        raise ContextError(f"{path!r} lies behind symbolic links that go in circles") from error


def _leads_elsewhere(archive: Archive, below: MergedView, target: str) -> bool:
    """Say whether a directory that is only mentioned is a link in the file system below: order is lost then."""
    # The destination is not there yet, so there are no links in it.
    if below.find(target) is None:
        return False
    for found in archive.view.walk():
        if found.layer_number == _IMPLIED and found.entry.path:
            there = below.find(join(target, found.entry.path))
            if there is not None and there.entry.kind == SYMLINK:
                return True
    return False


def _member(archive: Archive, found: ViewEntry, place: str, linked: set[tuple[int, int]]) -> Member:
    entry = found.entry._replace(path=place)
    if entry.kind not in (FILE, HARDLINK):
        # As in layer.py (_LINK_MODE).
        return Member(entry._replace(mode=0o777) if entry.kind == SYMLINK else entry)
    identity = (found.layer_number, found.offset)
    # The paths of links in an archive are its own; `_linked` makes them anew from what lands in the layer.
    entry = entry._replace(kind=FILE, link="")
    return Member(entry, archive.view.content(found), identity if identity in linked else None)


class _opened:
    """A file of a tree as a stream that digests what is read."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._data = node.content if isinstance(node.content, bytes) else b""
        self.descriptor = -1
        self.digest = hashlib.sha256()
        self._left = node.entry.size

    def __enter__(self) -> _opened:
        if not isinstance(self._node.content, bytes):
            self.descriptor = open_node(self._node)
        return self

    def __exit__(self, *_: object) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def read(self, size: int = -1, /) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        if self.descriptor < 0:
            data, self._data = self._data[:wanted], self._data[wanted:]
        else:
            try:
                data = os.read(self.descriptor, wanted)
            except OSError as error:
                raise unreadable(self._node.entry.path, error) from error
        self._left -= len(data)
        self.digest.update(data)
        return data
