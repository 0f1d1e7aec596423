"""The file system after one step of an image, as the rows of a tree that folds. In: stories. Out: rows; no terminal.

A      12kB  ▾ srv/             what the step did, bytes, folder open (▾) or folded (▸), name
M       3kB      words
D       5kB      old
x       1MB      sdk            gone after an earlier step, and still stored: a ghost
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from builder.cli.display.explained_files import HOW, change_of
from builder.cli.display.text import size_text
from builder.explain.union import PathStory, Version
from builder.filesystem.entry import DIRECTORY, FILE, Entry

ADDED, MODIFIED, REMOVED, AGAIN, UNMODIFIED, GHOST = "A", "M", "D", "=", " ", "x"
_ABSENT = ""
_OF_THE_STEP = frozenset((ADDED, MODIFIED, REMOVED, AGAIN))
_GONE = frozenset((REMOVED, GHOST))
_CHANGED, _HAUNTED = 1, 2
"""What a folder has below it: what the step did, ghosts."""
_TRACES = {ADDED: _CHANGED, MODIFIED: _CHANGED, REMOVED: _CHANGED, GHOST: _HAUNTED}

Folding = Literal["changes", "all", "none"]
"""Which folders are folded of those that nobody has folded or opened: the ones without changes, all, none."""


class Mark(NamedTuple):
    """What a path is after a step."""

    letter: str
    """One of the constants above; "" where it is not there, and was not before."""
    version: Version | None
    """What is seen of it, or was last where it is gone."""


_NOTHING = Mark(_ABSENT, None)


def mark_of(versions: Sequence[Version], layers: range) -> Mark:
    """Return what a path is after the step that made `layers` (positions in the stack of its versions)."""
    first = versions[0]
    if len(versions) == 1 and first.hidden_by < 0 and not first.is_marker:  # nearly all paths, so it has to be quick
        if first.layer >= layers.stop:
            return _NOTHING
        return Mark(ADDED if first.layer >= layers.start and first.change != "implied" else UNMODIFIED, first)
    present = [each for each in versions if each.layer < layers.stop and not each.is_marker]
    if not present:
        return _NOTHING
    seen = next((each for each in reversed(present) if not 0 <= each.hidden_by < layers.stop), None)
    change = change_of(versions, layers)
    if change is not None:
        return Mark(change.letter or UNMODIFIED, seen or present[-1])
    return Mark(UNMODIFIED, seen) if seen is not None else Mark(GHOST, present[-1])


def fate_of(versions: Sequence[Version], layers: range, names: Sequence[str]) -> str:
    """Return who hides what is stored at a path, in words; `names` are those of the layers of the stack."""
    letter, version = mark_of(versions, layers)
    if version is None:
        return ""
    words = []
    if letter in _GONE:
        what = "" if version.hidden == "deleted" else f"{HOW.get(version.hidden, '')} "
        words.append(f"{what or 'deleted '}by {names[version.hidden_by]}, still in {names[version.layer]}")
    elif version.is_lost:
        words.append(f"{HOW[version.hidden]} by {names[version.hidden_by]}")
    words += [
        f"hides {size_text(each.entry.size)} of {names[each.layer]}"
        for each in versions
        if each is not version and each.is_lost and each.hidden_by < layers.stop and each.entry.kind == FILE
    ]
    return "; ".join(words)


@dataclass(slots=True)
class View:
    """What somebody wants to see of a tree."""

    is_layer_only: bool = False
    """What the step itself did, and not all that is there after it."""
    hidden: set[str] = field(default_factory=set)
    """Letters that are not shown."""
    has_ghosts: bool = False
    pattern: str = ""
    folding: Folding = "changes"
    toggled: dict[str, bool] = field(default_factory=dict)
    """Folders that were folded (False) or opened (True) by hand, by path."""

    def shows(self, letter: str) -> bool:
        """Say whether paths with a letter are shown."""
        if letter == GHOST:
            return self.has_ghosts and not self.is_layer_only
        if self.is_layer_only and letter not in _OF_THE_STEP:
            return False
        return letter != _ABSENT and (UNMODIFIED if letter == AGAIN else letter) not in self.hidden


class Row(NamedTuple):
    """A line of the tree."""

    story: PathStory
    mark: Mark
    depth: int
    name: str
    """Its path below the folder that it is shown in."""
    is_folder: bool
    is_open: bool
    size: int
    """Bytes; of a folder those of the files in it that are shown, and that are there or went with it."""

    @property
    def entry(self) -> Entry:
        assert self.mark.version is not None
        return self.mark.version.entry


class PathTree:
    """The paths of a stack of layers; of these rows are made when they are looked at."""

    def __init__(self, stories: Iterable[PathStory]) -> None:
        self._stories = [story for story in stories if story.path]
        self._parents: list[int] = []
        self._depths: list[int] = []
        self._ends = [len(self._stories)] * len(self._stories)
        """Where the paths below each end: tree order has them in one piece."""
        way: list[int] = []
        for number, story in enumerate(self._stories):
            while way and not story.path.startswith(f"{self._stories[way[-1]].path}/"):
                self._ends[way.pop()] = number
            self._parents.append(way[-1] if way else -1)
            self._depths.append(len(way))
            way.append(number)
        self._marks: list[Mark] = []
        self._traces = bytearray()
        self._kept = bytearray()
        self._sizes: list[int] = []
        self._view = View()
        self._shown: list[int] = []

    def __len__(self) -> int:
        """Return how many rows there are now."""
        return len(self._shown)

    def choose(self, layers: range) -> None:
        """Turn to the file system after the step that made `layers`. `arrange` is to follow."""
        self._marks = [mark_of(story.versions, layers) for story in self._stories]
        self._traces = bytearray(len(self._marks))
        for number in range(len(self._marks) - 1, -1, -1):
            parent = self._parents[number]
            if parent >= 0:
                self._traces[parent] |= self._traces[number] | _TRACES.get(self._marks[number].letter, 0)

    def arrange(self, view: View) -> None:
        """Find out what `view` lets be seen. `fold` is enough where only folders were folded."""
        count = len(self._stories)
        letters = {letter for letter in (ADDED, MODIFIED, REMOVED, AGAIN, UNMODIFIED, GHOST) if view.shows(letter)}
        matches = _matcher(view.pattern)
        self._kept, self._sizes = bytearray(count), [0] * count
        for number in range(count - 1, -1, -1):
            letter, version = self._marks[number]
            parent = self._parents[number]
            if version is not None and letter in letters and (not view.pattern or matches(self._stories[number].path)):
                self._kept[number] = 1
                if version.entry.kind == FILE:
                    self._sizes[number] += version.entry.size
            if parent >= 0 and self._kept[number]:
                # A folder on the way is shown for what it leads to; what is gone counts for what is gone with it.
                self._kept[parent] = 1
                is_counted = letter not in _GONE or self._marks[parent].letter in _GONE
                self._sizes[parent] += self._sizes[number] if is_counted else 0
        self.fold(view)

    def fold(self, view: View) -> None:
        """Leave out what lies in folded folders."""
        self._view = view
        self._shown = []
        number, count = 0, len(self._stories)
        while number < count:
            if not self._kept[number]:
                number = self._ends[number]
                continue
            self._shown.append(number)
            number = number + 1 if self._is_open(number) else self._ends[number]

    def _is_open(self, number: int) -> bool:
        view = self._view
        by_hand = view.toggled.get(self._stories[number].path)
        if by_hand is not None:
            return by_hand
        if view.folding == "changes":
            if view.pattern or self._marks[number].letter in _GONE:  # all in it went with it: it says nothing more
                return bool(view.pattern)
            return bool(self._traces[number] & (_CHANGED | _HAUNTED * view.has_ghosts))
        return view.folding == "none"

    def row(self, at: int) -> Row:
        """Return one of the rows that are shown."""
        number = self._shown[at]
        story, parent, mark = self._stories[number], self._parents[number], self._marks[number]
        if mark.version is None:  # a folder that is not there itself, on the way to what is
            mark = Mark(mark.letter, Version(0, Entry(story.path, DIRECTORY), "implied"))
        assert mark.version is not None
        has_more = self._ends[number] > number + 1
        return Row(
            story,
            mark,
            self._depths[number],
            story.path[len(self._stories[parent].path) + 1 if parent >= 0 else 0 :],
            is_folder=has_more or mark.version.entry.kind == DIRECTORY,
            is_open=has_more and self._is_open(number),
            size=self._sizes[number],
        )

    def at(self, path: str) -> int:
        """Return the row of a path, or of the nearest folder above it that is shown; 0 where there is none."""
        found = {self._stories[number].path: at for at, number in enumerate(self._shown)}
        while path and path not in found:
            path = path.rpartition("/")[0]
        return found.get(path, 0)


def _matcher(pattern: str) -> Callable[[str], bool]:
    """Return what says whether a path fits: a part of it in any case, or a pattern as shells have them."""
    word = pattern.lower()
    if not any(special in word for special in "*?["):
        return lambda path: word in f"/{path}".lower()
    fits = re.compile(fnmatch.translate(word)).match
    return lambda path: bool(fits(path.lower()) or fits(f"/{path}".lower()) or fits(path.rpartition("/")[2].lower()))
