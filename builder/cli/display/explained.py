"""How an explained image looks on a terminal: a line for each step, what it added and hid, and what that comes to.

STEP   LINE  LAYER  ADDED  MODIFIED  DELETED   SIZE  HIDDEN  CACHE
1         1  L1        12                     2.1MB          base    FROM busybox
2         4  L2         1                      310B          hit     COPY words.txt /w
3         5  L3      4112         3            48MB    11MB  12.3s   RUN pip install -r /w
                                                                    ↳ words.txt changed
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from builder.cli.display.diagnostics import paint
from builder.cli.display.text import clean, clipped, cut_digests, known_size, size_text
from builder.errors import counted
from builder.explain.model import ExplainedLayer, ExplainedStep, Explanation
from builder.oci.digest import short_digest
from builder.solve.difference import FIRST_BUILD

DIM, BOLD, GREEN, YELLOW, RED = "2", "1", "32", "33", "31"
_HEAD = ("STEP", "LINE", "LAYER", "ADDED", "MODIFIED", "DELETED", "SIZE", "HIDDEN", "CACHE")
_RIGHT = (1, 3, 4, 5, 6, 7)
_LEAST_FIRST = (1, 4, 5, 3, 7, 8)
"""Columns of `_HEAD`, as narrow terminals do without them."""
_LEAST_ROOM = 20
"""Characters of an instruction."""
_NO_WIDTH = 1 << 30
_FOLLOWS = re.compile(r"follows step \d+( of \S+)?")


def explanation_lines(explained: Explanation, *, width: int = 0, colour: bool = False) -> Iterator[str]:
    """Yield the whole table, what it comes to, and what to do about it. `width` 0: lines are not cut."""
    yield from _heading(explained, colour)
    yield ""
    rows = [(step, row_of(explained, step)) for step in explained.steps]
    widths = [max(len(row[column]) for row in (_HEAD, *(row for _, row in rows))) for column in range(len(_HEAD))]
    for column in _dispensable([row for _, row in rows], widths, width):
        widths[column] = 0
    yield paint(_line(_HEAD, widths) + "  INSTRUCTION", BOLD, colour)
    stages = {
        each.stage: any(one.in_image for one in explained.steps if one.stage == each.stage) for each in explained.steps
    }
    stage = None
    for step, row in rows:
        if step.stage != stage and len(stages) > 1:
            stage = step.stage
            yield paint(f"— stage {clean(stage)}{'' if stages[stage] else ': not in the image'}", DIM, colour)
        start = _line(row, widths)
        room = max(_LEAST_ROOM, (width or _NO_WIDTH) - len(start) - 2)
        line = f"{start}  {clipped(text_of(step), room, 0)}"
        yield paint(line, _colour_of(step), colour)
        if step.cache == "ran" and step.reason not in ("", FIRST_BUILD):
            yield _reason_line(step.reason, len(start) + 2, width, colour)
    yield ""
    yield from summary_lines(explained, colour=colour)


def _reason_line(reason: str, column: int, width: int, colour: bool) -> str:
    """Return why a step ran, below its instruction or, where that is too far right, as far left as it needs."""
    text = clean(reason)
    # Which step it follows is all that is new: what that one does stands in its own line.
    follows = _FOLLOWS.match(text) if width else None
    if follows is not None:
        text = follows[0]
    indent = max(4, min(column, width - len(text) - 3)) if width else column
    return paint(f"{' ' * indent}↳ {clipped(text, width - indent - 2, 0) if width else text}", YELLOW, colour)


def _heading(explained: Explanation, colour: bool) -> Iterator[str]:
    name = f"{clean(explained.name)}  {explained.platform}  {short_digest(explained.image_id)}"
    yield paint(name, BOLD, colour)
    if explained.has_record:
        made = [step for step in explained.steps if step.cache in ("hit", "ran")]
        ran = [step for step in made if step.cache == "ran"]
        rest = ", the others came from the cache" if len(ran) < len(made) else ""
        rest = f": {FIRST_BUILD}" if ran and all(step.reason == FIRST_BUILD for step in ran) else rest
        yield f"built in {explained.seconds:.1f}s: {len(ran)} of {counted(len(made), 'step')} ran{rest}"
    else:
        yield "no record of its build is here: what follows is what its history and its layers say"
    for problem in explained.problems:
        yield paint(f"! {clean(problem)}", RED, colour)


def row_of(explained: Explanation, step: ExplainedStep) -> tuple[str, ...]:
    """Return the cells of a step, as many as the head has."""
    layers = [explained.layers[at] for at in step.layers]
    known = [layer for layer in layers if layer.in_image]
    counts = [sum(getattr(layer, name) for layer in known) for name in ("added", "modified", "deleted", "hidden")]
    shown = [str(count) if count else "" for count in counts[:3]]
    size = None if any(layer.size is None for layer in layers) else sum(layer.size or 0 for layer in layers)
    return (
        str(step.number or ""),
        str(step.line or ""),
        layer_names(layers) or "-",
        *shown,
        known_size(size) if layers else "",
        size_text(counts[3]) if counts[3] else "",
        cache_word(step),
    )


def text_of(step: ExplainedStep) -> str:
    """Return an instruction as it is shown, digests in it cut."""
    return cut_digests(clean(step.text)) or "(the history does not say)"


def cache_word(step: ExplainedStep) -> str:
    """Return what the build did about a step, in one word or its time."""
    if step.cache == "ran":
        return f"{step.seconds:.1f}s" if step.seconds is not None else "ran"
    return step.cache or ("" if step.layers or not step.line or step.instruction == "FROM" else "config")


def layer_names(layers: Sequence[ExplainedLayer]) -> str:
    """Return `L3`, `L1–L4`; layers of other stages bear no number of the image."""
    if not layers:
        return ""
    if not layers[0].in_image:
        return f"({len(layers)})" if len(layers) > 1 else "·"
    first, last = layers[0].number, layers[-1].number
    return f"L{first}" if first == last else f"L{first}–L{last}"


def _dispensable(rows: Sequence[Sequence[str]], widths: Sequence[int], width: int) -> Iterator[int]:
    """Yield the columns that a narrow terminal is spared: those without anything in them, then what says least."""
    room = (width or _NO_WIDTH) - sum(each + 2 for each in widths)
    empty = [column for column in _LEAST_FIRST if not any(row[column] for row in rows)]
    for column in dict.fromkeys((*empty, *_LEAST_FIRST)):
        if room >= _LEAST_ROOM:
            return
        room += widths[column] + 2
        yield column


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(
        cell.rjust(width) if column in _RIGHT else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths))
        if width
    )


def _colour_of(step: ExplainedStep) -> str:
    return DIM if not step.layers or not step.in_image else ""


def summary_lines(explained: Explanation, *, colour: bool = False) -> Iterator[str]:
    """Yield what all layers come to, who hides most, and what would give it back."""
    stored, hidden = explained.stored, explained.hidden
    known = len(explained.own) - len(explained.unknown)
    seen = f"{size_text(stored)} in {counted(known, 'layer')}"
    if explained.unknown:
        names = ", ".join(f"L{layer.number}" for layer in explained.unknown)
        seen = f"{names} cannot be looked into; of the others: {seen}"
    if not hidden:
        yield f"{seen}; all of it is seen" if known or not explained.own else seen.partition(";")[0]
        return
    share = f"{100 * hidden / stored:.0f}%" if stored else "0%"
    yield f"{seen}; {size_text(stored - hidden)} are seen, " + paint(
        f"{size_text(hidden)} hidden ({share})", RED, colour
    )
    hider = max(explained.own, key=lambda layer: layer.hides)
    step = explained.steps[hider.step]
    yield (
        f"hint: L{hider.number} ({clipped(text_of(step), 50, 0)}) hides"
        f" {size_text(hider.hides)} of layers below, which stay in the image; `--waste` names the files"
    )


def unknown_lines(explained: Explanation, *, colour: bool = False) -> Iterator[str]:
    """Yield why layers cannot be looked into: what is said of the others may not be all."""
    for layer in explained.unknown:
        yield paint(f"! layer {layer.number}: {clean(layer.missing)}", RED, colour)


def markdown_lines(explained: Explanation) -> Iterator[str]:
    """Yield the table as GitHub's Markdown, for a pull request or a job's summary."""
    yield f"### {_escaped(explained.name)}"
    yield ""
    yield "| step | instruction | layer | added | modified | deleted | size | hidden | cache |"
    yield "|---|---|---|--:|--:|--:|--:|--:|---|"
    for step in explained.steps:
        number, _, layer, added, modified, deleted, size, hidden, cache = row_of(explained, step)
        why = f": {step.reason}" if step.cache == "ran" and step.reason else ""
        cells = (number, f"`{_code(step.text)}`" if step.text else "", layer, added, modified, deleted, size, hidden)
        yield f"| {' | '.join(cells)} | {_escaped(cache + why)} |"
    yield ""
    for line in summary_lines(explained):
        yield _escaped(line)
        yield ""
    for problem in explained.problems:
        yield f"- {_escaped(problem)}"


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in clean(text).replace("\n", " "))


def _code(text: str) -> str:
    """Return text for a code span in a table: a bar would end the cell, and a back-tick the span."""
    return cut_digests(clean(text)).replace("\n", " ").replace("|", "\\|").replace("`", "'")
