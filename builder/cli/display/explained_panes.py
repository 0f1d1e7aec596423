"""What the panes of `pybuild explain -i` say, as parts of lines with their styles; no terminal."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size

from builder.cli.display.explained import cache_word, layer_names, text_of
from builder.cli.display.explained_tree import ADDED, AGAIN, GHOST, MODIFIED, REMOVED, Row, View
from builder.cli.display.text import clean, known_size, size_text
from builder.errors import counted
from builder.explain.dive import DiveScore
from builder.explain.model import ExplainedStep, Explanation
from builder.filesystem.entry import FILE, Entry
from builder.oci.digest import short_digest

Part = tuple[str, str]
Line = list[Part]

_COLUMNS = ("STEP", "LAYER", "SIZE", "A", "M", "D", "HIDDEN", "CACHE")
_RIGHT = frozenset((2, 3, 4, 5, 6))
_STYLES = ("", "bold", "", "green", "yellow", "red", "red", "")
_LEAST_TEXT = 12
_DROPPED = (7, 6, 5, 4, 3)
"""Columns that give way to the instruction where there is little room, the first one first."""
_LETTERS = {ADDED: "green", MODIFIED: "yellow", REMOVED: "red", AGAIN: "cyan", GHOST: "dim strike"}
_KINDS = {
    "file": stat.S_IFREG, "directory": stat.S_IFDIR, "symlink": stat.S_IFLNK, "hardlink": stat.S_IFREG,
    "character": stat.S_IFCHR, "block": stat.S_IFBLK, "fifo": stat.S_IFIFO,
}  # fmt: skip

HELP = """\
Keys, those of dive among them

  tab                   steps, or files
  ↑ ↓  k j              a line up or down
  page keys, home, end
  enter, d              of a step: all about it, to scroll through
  ?                     this page
  q, ctrl+c             end

The files
  ctrl+l                what the step did itself, or all after it
  ctrl+a, a             added files: show or hide
  ctrl+r, r             removed ones
  ctrl+m, m             modified ones (most terminals send Enter for ctrl+m)
  ctrl+u, u             those that the step left as they were
  g                     ghosts: what is hidden and still stored, and by whom
  ctrl+b, b             mode and owner
  space, enter          fold or open a folder
  → ←  l h              open it or go in; fold it or go out
  ctrl+space, f         fold all; open all
  ctrl+f, /             filter: a part of the path, or a pattern as *.py;
                        enter keeps it, esc ends it

Letters
  A added   M modified   D deleted
  = stored once more as it was
  x gone after an earlier step, and still stored in a layer
