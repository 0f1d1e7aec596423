"""The graph of a build as one page: SVG laid out here, and the same as a table. No script, no network.

column = stage, the one that ends last to the right       row = how far down: below all that a step needs

┌─ build ─┐  ┌─ app ───┐
│ FROM    │  │ FROM    │      solid line: stands on     dashed: copies from     dotted: mounts
│ RUN     │──│▶COPY    │      thick: the critical path
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from builder.cli.display.graph_text import WORDS, stage_name, step_lines
from builder.cli.display.text import clean
from builder.engine.plan_graph import GraphEdge, GraphStep, PlanGraph

_WIDTH, _LINE, _PADDING = 300, 15, 8
"""Of a box, in pixels: its width, the height of a line in it, and what is around the text."""
_GAP_X, _GAP_Y, _HEAD = 56, 22, 34
_LONGEST = 42
"""Characters of 11 pixels' monospace that a box is wide enough for."""

_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1a1a1a;--dim:#555;--line:#767676;--lane:#f5f5f5;
--hit:#e3f1e3;--miss:#fdebd8;--waits:#fff6cc;--present:#e4ecf7;--skip:#eee}
@media(prefers-color-scheme:dark){:root{--bg:#16181b;--fg:#ececec;--dim:#b0b0b0;--line:#9a9a9a;--lane:#1f2226;
--hit:#1d3a22;--miss:#4a2f14;--waits:#443a10;--present:#1c3050;--skip:#2a2a2a}}
body{margin:1.5rem;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.3rem}h2{font-size:1.05rem}p{max-width:60rem}
.graph{overflow-x:auto;border:1px solid var(--line);border-radius:6px}
svg{display:block}svg text{font:11px ui-monospace,monospace;fill:var(--fg)}
svg .dim{fill:var(--dim)}svg .name{font-weight:700;font-size:12px}
.lane{fill:var(--lane)}.box{stroke:var(--line)}
.hit{fill:var(--hit)}.miss,.fetch{fill:var(--miss)}.waits{fill:var(--waits)}.present{fill:var(--present)}
.skip{fill:var(--skip);stroke-dasharray:4 3}
.edge{fill:none;stroke:var(--line);stroke-width:1.3}.copies{stroke-dasharray:6 4}.mounts{stroke-dasharray:2 3}
.critical{stroke:var(--fg);stroke-width:3}.tip{fill:var(--line)}
table{border-collapse:collapse;margin-top:1rem}th,td{border-bottom:1px solid var(--line);padding:.25rem .6rem;
text-align:left;vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums}
code{font:13px ui-monospace,monospace;overflow-wrap:anywhere}
@media print{.graph{border:0;overflow:visible}svg{max-width:100%;height:auto}}
"""


class _Box(NamedTuple):
    x: int
    y: int
    height: int

    @property
    def centre(self) -> int:
        return self.y + self.height // 2


def graph_page(graphs: Sequence[PlanGraph]) -> str:
    """Return the page. All text in it is escaped; its policy allows nothing but its own style."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    target = _text(graphs[0].target) if graphs else ""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>Build graph{f' of {target}' if target else ''}</title><style>{_STYLE}</style></head><body>",
        f"<h1>Build graph{f' of {target}' if target else ''}</h1>",
    ]
    for graph in graphs:
        parts += _platform(graph, named=len(graphs) > 1)
    return "\n".join([*parts, "</body></html>\n"])


def _platform(graph: PlanGraph, *, named: bool) -> Iterator[str]:
    if named:
        yield f"<h2>{_text(graph.platform)}</h2>"
    layered = [step for step in graph.steps if not step.node.is_image]
    cached = sum(step.outcome == "hit" for step in layered)
    yield (
        f"<p>{cached} of {len(layered)} steps are in the cache. By the times of their last runs, all steps are "
        f"{graph.work_seconds:.1f}s of work; the critical path, which no number of processors makes shorter, is "
        f"{graph.critical_seconds:.1f}s. Lines: solid, stands on; dashed, copies from; dotted, mounts; thick, the "
        "critical path.</p>"
    )
    yield f'<div class="graph" tabindex="0" role="region" aria-label="Graph, {_text(graph.platform)}">'
    yield from _svg(graph)
    yield "</div>"
    yield from _table(graph)


def _svg(graph: PlanGraph) -> Iterator[str]:
    rows = _rows(graph)
    ends = {step.node.stage: rows[step.node.step] for step in graph.steps}
    stages = tuple(sorted(graph.stages(), key=lambda stage: ends[stage]))
    boxes, height = _laid_out(graph, stages, rows)
    columns = len(stages) + bool(graph.skipped)
    width = columns * (_WIDTH + _GAP_X) + _GAP_X
    height = max(height, _HEAD + len(graph.skipped) * 44) + _GAP_Y
    yield f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
    yield 'role="img" aria-label="Steps by stage; the table below says the same">'
    yield '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
    yield 'markerUnits="userSpaceOnUse" orient="auto"><path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>'
    for at, name in enumerate((*map(stage_name, stages), *(("not needed",) if graph.skipped else ()))):
        x = _left(at)
        yield f'<rect class="lane" x="{x - 12}" y="6" width="{_WIDTH + 24}" height="{height - 12}" rx="8"/>'
        yield f'<text class="name" x="{x}" y="24">{_text(_cut(name))}</text>'
    for edge in graph.edges:
        yield _edge(edge, boxes[edge.needed], boxes[edge.step])
    for step in graph.steps:
        yield from _box(step, boxes[step.node.step])
    for at, stage in enumerate(graph.skipped):
        x, y = _left(len(stages)), _HEAD + at * 44
        yield f'<rect class="box skip" x="{x}" y="{y}" width="{_WIDTH}" height="34" rx="5"/>'
        yield f'<text class="dim" x="{x + _PADDING}" y="{y + 21}">{_text(_cut(stage_name(stage)))}: not built</text>'
    yield "</svg>"


def _rows(graph: PlanGraph) -> dict[int, int]:
    """Return the row of each step. Steps of a stage never share one."""
    rows: dict[int, int] = {}
    free = dict.fromkeys(graph.stages(), 0)
    for step in graph.steps:
        below = max((rows[needed] + 1 for needed in step.node.needs()), default=0)
        rows[step.node.step] = max(below, free[step.node.stage])
        free[step.node.stage] = rows[step.node.step] + 1
    return rows


def _laid_out(graph: PlanGraph, stages: tuple[str, ...], rows: dict[int, int]) -> tuple[dict[int, _Box], int]:
    """Return a box for each step, and how high all are together."""
    heights = [0] * (max(rows.values(), default=-1) + 1)
    for step in graph.steps:
        row = rows[step.node.step]
        heights[row] = max(heights[row], len(step_lines(step)) * _LINE + 2 * _PADDING)
    tops = [_HEAD + sum(heights[:row]) + row * _GAP_Y for row in range(len(heights))]
    boxes = {
        step.node.step: _Box(
            _left(stages.index(step.node.stage)),
            tops[rows[step.node.step]],
            len(step_lines(step)) * _LINE + 2 * _PADDING,
        )
        for step in graph.steps
    }
    return boxes, tops[-1] + heights[-1] if tops else _HEAD


def _left(column: int) -> int:
    return _GAP_X + column * (_WIDTH + _GAP_X)


def _edge(edge: GraphEdge, needed: _Box, step: _Box) -> str:
    kind = {"stands on": "", "copies from": " copies", "mounts": " mounts"}[edge.relation]
    classes = f"edge{kind}{' critical' if edge.is_critical else ''}"
    if needed.x == step.x and edge.relation == "stands on":
        x = needed.x + 24
        path = f"M{x} {needed.y + needed.height}V{step.y}"
    else:
        # From side to side, so that lines between columns do not hide the boxes between them.
        if step.x > needed.x:
            x1, x2, out, into = needed.x + _WIDTH, step.x, _GAP_X, -_GAP_X
        elif step.x < needed.x:
            x1, x2, out, into = needed.x, step.x + _WIDTH, -_GAP_X, _GAP_X
        else:
            x1, x2, out, into = needed.x, step.x, -_GAP_X, -_GAP_X
        y1, y2 = needed.centre, step.centre
        path = f"M{x1} {y1}C{x1 + out} {y1} {x2 + into} {y2} {x2} {y2}"
    return f'<path class="{classes}" d="{path}" marker-end="url(#tip)"/>'


def _box(step: GraphStep, box: _Box) -> Iterator[str]:
    critical = " critical" if step.is_critical else ""
    why = f" ({step.reason})" if step.reason else ""
    yield f"<g><title>{_text(step.node.title + why)}</title>"
    yield (
        f'<rect class="box {step.outcome}{critical}" x="{box.x}" y="{box.y}" width="{_WIDTH}" height="{box.height}" '
        'rx="5"/>'
    )
    for number, line in enumerate(step_lines(step)):
        shade = ' class="dim"' if number > 1 else ""
        y = box.y + _PADDING + _LINE * (number + 1) - 4
        yield f'<text{shade} x="{box.x + _PADDING}" y="{y}">{_text(_cut(line))}</text>'
    yield "</g>"


def _table(graph: PlanGraph) -> Iterator[str]:
    numbers = {step.node.step: number for number, step in enumerate(graph.steps, 1)}
    yield "<table><thead><tr><th>#</th><th>step</th><th>cache</th><th>last run</th><th>needs</th><th>why it runs</th>"
    yield "<th>critical</th></tr></thead><tbody>"
    for step in graph.steps:
        seconds = "" if step.seconds is None else f"{step.seconds:.1f}s"
        needs = ", ".join(
            f"{numbers[edge.needed]}{'' if edge.relation == 'stands on' else f' ({edge.relation})'}"
            for edge in graph.edges
            if edge.step == step.node.step
        )
        notes = "".join(f"<br>{_text(note)}" for note in step.notes)
        yield (
            f'<tr><td class="n">{numbers[step.node.step]}</td><td><code>{_text(step.node.title)}</code>{notes}</td>'
            f'<td>{WORDS[step.outcome]}</td><td class="n">{seconds}</td><td>{_text(needs)}</td>'
            f"<td>{_text(step.reason)}</td><td>{'yes' if step.is_critical else ''}</td></tr>"
        )
    yield "</tbody></table>"
    if graph.skipped:
        yield f"<p>Not needed, and so not built: {_text(', '.join(graph.skipped))}.</p>"


def _text(text: str) -> str:
    return escape(clean(text))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
