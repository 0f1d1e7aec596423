"""What one layer does to the tree below it, path by path: from its index and the view of the layers below, no bytes.

A directory that a layer has only to reach what is in it is no change; neither is a time alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from builder.filesystem.entry import BLOCK, CHARACTER, DIRECTORY, FILE, HARDLINK, SYMLINK, Entry
from builder.filesystem.entry import Kind as EntryKind
from builder.layer.index import IMPLIED, LayerIndex
from builder.layer.view import MergedView
from builder.layer.whiteout import hidden_path, is_leftover, is_opaque, is_whiteout

Kind = Literal["added", "changed", "deleted"]


class LayerChange(NamedTuple):
    kind: Kind
    path: str
    """As in Entry; "" is the root."""
    size: int
    """Bytes of the file in this layer; of what is deleted, the bytes of all files that are hidden, which stay below."""
    what: EntryKind
    """What is there now, or was there."""
    words: tuple[str, ...] = ()
    """What of it changed, and where a link leads."""


def layer_changes(index: LayerIndex, below: MergedView) -> Iterator[LayerChange]:
    """Yield the changes of a layer, deletions where their markers stand, all else in tree order. Raises LayerError."""
    hidden: set[str] = set()
    for entry, offset in index.walk_complete():
        if is_leftover(entry.path):
            continue
        if not is_whiteout(entry.path):
            yield from _written(entry, below, is_implied=offset == IMPLIED)
            continue
        for change in _hidden(entry.path, index, below):
            # Of one file two markers may speak: its own, and that of its directory.
            if change.path not in hidden:
                hidden.add(change.path)
                yield change


def _hidden(marker: str, index: LayerIndex, below: MergedView) -> Iterator[LayerChange]:
    if is_opaque(marker):
        yield from _emptied(marker.rpartition("/")[0], index, below)
        return
    path = hidden_path(marker)
    if _is_directory(index, path):  # taken away, and made anew
        yield from _emptied(path, index, below)
    elif index.find(path) is None:
        yield from _deleted(path, below)


def _emptied(directory: str, index: LayerIndex, below: MergedView) -> Iterator[LayerChange]:
    """Yield what is hidden in a directory that starts empty in this layer."""
    for child in below.children(directory):
        path = child.entry.path
        if child.entry.kind == DIRECTORY and _is_directory(index, path):
            yield from _emptied(path, index, below)
        elif index.find(path) is None and not index.has_below(path):
            yield from _deleted(path, below)


def _is_directory(index: LayerIndex, path: str) -> bool:
    found = index.find(path)
    return found.entry.kind == DIRECTORY if found is not None else index.has_below(path)


def _deleted(path: str, below: MergedView) -> Iterator[LayerChange]:
    found = below.find(path)
    if found is None:
        return  # a marker that hides nothing
    entry = found.entry
    is_directory = entry.kind == DIRECTORY
    hidden = (one.entry.size for one in below.walk(path) if one.entry.kind == FILE) if is_directory else ()
    yield LayerChange("deleted", path, sum(hidden) if is_directory else entry.size, entry.kind)


def _written(entry: Entry, below: MergedView, *, is_implied: bool) -> Iterator[LayerChange]:
    found = below.find(entry.path)
    if is_implied and found is not None and found.entry.kind == DIRECTORY:
        return  # it keeps the attributes that it has below
    if found is None:
        yield LayerChange("added", entry.path, entry.size, entry.kind, tuple(_leads_to(entry)))
        return
    words = tuple(differences_between(found.entry, entry))
    if words or entry.kind != DIRECTORY:
        yield LayerChange("changed", entry.path, entry.size, entry.kind, words or ("written again",))


def _leads_to(entry: Entry) -> Iterator[str]:
    if entry.kind == SYMLINK:
        yield f"→ {entry.link}"
    elif entry.kind == HARDLINK:
        yield f"a name of /{entry.link}"


def differences_between(was: Entry, now: Entry) -> Iterator[str]:
    """Yield what is another between two entries of one path."""
    if _kind(was) != _kind(now):
        yield f"{_kind(was)} → {_kind(now)}"
        return
    # Of a hard link only the name is in its entry: the rest is that of the file it is a name of.
    if now.kind == HARDLINK:
        yield from _leads_to(now)
        return
    if now.kind == FILE and (was.size, was.digest) != (now.size, now.digest):
        yield "content"
    if now.kind == SYMLINK and was.link != now.link:
        yield from _leads_to(now)
    if now.kind in (CHARACTER, BLOCK) and was.device != now.device:
        yield "device"
    if was.mode != now.mode:
        yield f"mode {was.mode:04o} → {now.mode:04o}"
    if (was.uid, was.gid) != (now.uid, now.gid):
        yield f"owner {was.uid}:{was.gid} → {now.uid}:{now.gid}"
    if was.xattrs != now.xattrs:
        yield "extended attributes"


def _kind(entry: Entry) -> str:
    return FILE if entry.kind == HARDLINK else entry.kind
