"""A stack of layers as one tree, without unpacking any: what overlayfs shows when each is unpacked on its own.

    MergedView([base, …, top]).find("etc/passwd")  ──▶ ViewEntry(entry, layer number, offset)

For each path, from the top layer down: the first that has it decides; directories of several layers are one
directory, until something ends it: a whiteout, an opaque marker, or anything that is no directory. Attributes of a
directory are those of the topmost layer that has an *entry* for it; a layer that only has something below it does
not count. Symbolic links of lower layers never redirect the entries of upper ones (paths.py says why).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from builder.errors import LayerError
from builder.filesystem.entry import Entry
from builder.filesystem.links import follow_links
from builder.layer.content import Content, SlicedContent, read_slice
from builder.layer.index import IMPLIED, IndexEntry, LayerIndex, implied
from builder.layer.whiteout import PREFIX, is_whiteout

_REMEMBERED_DIRECTORIES = 256
_HARD_LINK_HOPS = 16
"""Links to links that are followed. Each leads further back in its tar, so they end; of millions not soon."""


@dataclass(frozen=True, slots=True)
class ViewLayer:
    """One layer of a view."""

    index: LayerIndex
    tar_path: Callable[[], str]
    """Gives the path of the *uncompressed* tar; called when bytes are wanted, and may take its time."""


class ViewEntry(NamedTuple):
    """What a view has at a path, and where its bytes are.

    A hard link has the attributes, size and digest of the file it is a name of, and keeps its kind and `link`.
    """

    entry: Entry
    layer_number: int
    """From 0, base first; -1 for a directory that no layer has an entry for."""
    offset: int


class _MergedDirectory(NamedTuple):
    """A directory of the view: which layers make it up (top first), and which entry has its attributes."""

    layers: tuple[int, ...]
    shown: ViewEntry


_NOT_ASKED = _MergedDirectory((), ViewEntry(Entry("", "directory"), -1, 0))
"""Stands for "not asked yet" in what is remembered, where None means "no directory"."""


class MergedView:
    """The tree that `layers` (base first) make. Paths are POSIX, relative; "" is the root, which always exists.

    The indexes stay the caller's, who closes them. Safe to use from several threads.
    """

    def __init__(self, layers: Sequence[ViewLayer]) -> None:
        self._layers = tuple(layers)
        self._indexes = tuple(layer.index for layer in layers)
        self._remembered: dict[str, _MergedDirectory | None] = {}

    @property
    def is_empty(self) -> bool:
        """Whether there is no layer at all, as in scratch."""
        return not self._layers

    def find(self, path: str) -> ViewEntry | None:
        """Return what is at `path`, or None. No symbolic link is followed anywhere."""
        if not path:
            return self._root().shown
        parent, _, _ = path.rpartition("/")
        directory = self._directory(parent)
        if directory is None or is_whiteout(path):
            return None  # an index has markers as entries, a tree does not
        found = self._child(directory.layers, path)
        return found.shown if isinstance(found, _MergedDirectory) else found

    def resolve(self, path: str, *, follow_last: bool = True) -> str:
        """Return the path that `path` means with symbolic links followed inside the root; missing tails are kept.

        Raises LayerError when links go in circles.
        """
        try:
            return follow_links(path, self._read_link, follow_last=follow_last)
        except OSError as error:
            raise LayerError(f"{path!r} lies behind symbolic links that go in circles") from error

    def lookup(self, path: str) -> ViewEntry | None:
        """Return what is at `path` with all symbolic links followed, or None."""
        return self.find(self.resolve(path))

    def children(self, path: str) -> Iterator[ViewEntry]:
        """Yield what is directly in the directory `path`, sorted; nothing when it is none."""
        directory = self._directory(path)
        if directory is not None:
            for found in self._listing(directory.layers, path):
                yield found.shown if isinstance(found, _MergedDirectory) else found

    def walk(self, prefix: str = "") -> Iterator[ViewEntry]:
        """Yield what is at `prefix` and everything below it, in tree order."""
        shown = self.find(prefix)
        if shown is None:
            return
        yield shown
        if shown.entry.kind != "directory":
            return
        directory = self._directory(prefix)
        # A stack and not recursion: trees may be deeper than Python's recursion limit.
        stack = [self._walk_directory(directory.layers, prefix)] if directory is not None else []
        while stack:
            found = next(stack[-1], None)
            if found is None:
                stack.pop()
            elif isinstance(found, _MergedDirectory):
                yield found.shown
                stack.append(self._walk_directory(found.layers, found.shown.entry.path))
            else:
                yield found

    def content(self, view_entry: ViewEntry) -> Content:
        """Return where the bytes of a file (or of a hard link to one) are."""
        entry = view_entry.entry
        if entry.size == 0:
            return b""
        tar = self._layers[view_entry.layer_number].tar_path()
        return SlicedContent(tar, view_entry.offset, entry.size, entry.digest)

    def read(self, path: str, limit: int) -> bytes | None:
        """Return the content of the regular file at `path`, links followed; None when there is none.

        Raises LayerError when it is longer than `limit` bytes or cannot be read.
        """
        found = self.lookup(path)
        if found is None or found.entry.kind not in ("file", "hardlink"):
            return None
        if found.entry.size > limit:
            raise LayerError(f"/{path} of the image has {found.entry.size} bytes; at most {limit} are read")
        content = self.content(found)
        if isinstance(content, bytes):
            return content
        if not isinstance(content, SlicedContent):
            raise AssertionError(content)
        try:
            data = read_slice(content)
        except OSError as error:
            raise LayerError(f"/{path} of the image cannot be read: {error.strerror}") from error
        if len(data) != content.size:
            raise LayerError(f"/{path} of the image cannot be read: the layer is shorter than its index says")
        return data

    def _read_link(self, path: str) -> str | None:
        found = self.find(path)
        return found.entry.link if found is not None and found.entry.kind == "symlink" else None

    def _root(self) -> _MergedDirectory:
        known = self._remembered.get("")
        if known is not None:
            return known
        # A layer can empty the root, by an opaque marker at its top, but neither remove nor replace it. So of the ends
        # that _decide knows one is left.
        layers: list[int] = []
        shown = None
        for number in range(len(self._indexes) - 1, -1, -1):
            own = self._indexes[number].find("")  # most tars have no entry for the root
            if own is not None and shown is None:
                shown = ViewEntry(own.entry, number, 0)
            layers.append(number)
            if self._indexes[number].is_opaque(""):
                break
        directory = _MergedDirectory(tuple(layers), shown or ViewEntry(Entry("", "directory", 0o755), -1, 0))
        self._remembered[""] = directory
        return directory

    def _directory(self, path: str) -> _MergedDirectory | None:
        """The directory at `path`, which must be one, and not through links."""
        if not path:
            return self._root()
        wanted: list[str] = []
        directory: _MergedDirectory | None = _NOT_ASKED
        above = path
        while above and (directory := self._remembered.get(above, _NOT_ASKED)) is _NOT_ASKED:
            wanted.append(above)
            above = above.rpartition("/")[0]
        if not above:
            directory = self._root()
        while wanted and directory is not None:
            below = wanted.pop()
            found = self._child(directory.layers, below)
            directory = found if isinstance(found, _MergedDirectory) else None
            self._remember(below, directory)
        return directory

    def _remember(self, path: str, directory: _MergedDirectory | None) -> None:
        # All at once: walks and copies leave a region for good, and to keep an order of use would take a lock.
        if len(self._remembered) >= _REMEMBERED_DIRECTORIES:
            self._remembered = {}
        self._remembered[path] = directory

    def _child(self, layers: tuple[int, ...], path: str) -> _MergedDirectory | ViewEntry | None:
        """What is at `path`, given the layers that make up the directory it is in."""

        def find(number: int) -> IndexEntry | None:
            index = self._indexes[number]
            own = index.find(path)
            # Of a layer that names all its directories, as ours do, the first look tells; others need a second.
            if own is None and not index.is_self_contained and index.has_below(path):
                return implied(path)
            return own

        return self._decide(layers, path, find)

    def _decide(
        self, layers: tuple[int, ...], path: str, find: Callable[[int], IndexEntry | None]
    ) -> _MergedDirectory | ViewEntry | None:
        """What is at `path`, given what each of `layers` (top first) has there by itself.

        In the order in which they are asked:

            the layer has          no directory above it             below a directory of upper layers
            ---------------------  --------------------------------  -----------------------------------------
            nothing                the next layer is asked           the next layer is asked
            a whiteout             nothing is there                  the directory ends above this layer
            no directory           that is there                     the directory ends above this layer
            a directory            it begins, with these attributes  it goes on; attributes, if still wanted
            an implied directory   it begins, attributes wanted      it goes on
            one, with whiteout     it begins and ends                it goes on and ends
            one, opaque            it begins; no content from below  no content from below

        A directory whose attributes nobody has is 0755 root:root. A whiteout beside an entry of the same name hides
        lower layers and not the entry (image-spec v1.1 layer.md#whiteouts), wherever it stands in the tar.
        """
        merged: list[int] = []
        shown: ViewEntry | None = None
        complete = False
        for number in layers:
            index = self._indexes[number]
            own = find(number)
            if own is not None and own.entry.kind != "directory":
                if not merged:
                    return self._shown(own, number)
                break  # a directory of upper layers replaced it
            if own is not None:
                if not complete:
                    merged.append(number)
                # Having something below a directory says nothing about the directory itself: containerd, too, makes
                # such a one as the layers below have it (mkparent in archive/tar.go).
                if own.offset != IMPLIED and shown is None:
                    shown = ViewEntry(own.entry, number, 0)
                # Opaque hides what lower layers have in it. That one without an entry still takes its attributes from
                # them is what unpacking does, too: the marker removes the contents, and the directory stays.
                complete = complete or index.is_opaque(path)
            if index.has_whiteout(path) or (complete and shown is not None):
                break
        if not merged:
            return None
        return _MergedDirectory(tuple(merged), shown or ViewEntry(Entry(path, "directory", 0o755), -1, 0))

    def _listing(self, layers: tuple[int, ...], path: str) -> Iterator[_MergedDirectory | ViewEntry]:
        """What a directory holds, given the layers that make it up."""
        listings = [self._numbered(number, path) for number in layers]
        # Entries are never compared: no two items have both path and number in common.
        for _, items in groupby(merge(*listings), key=itemgetter(0)):
            found = [(number, own) for _, number, own in items]
            child = found[0][1].entry.path
            if PREFIX in child and is_whiteout(child):
                continue
            decided = self._decide(layers, child, dict(found).get)
            if decided is not None:
                yield decided

    def _numbered(self, number: int, path: str) -> Iterator[tuple[bytes, int, IndexEntry]]:
        for own in self._indexes[number].children(path):
            yield os.fsencode(own.entry.path), number, own

    def _walk_directory(self, layers: tuple[int, ...], path: str) -> Iterator[_MergedDirectory | ViewEntry]:
        """What a directory holds; where only one layer is left, all that is below it, as a stream."""
        if len(layers) != 1:
            yield from self._listing(layers, path)
            return
        # Nothing is left to decide below a directory of one layer: its index is read in one go, and not once for each
        # directory. Whiteouts in it have nothing to hide.
        number = layers[0]
        for own in self._indexes[number].walk_complete(path):
            entry = own.entry
            if entry.path == path or (PREFIX in entry.path and is_whiteout(entry.path)):
                continue
            if entry.kind == "hardlink":
                yield self._shown(own, number)
            else:
                yield ViewEntry(entry, number if own.offset != IMPLIED else -1, own.offset)

    def _shown(self, own: IndexEntry, number: int) -> ViewEntry:
        """The entry as a file system would show it: a hard link has everything but its name from its target."""
        if own.entry.kind != "hardlink":
            return ViewEntry(own.entry, number, own.offset)
        target, target_number = self._link_target(own, number)
        if target.entry.kind in ("file", "hardlink"):
            entry = target.entry._replace(path=own.entry.path, kind="hardlink", link=own.entry.link)
        else:
            entry = target.entry._replace(path=own.entry.path)
        return ViewEntry(entry, target_number, target.offset)

    def _link_target(self, own: IndexEntry, number: int) -> tuple[IndexEntry, int]:
        link = own
        for _ in range(_HARD_LINK_HOPS):
            target = self._indexes[number].find(link.entry.link)
            if target is None or target.offset >= link.offset:
                # Not among the entries before it, so a file of a lower layer: unwise, but docker reads it.
                below = MergedView(self._layers[:number]).find(link.entry.link)
                if below is None or below.entry.kind == "directory":
                    break
                return IndexEntry(below.entry, below.offset), below.layer_number
            if target.entry.kind == "directory":
                break
            if target.entry.kind != "hardlink":
                return target, number
            link = target
        raise LayerError(
            f"{own.entry.path!r} is a hard link to {own.entry.link!r}, which is no file in its layer or below"
        )