"""


def step_widths(explained: Explanation) -> list[int]:
    """Return how wide each column of the steps has to be."""
    rows = [_COLUMNS, *(_cells(explained, step) for step in explained.steps)]
    return [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]


def head_line(widths: Sequence[int], width: int) -> Line:
    """Return what stands above the steps."""
    return [(" ", ""), *_columns(_COLUMNS, widths, width, ["bold"] * len(_COLUMNS)), ("INSTRUCTION", "bold")]


def step_line(explained: Explanation, step: ExplainedStep, widths: Sequence[int], width: int) -> Line:
    """Return the line of a step."""
    plain = "" if step.layers and step.in_image else "dim"
    text = text_of(step) if step.in_image else f"({clean(step.stage)}) {text_of(step)}"
    styles = [plain or style for style in _STYLES]
    return [*_columns(_cells(explained, step), widths, width, styles), (_one_line(text), plain)]


def _cells(explained: Explanation, step: ExplainedStep) -> tuple[str, ...]:
    layers = [explained.layers[at] for at in step.layers]
    sums = [sum(getattr(layer, name) for layer in layers) for name in ("added", "modified", "deleted", "hidden")]
    size = None if any(layer.size is None for layer in layers) else sum(layer.size or 0 for layer in layers)
    return (
        str(step.number or ""),
        layer_names([explained.layers[at] for at in step.layers]),
        known_size(size) if layers else "",
        *(str(count or "") for count in sums[:3]),
        size_text(sums[3]) if sums[3] else "",
        cache_word(step),
    )


def _columns(cells: Sequence[str], widths: Sequence[int], width: int, styles: Sequence[str]) -> Iterator[Part]:
    kept = {column for column, wide in enumerate(widths) if wide}
    for column in _DROPPED:
        if sum(widths[each] + 1 for each in kept) + _LEAST_TEXT <= width:
            break
        kept.discard(column)
    for column in sorted(kept):
        cell, wide = cells[column], widths[column]
        yield (cell.rjust(wide) if column in _RIGHT else cell.ljust(wide)) + " ", styles[column]


def detail_lines(explained: Explanation, step: ExplainedStep, dive: DiveScore) -> Iterator[Line]:
    """Yield all that is known of a step, and what the image comes to."""
    yield [(text_of(step), "bold")]
    where = [f"stage {clean(step.stage)}" if step.stage else "", f"line {step.line}" if step.line else ""]
    words = [word for word in (*where, "" if step.in_image else "not in the image") if word]
    if words:
        yield [(", ".join(words), "dim")]
    if step.cache:
        took = f", {step.seconds:.1f}s" if step.seconds is not None else ""
        said = {"hit": "came from the cache", "ran": "ran", "base": "its image was there"}[step.cache]
        yield [("cache    ", "dim"), (f"{said}{took}", "")]
    if step.reason:
        yield [("reason   ", "dim"), (clean(step.reason), "yellow")]
    if step.key:
        yield [("key      ", "dim"), (clean(step.key), "")]
    for at in step.layers:
        layer = explained.layers[at]
        counts = f"{layer.added} added, {layer.modified} modified, {layer.deleted} deleted"
        hidden = f", {size_text(layer.hidden)} of it hidden" if layer.hidden else ""
        hides = f", hides {size_text(layer.hides)} of layers below" if layer.hides else ""
        name = f"L{layer.number}" if layer.in_image else "layer"
        yield [(f"{name:<9}", "bold"), (f"{known_size(layer.size)}{hidden}{hides}", "")]
        if layer.in_image:
            yield [("files    ", "dim"), (counts, "")]
        if layer.missing:
            yield [("! ", "red"), (clean(layer.missing), "red")]
        yield [("diff ID  ", "dim"), (clean(layer.diff_id), "")]
        if layer.digest:
            yield [("digest   ", "dim"), (clean(layer.digest), "")]
    if not step.layers:
        yield [("it makes no layer: it only edits the config", "dim")]
    if step.comment:
        yield [("comment  ", "dim"), (clean(step.comment), "")]
    yield []
    yield from _sums(explained, dive)


def _sums(explained: Explanation, dive: DiveScore) -> Iterator[Line]:
    stored, hidden = explained.stored, explained.hidden
    yield [(f"image {clean(explained.name)}", "bold")]
    yield [("stored   ", "dim"), (f"{size_text(stored)} in {counted(len(explained.own), 'layer')}", "")]
    yield [("hidden   ", "dim"), (size_text(hidden), "red" if hidden else "")]
    yield [("dive     ", "dim"), (f"efficiency {100 * dive.efficiency:.2f} %, {size_text(dive.wasted)} wasted", "")]
    yield from ([("! ", "red"), (clean(problem), "red")] for problem in explained.problems)


def image_line(explained: Explanation) -> str:
    """Return what stands at the top."""
    return f"{clean(explained.name)}  {explained.platform}  {short_digest(explained.image_id)}"


def view_line(step: ExplainedStep, view: View, rows: int) -> Line:
    """Return what stands above the tree: what is shown of what."""
    number = f"step {step.number}" if step.number else "this step"
    what = f"what {number} did" if view.is_layer_only else f"after {number}"
    without = "".join(letter for letter in (ADDED, MODIFIED, REMOVED) if letter in view.hidden)
    parts = [what, counted(rows, "row")]
    parts += [f"without {' '.join(without)}"] if without else []
    parts += ["changes only"] if " " in view.hidden and not view.is_layer_only else []
    parts += ["with ghosts"] if view.has_ghosts else []
    parts += [f"filter {_one_line(clean(view.pattern))}"] if view.pattern else []
    return [(", ".join(parts), "bold")]


def row_line(row: Row, width: int, *, has_attributes: bool, fate: str) -> Line:
    """Return a line of the tree; `fate` says who hides what is stored there."""
    letter = row.mark.letter
    style = _LETTERS.get(letter, "")
    size = size_text(row.size) if row.size or row.entry.kind == FILE else ""
    start = f"{letter or ' '} {size:>6} "
    if has_attributes:
        start += f"{attributes_of(row.entry):<18} "
    fold = ("▾ " if row.is_open else "▸ ") if row.is_folder else "  "
    name = _one_line(clean(row.name)) + ("/" if row.is_folder else "")
    if row.entry.link:
        name += f" → {_one_line(clean(row.entry.link))}"
    # However deep a name lies, a part of it is to be read.
    indent = "  " * min(row.depth, max(0, (width - len(start) - _LEAST_TEXT) // 4))
    parts = [(start, style.replace(" strike", "")), (indent + fold, "dim"), (name, style)]
    if fate:
        room = max(_LEAST_TEXT, width - len(start) - len(indent) - len(fold) - min(len(fate) + 2, width // 3))
        parts[-1] = (name if cell_len(name) <= room else set_cell_size(name, room - 1) + "…", style)
        parts.append((f"  {fate}", "dim italic"))
    return parts


def path_lines(row: Row, fate: str) -> list[Line]:
    """Return what stands below the tree of the row that is chosen: its path, and the facts."""
    entry = row.entry
    link = f" → {_one_line(clean(entry.link))}" if entry.link else ""
    size = f" {size_text(row.size)}" if row.size or entry.kind == FILE else ""
    return [[(f"/{_one_line(clean(row.story.path))}{link}", "")], [(f"{attributes_of(entry)}{size}  {fate}", "dim")]]


def attributes_of(entry: Entry) -> str:
    """Return mode and owner as ls writes them, in numbers."""
    return f"{stat.filemode(_KINDS[entry.kind] | entry.mode)} {entry.uid}:{entry.gid}"


def _one_line(text: str) -> str:
    """Return text without tabs, which `clean` lets through and whose width no list knows."""
    return text.replace("\t", "\\x09")
