"""Sums over the stories of all paths: what each layer did, what is stored, and which bytes of it nobody sees.

A byte of a regular file is *hidden* when a layer above deletes or overwrites the file, or has the same content once
more (a chmod or chown copies it whole). A file with several names is hidden when its last name is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from builder.explain.union import Hidden, PathStory, Version
from builder.filesystem.entry import DIRECTORY, FILE, HARDLINK


@dataclass(slots=True)
class LayerTotals:
    """Counts of paths, folders left out, and bytes of regular files."""

    added: int = 0
    modified: int = 0
    deleted: int = 0
    stored: int = 0
    hidden: int = 0
    """Of `stored`, what layers above hide."""
    hides: int = 0
    """What it hides of the layers below."""


class HiddenFile(NamedTuple):
    """A file whose bytes are stored and that nobody sees."""

    path: str
    layer: int
    """From 0, base first."""
    size: int
    hidden_by: int
    how: Hidden


@dataclass(slots=True)
class Totals:
    """The sums of one stack of layers."""

    layers: list[LayerTotals]
    hidden: list[HiddenFile] = field(default_factory=list)
    """Largest first."""

    @property
    def stored(self) -> int:
        return sum(layer.stored for layer in self.layers)

    @property
    def wasted(self) -> int:
        return sum(layer.hidden for layer in self.layers)


def sum_up(stories: Iterable[PathStory], layers: int) -> Totals:
    """Go through all stories of a stack of `layers` layers once."""
    totals = Totals([LayerTotals() for _ in range(layers)])
    # Of a file that is hidden another name of the same layer may be seen; which ones there are is known at the end.
    lost: list[HiddenFile] = []
    names: dict[tuple[int, str], int] = {}
    for story in stories:
        for version in story.versions:
            _count(version, totals.layers)
            kind = version.entry.kind
            if kind == FILE and version.is_lost and not version.is_marker:
                size = version.entry.size
                lost.append(HiddenFile(story.path, version.layer, size, version.hidden_by, version.hidden))
            elif kind == HARDLINK and not version.is_marker:
                key = (version.layer, version.entry.link)
                names[key] = max(names.get(key, 0), layers if version.hidden_by < 0 else version.hidden_by)
    for file in lost:
        last = names.get((file.layer, file.path), 0)
        if last < layers:
            gone = file._replace(hidden_by=max(file.hidden_by, last))
            totals.hidden.append(gone)
            totals.layers[gone.layer].hidden += gone.size
            totals.layers[gone.hidden_by].hides += gone.size
    totals.hidden.sort(key=lambda file: (-file.size, file.path, file.layer))
    return totals


def _count(version: Version, layers: list[LayerTotals]) -> None:
    entry = version.entry
    if version.is_marker or entry.kind == DIRECTORY:
        return
    own = layers[version.layer]
    if version.change == "added":
        own.added += 1
    elif version.change == "modified":
        own.modified += 1
    if entry.kind == FILE:
        own.stored += entry.size
    if version.hidden == "deleted":
        layers[version.hidden_by].deleted += 1


def leftovers(totals: Totals) -> Iterator[HiddenFile]:
    """Yield the files that are deleted and can still be read by whoever has the image, largest first."""
    return (file for file in totals.hidden if file.how == "deleted")
