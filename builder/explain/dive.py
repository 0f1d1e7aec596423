"""The two figures that dive gives an image, computed as dive does, beside our own definition of what is hidden.

    efficiency   Σ smallest size of each path / Σ all sizes of each path, over everything in any layer
    wasted       Σ all sizes of the paths that two layers or more have

A whiteout counts as a further version of its path: of no size for a file, and for a folder that has an entry of its own
with what the union below had in it. Folders themselves, links and opaque markers count as nothing. (Efficiency in
dive/filetree/efficiency.go of dive 0.13; where that gives up on a layer, as at a whiteout of nothing, we go on.)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from builder.explain.union import PathStory, Version
from builder.filesystem.entry import DIRECTORY, FILE


class DiveScore(NamedTuple):
    """What dive shows of an image."""

    efficiency: float
    """From 0 to 1."""
    wasted: int
    """Bytes."""
    user_bytes: int
    """Bytes of the files in all layers but the lowest, which dive compares `wasted` with."""

    @property
    def wasted_share(self) -> float:
        """`wasted` as a share of `user_bytes`, as dive prints it; 0 where there are none."""
        return self.wasted / self.user_bytes if self.user_bytes else 0.0


class _Folder:
    """A folder that layers delete: what the union below each of these has in it."""

    def __init__(self, path: str, layers: list[int]) -> None:
        self.prefix = f"{path}/"
        self.sizes = dict.fromkeys(layers, 0)

    def add(self, story: PathStory) -> None:
        for layer in self.sizes:
            self.sizes[layer] += _size_below(story, layer)


def dive_score(stories: Iterable[PathStory]) -> DiveScore:
    """Go through all stories of an image once."""
    smallest = every = wasted = user = 0

    def count(sizes: list[int]) -> None:
        nonlocal smallest, every, wasted
        if sizes:
            smallest += min(sizes)
            every += sum(sizes)
            wasted += sum(sizes) if len(sizes) > 1 else 0

    folders: list[_Folder] = []
    for story in stories:
        while folders and not story.path.startswith(folders[-1].prefix):
            count(list(folders.pop().sizes.values()))
        for folder in folders:
            folder.add(story)
        user += sum(v.entry.size for v in story.versions if v.layer and v.entry.kind == FILE and not v.is_marker)
        deleted = [v.layer for v in story.versions if v.change == "whiteout" and _is_folder_below(story, v.layer)]
        if deleted and len(deleted) == sum(v.change == "whiteout" for v in story.versions) and not _files(story):
            folders.append(_Folder(story.path, deleted))
        else:
            count([v.entry.size if v.entry.kind == FILE else 0 for v in story.versions if _counts(v)])
    while folders:
        count(list(folders.pop().sizes.values()))
    return DiveScore(smallest / every if every else 1.0, wasted, user)


def _counts(version: Version) -> bool:
    return version.change == "whiteout" or (version.change != "opaque" and version.entry.kind != DIRECTORY)


def _files(story: PathStory) -> bool:
    return any(not version.is_marker and version.entry.kind != DIRECTORY for version in story.versions)


def _below(story: PathStory, layer: int) -> Version | None:
    """Return what the union of the layers below `layer` has at a path."""
    found = [v for v in story.versions if not v.is_marker and v.layer < layer and not 0 <= v.hidden_by < layer]
    return found[-1] if found else None


def _is_folder_below(story: PathStory, layer: int) -> bool:
    below = _below(story, layer)
    return below is not None and below.entry.kind == DIRECTORY and below.change != "implied"


def _size_below(story: PathStory, layer: int) -> int:
    below = _below(story, layer)
    return below.entry.size if below is not None and below.entry.kind == FILE else 0
