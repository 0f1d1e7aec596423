"""Two images path by path: what one shows that the other doesn't, or shows otherwise. In: stories. Out: differences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from builder.explain.union import PathStory, Version
from builder.filesystem.entry import DIRECTORY, FILE, Entry, tree_key


class PathDifference(NamedTuple):
    """What a path is in two images; None where it is not seen."""

    path: str
    was: Entry | None
    now: Entry | None

    @property
    def kind(self) -> Literal["added", "removed", "changed"]:
        return "added" if self.was is None else "removed" if self.now is None else "changed"

    @property
    def growth(self) -> int:
        """Bytes of regular files that the second has more than the first."""
        return _size(self.now) - _size(self.was)


def differing_paths(first: Iterable[PathStory], second: Iterable[PathStory]) -> Iterator[PathDifference]:
    """Yield the paths at which two images differ, times left out, in tree order. Neither is held."""
    left, right = _seen(first), _seen(second)
    one, other = next(left, None), next(right, None)
    while one is not None or other is not None:
        key = None if one is None else tree_key(one.entry.path)
        other_key = None if other is None else tree_key(other.entry.path)
        if one is not None and (other_key is None or (key is not None and key < other_key)):
            yield PathDifference(one.entry.path, one.entry, None)
            one = next(left, None)
        elif other is not None and (key is None or (other_key is not None and other_key < key)):
            yield PathDifference(other.entry.path, None, other.entry)
            other = next(right, None)
        else:
            assert one is not None
            assert other is not None
            if _differ(one.entry, other.entry):
                yield PathDifference(one.entry.path, one.entry, other.entry)
            one, other = next(left, None), next(right, None)


def _seen(stories: Iterable[PathStory]) -> Iterator[Version]:
    return (seen for story in stories if (seen := story.seen) is not None)


def _differ(was: Entry, now: Entry) -> bool:
    if was._replace(mtime=0, size=0, digest="") != now._replace(mtime=0, size=0, digest=""):
        return True
    return was.kind != DIRECTORY and (was.size, was.digest) != (now.size, now.digest)


def _size(entry: Entry | None) -> int:
    return entry.size if entry is not None and entry.kind == FILE else 0
