"""How the files of an explained image look: a step's as a tree, one path through all layers, what is hidden."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from builder.cli.display.diagnostics import paint
from builder.cli.display.explained import BOLD, DIM, GREEN, RED, YELLOW, text_of
from builder.cli.display.text import clean, clipped, size_text, table_lines
from builder.errors import counted
from builder.explain.dive import DiveScore
from builder.explain.model import Explanation
from builder.explain.totals import HiddenFile, Totals
from builder.explain.union import PathStory, Version
from builder.filesystem.entry import DIRECTORY, FILE, SYMLINK, Entry
from builder.layer.changes import differences_between

_MOST_LINES = 200
"""Of a tree without --depth; what lies deeper is then counted."""
_WORDS = {
    "added": "added", "modified": "modified", "touched": "written again, only its time differs",
    "same": "written again as it was", "whiteout": "deleted (whiteout)", "opaque": "emptied (opaque)",
    "implied": "implied by what lies in it",
}  # fmt: skip
HOW = {
    "deleted": "deleted", "overwritten": "overwritten", "same content": "copied again with the same content",
    "merged": "goes on",
}  # fmt: skip
_LETTERS = {"A": GREEN, "M": YELLOW, "D": RED}


class FileLine(NamedTuple):
    """What a step did at a path."""

    letter: str
    """A, M, D; = for a file that is stored once more and unchanged, "" for a folder on the way."""
    path: str
    entry: Entry
    words: tuple[str, ...] = ()
    """What of it was modified: content, mode 0644 → 0755…"""


def changed_by(stories: Iterable[PathStory], layers: range) -> Iterator[FileLine]:
    """Yield what some layers (positions in their stack) did at each path, folders that they only repeat left out."""
    for story in stories:
        line = change_of(story.versions, layers)
        if line is not None:
            yield line


def change_of(versions: Sequence[Version], layers: range) -> FileLine | None:
    """Return what some layers did at one path; None for nothing."""
    own = [version for version in versions if version.layer in layers and not version.is_marker]
    last = own[-1] if own else None
    if last is not None and (last.hidden_by < 0 or last.hidden_by not in layers):
        if last.entry.kind == DIRECTORY and last.change in ("same", "touched", "implied"):
            return FileLine("", last.entry.path, last.entry)
        was_there = own[0].change != "added" or any(
            version.layer < layers.start and version.hidden_by in layers for version in versions
        )
        letter = "A" if not was_there else "=" if last.change in ("same", "touched") else "M"
        before = next((v for v in reversed(versions) if v.layer < layers.start and not v.is_marker), None)
        words = () if letter != "M" or before is None else tuple(differences_between(before.entry, last.entry))
        return FileLine(letter, last.entry.path, last.entry, words)
    gone = next(
        (v for v in versions if v.layer < layers.start and v.hidden == "deleted" and v.hidden_by in layers), None
    )
    return None if gone is None else FileLine("D", gone.entry.path, gone.entry)


def tree_of_step(lines: Iterable[FileLine], *, depth: int = 0, colour: bool = False) -> Iterator[str]:
    """Yield the paths indented by folder. `depth` 0: all, or where these are too many, as deep as fits."""
    found = list(lines)
    if not depth and len(found) > _MOST_LINES:
        depth = next(
            (deep for deep in range(8, 1, -1) if sum(line.path.count("/") < deep for line in found) <= _MOST_LINES), 1
        )
    shown: set[str] = {""}
    folded: dict[str, list[int]] = {}
    rows: list[tuple[str, FileLine | None]] = []
    for line in found:
        parts = line.path.split("/") if line.path else []
        if depth and len(parts) > depth:
            top = "/".join(parts[:depth])
            count = folded.setdefault(top, [0, 0])
            if line.entry.kind != DIRECTORY:
                count[0] += 1
                count[1] += line.entry.size if line.entry.kind == FILE and line.letter != "D" else 0
            if top not in shown:
                rows += _way(shown, parts[:depth])
                rows.append((top, None))
                shown.add(top)
            continue
        rows += _way(shown, parts[:-1])
        rows.append((line.path, line))
        shown.add(line.path)
    for path, row in rows:
        yield _tree_line(path, row, folded.get(path), colour)
    if folded:
        yield paint(f"folders deeper than {depth} are counted; --depth N shows more", DIM, colour)


def _way(shown: set[str], parts: Sequence[str]) -> Iterator[tuple[str, FileLine | None]]:
    """Yield the folders on the way to a path that have no line yet."""
    for end in range(1, len(parts) + 1):
        path = "/".join(parts[:end])
        if path not in shown:
            shown.add(path)
            yield path, None


def _tree_line(path: str, row: FileLine | None, folded: list[int] | None, colour: bool) -> str:
    letter = row.letter if row is not None else ""
    name = path.rpartition("/")[2] or "/"
    is_folder = row is None or row.entry.kind == DIRECTORY
    text = f"{letter or ' ':<2} {'  ' * path.count('/')}{clean(name)}{'/' if is_folder and path else ''}"
    if row is not None and row.entry.kind == SYMLINK:
        text += f" → {clean(row.entry.link)}"
    elif row is not None and row.entry.kind == FILE and letter != "D":
        text += f"  {size_text(row.entry.size)}"
    if row is not None and row.words and row.words != ("content",):
        text += f"  {clean(', '.join(row.words))}"
    if folded is not None and folded[0]:
        text += f"  … {counted(folded[0], 'file')}, {size_text(folded[1])}"
    return paint(text, _LETTERS.get(letter, DIM if letter in ("", "=") else ""), colour)


def counts_of(lines: Sequence[FileLine]) -> str:
    """Return how many files a step added, modified and deleted, in words."""
    files = [line for line in lines if line.entry.kind != DIRECTORY]
    parts = []
    for letter, word in (("A", "added"), ("M", "modified"), ("D", "deleted"), ("=", "stored again unchanged")):
        count = sum(line.letter == letter for line in files)
        if count:
            parts.append(f"{count} {word}")
    return ", ".join(parts) or "no files"


def story_lines(explained: Explanation, story: PathStory, *, width: int = 0, colour: bool = False) -> Iterator[str]:
    """Yield every layer that touched a path, the top one first, and which of them is seen."""
    rows, colours = [], []
    for version in reversed(story.versions):
        layer = explained.layers[version.layer]
        step = explained.steps[layer.step]
        seen = not version.is_marker and version.hidden_by < 0
        rows.append(
            [
                "●" if seen else "✕" if version.is_marker else "○",
                f"L{version.layer + 1}",
                _WORDS[version.change],
                _facts(version),
                _fate(version),
                clipped(text_of(step), 48, 0),
            ]
        )
        colours.append(GREEN if seen else RED if version.is_marker else DIM)
    lines = list(table_lines(["", "LAYER", "WHAT", "MODE OWNER SIZE", "", "BY"], rows))
    yield paint(lines[0], BOLD, colour)
    for line, code in zip(lines[1:], colours):
        yield paint(line[:width] if width else line, code, colour)
    seen_one = story.seen
    if seen_one is None:
        yield f"/{clean(story.path)} is not seen in the image, and can be read by whoever has its layers"
    else:
        yield f"/{clean(story.path)} is seen as L{seen_one.layer + 1} has it"


def _facts(version: Version) -> str:
    entry = version.entry
    if version.is_marker or version.change == "implied":
        return ""
    size = f" {size_text(entry.size)}" if entry.kind == FILE else ""
    link = f" → {clean(entry.link)}" if entry.link else ""
    return f"{entry.mode:04o} {entry.uid}:{entry.gid}{size}{link}"


def _fate(version: Version) -> str:
    if version.is_marker:
        return "hides what lies below"
    if version.hidden_by < 0:
        return "seen"
    return (
        f"{HOW[version.hidden]} by L{version.hidden_by + 1}"
        if version.hidden != "merged"
        else (f"goes on in L{version.hidden_by + 1}")
    )


def waste_lines(
    explained: Explanation, totals: Totals, dive: DiveScore, *, most: int, width: int = 0, colour: bool = False
) -> Iterator[str]:
    """Yield the hidden files, the largest first, by whom they are hidden, and the sums by kind."""
    if not totals.hidden:
        yield f"no bytes of {'the other layers' if explained.unknown else 'this image'} are hidden"
        return
    rows = [_waste_row(file) for file in totals.hidden[:most]]
    for number, line in enumerate(table_lines(["SIZE", "PATH", "IN", "HIDDEN BY", "HOW"], rows, right=frozenset({0}))):
        yield paint(line[:width] if width else line, BOLD if not number else "", colour)
    if len(totals.hidden) > most:
        rest = totals.hidden[most:]
        yield paint(
            f"… and {counted(len(rest), 'more file')}, {size_text(sum(file.size for file in rest))}", DIM, colour
        )
    yield ""
    for how, words in (
        ("deleted", "deleted by a later step, and still readable in the layer"),
        ("overwritten", "overwritten by another file"),
        ("same content", "stored again with the same content (mode, owner or time changed)"),
    ):
        files = [file for file in totals.hidden if file.how == how]
        if files:
            yield f"{size_text(sum(file.size for file in files)):>8}  {counted(len(files), 'file')} {words}"
    yield f"{size_text(totals.wasted):>8}  hidden of {size_text(totals.stored)} stored"
    other = f"efficiency {100 * dive.efficiency:.2f} %, {size_text(dive.wasted)} wasted"
    yield paint(f"by dive's reckoning: {other} (docs/explain.md)", DIM, colour)
    yield from _advice(explained, totals.hidden)


def _waste_row(file: HiddenFile) -> list[str]:
    return [
        size_text(file.size), f"/{file.path}", f"L{file.layer + 1}", f"L{file.hidden_by + 1}", HOW[file.how]
    ]  # fmt: skip


def _advice(explained: Explanation, hidden: Sequence[HiddenFile]) -> Iterator[str]:
    """Yield what to do about the pair of layers that costs most."""
    pairs: dict[tuple[int, int, str], int] = {}
    for file in hidden:
        key = (file.layer, file.hidden_by, file.how)
        pairs[key] = pairs.get(key, 0) + file.size
    (writer, hider, how), size = max(pairs.items(), key=lambda item: (item[1], item[0]))
    if not size:
        return
    first, second = (explained.steps[explained.layers[at].step] for at in (writer, hider))
    if how == "same content":
        what = f"L{hider + 1} stores them again: set mode and owner where they are written (COPY --chmod, --chown)"
    elif first.cache == "base" or first.instruction == "FROM":
        what = f"they are part of the base image: L{hider + 1} can't give them back, another base could"
    elif first.instruction == second.instruction == "RUN":
        what = f"write and remove them in one RUN: L{hider + 1} can't give back what L{writer + 1} holds"
    else:
        what = f"keep them out of L{writer + 1}, or copy only what is needed from a stage of its own (COPY --from)"
    yield f"hint: {size_text(size)} go from L{writer + 1} to L{hider + 1}; {what}"
