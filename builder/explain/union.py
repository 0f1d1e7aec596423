"""What the layers of an image make of each path: which has it, what each did to it, and who hides what.

In: the tables of contents of the layers, base first. Out: one story a path, in tree order, as a stream. Layers are
never read, and nothing but markers and the way down to a path is held.

    layer   0: /etc/motd                 1: RUN chmod 600 /etc/motd      2: RUN rm /etc/motd
    version added, hidden by 1           modified, hidden by 2           whiteout
            (same content)               (deleted)

A change is the difference that a layer makes to the union below it, exactly: an entry that only repeats what was there
is none, and all that lies below a folder that is deleted is deleted. Whiteouts, opaque markers and files in place of
folders hide as image-spec v1.1 layer.md#whiteouts has it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Literal, NamedTuple

from builder.filesystem.entry import DIRECTORY, FILE, HARDLINK, Entry, tree_key
from builder.layer.index import IMPLIED, IndexEntry, LayerIndex
from builder.layer.whiteout import OPAQUE, PREFIX, is_leftover, is_whiteout

Change = Literal["added", "modified", "touched", "same", "whiteout", "opaque", "implied"]
"""What a version is to the union below it. `touched` differs in its time only; `same` in nothing; an `implied`
directory has no entry of its own; markers are no entries of the union."""
Hidden = Literal["", "deleted", "overwritten", "same content", "merged"]
"""How an upper layer hides a version. `merged`: a folder that goes on in the upper layer, with the attributes it has
there."""


class Version(NamedTuple):
    """What one layer has at a path. A marker's entry is what it hides, without attributes."""

    layer: int
    """From 0, base first."""
    entry: Entry
    change: Change
    hidden_by: int = -1
    """The layer that hides it first; -1: it is seen."""
    hidden: Hidden = ""
    offset: int = 0
    """Where its content begins in the uncompressed tar."""

    @property
    def is_marker(self) -> bool:
        return self.change in ("whiteout", "opaque")

    @property
    def is_lost(self) -> bool:
        """Whether its bytes are stored and can't be seen."""
        return self.hidden in ("deleted", "overwritten", "same content")


class PathStory(NamedTuple):
    """All versions of a path, base first. "" is the root."""

    path: str
    versions: tuple[Version, ...]

    @property
    def seen(self) -> Version | None:
        """The version that the image shows, if any."""
        last = self.versions[-1]
        if last.hidden_by < 0 and not last.is_marker:
            return last
        return next((each for each in self.versions if each.hidden_by < 0 and not each.is_marker), None)


_Covers = tuple[int, ...]
"""Layers that hide everything which lower ones have here, ascending."""
_Item = tuple[bytes, int, IndexEntry | None]
"""Tree key, twice the layer, entry. A whiteout has None, under the key of what it hides; entries have one more than
twice the layer, so that no two are alike and entries are never compared.
"""


def path_stories(indexes: Sequence[LayerIndex | None]) -> Iterator[PathStory]:
    """Yield the story of each path. A layer that is not here (None) takes no part.

    Raises LayerError for a damaged index.
    """
    opaque: dict[bytes, list[int]] = {}
    streams: list[Iterator[_Item]] = []
    for number, index in enumerate(indexes):
        if index is None:
            continue
        whiteouts: list[_Item] = []
        if index.has_markers:
            for path in index.markers():
                parent, slash, name = path.rpartition("/")
                if name == OPAQUE:
                    opaque.setdefault(tree_key(parent), []).append(number)
                else:
                    whiteouts.append((tree_key(f"{parent}{slash}{name[len(PREFIX) :]}"), 2 * number, None))
        whiteouts.sort(key=itemgetter(0))
        streams += [iter(whiteouts), _items(index, number)] if whiteouts else [_items(index, number)]
    yield from _stories(merge(*streams), opaque)


def _items(index: LayerIndex, number: int) -> Iterator[_Item]:
    rank = 2 * number + 1
    for item in index.walk_complete():
        path = item.entry.path
        if PREFIX in path and (is_whiteout(path) or is_leftover(path)):
            continue
        raw = path.encode() if path.isascii() else os.fsencode(path)
        yield raw.replace(b"/", b"\0"), rank, item


def _stories(items: Iterator[_Item], opaque: dict[bytes, list[int]]) -> Iterator[PathStory]:
    # The way down to the current path: what begins all keys below each folder, and which layers hide what is there.
    above: list[tuple[bytes, _Covers]] = [(b"", tuple(opaque.get(b"", ())))]
    for key, group in groupby(items, key=itemgetter(0)):
        while not key.startswith(above[-1][0]):
            above.pop()
        covers = above[-1][1] if key else ()
        found = [(rank >> 1, item) for _, rank, item in group]
        emptied = opaque.get(key) if key else None
        number, item = found[0]
        if len(found) == 1 and not covers and not emptied and item is not None:
            change: Change = "added" if item.offset != IMPLIED else "implied"
            yield PathStory(item.entry.path, (Version(number, item.entry, change, -1, "", item.offset),))
            if item.entry.kind != DIRECTORY:
                above.append((key + b"\0", (number,)))
            continue
        here = sorted({*covers, *(number for number, item in found if item is None)})
        path = os.fsdecode(key.replace(b"\0", b"/"))
        yield PathStory(path, tuple(_versions(path, found, here, emptied or ())))
        replaced = {number for number, item in found if item is not None and item.entry.kind != DIRECTORY}
        below = tuple(sorted({*here, *replaced, *(emptied or ())}))
        above.append((key + b"\0", below))


def _versions(
    path: str, found: list[tuple[int, IndexEntry | None]], covers: Sequence[int], emptied: Sequence[int]
) -> Iterator[Version]:
    """Yield the versions of one path; `covers` are the layers that hide what lower ones have at it, `emptied` those
    that hide what lower ones have in it.
    """
    entries = [(number, item) for number, item in found if item is not None]
    for at, (number, item) in enumerate(entries):
        entry = item.entry
        before = entries[at - 1] if at else None
        after = entries[at + 1] if at + 1 < len(entries) else None
        killer = next((cover for cover in covers if cover > number), None)
        yield from _markers(path, found, emptied, before[0] if before else -1, number)
        was = before[1].entry if before is not None and not _covered(covers, before[0], number) else None
        if item.offset == IMPLIED:
            change: Change = "implied"
        else:
            change = "added" if was is None else _difference(was, entry)
        if after is not None and (killer is None or after[0] <= killer):
            later = after[1].entry
            goes_on = entry.kind == later.kind == DIRECTORY and killer != after[0]
            hidden: Hidden = "merged" if goes_on else "same content" if _same_content(entry, later) else "overwritten"
            yield Version(number, entry, change, after[0], hidden, item.offset)
        elif killer is not None:
            yield Version(number, entry, change, killer, "deleted", item.offset)
        else:
            yield Version(number, entry, change, -1, "", item.offset)
    yield from _markers(path, found, emptied, entries[-1][0] if entries else -1, 1 << 30)


def _markers(
    path: str, found: list[tuple[int, IndexEntry | None]], emptied: Sequence[int], after: int, until: int
) -> Iterator[Version]:
    """Yield the markers of the layers after one version and until (with) the next, so that versions stay in order."""
    markers: list[tuple[int, Change]] = [(number, "whiteout") for number, item in found if item is None]
    markers += [(number, "opaque") for number in emptied]
    for number, change in sorted(markers):
        if after < number <= until:
            yield Version(number, Entry(path, DIRECTORY if change == "opaque" else FILE), change)


def _covered(covers: Sequence[int], below: int, above: int) -> bool:
    """Say whether what layer `below` has is hidden before layer `above` comes."""
    return any(below < cover < above for cover in covers)


def _difference(was: Entry, now: Entry) -> Change:
    if (was.kind, was.mode, was.uid, was.gid, was.link, was.xattrs, was.device) != (
        now.kind, now.mode, now.uid, now.gid, now.link, now.xattrs, now.device,
    ):  # fmt: skip
        return "modified"
    if now.kind == FILE and (was.size != now.size or was.digest != now.digest or not now.digest):
        return "modified"
    # The time of a folder is that of whatever was made in it last, and says nothing of the folder itself.
    return "same" if was.mtime == now.mtime or now.kind == DIRECTORY else "touched"


def _same_content(was: Entry, now: Entry) -> bool:
    if now.kind == HARDLINK:
        return False
    return was.kind == now.kind == FILE and was.size == now.size and bool(was.digest) and was.digest == now.digest
