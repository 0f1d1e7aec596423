"""The graph of a build in the languages of mermaid and of Graphviz (dot). Text of others is quoted in each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from builder.cli.display.text import clean
from builder.engine.plan_graph import GraphEdge, GraphStep, PlanGraph

WORDS = {"hit": "cached", "miss": "runs", "waits": "waits", "present": "here", "fetch": "to be fetched"}
"""What is said of each outcome."""
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ./_:=,+-·←…")
_LONGEST = 60
_CLASSES = {
    "hit": "fill:#e3f1e3,stroke:#2e7d32,color:#111",
    "miss": "fill:#fdebd8,stroke:#b85c00,color:#111",
    "waits": "fill:#fff6cc,stroke:#8a6d00,color:#111",
    "present": "fill:#e4ecf7,stroke:#37598c,color:#111",
    "fetch": "fill:#fdebd8,stroke:#b85c00,color:#111",
    "skipped": "fill:#eeeeee,stroke:#999999,color:#555,stroke-dasharray:4",
}


def step_lines(step: GraphStep) -> list[str]:
    """Return what is written in the box of a step: title, what the cache has, time, mounts."""
    title = " ".join(clean(step.node.title).split())
    critical = " · critical path" if step.is_critical else ""
    said = WORDS[step.outcome] + ("" if step.seconds is None else f" · {step.seconds:.1f}s") + critical
    return [_cut(title), said, *(_cut(clean(note)) for note in step.notes)]


def stage_name(stage: str) -> str:
    """Return what the frame of a stage is called."""
    return clean(stage) or "images"


def mermaid_lines(graphs: Sequence[PlanGraph]) -> Iterator[str]:
    """Yield a mermaid flowchart; of several platforms, one beside the other."""
    yield "flowchart TB"
    critical: list[int] = []
    count = 0
    for number, graph in enumerate(graphs):
        for at, stage in enumerate(graph.stages()):
            named = f"{stage_name(stage)} ({graph.platform})" if len(graphs) > 1 else stage_name(stage)
            yield f'  subgraph s{number}_{at}["{_mermaid(named)}"]'
            for step in graph.steps:
                if step.node.stage == stage:
                    label = "<br/>".join(map(_mermaid, step_lines(step)))
                    yield f'    n{number}_{step.node.step}["{label}"]:::{step.outcome}'
            yield "  end"
        for edge in graph.edges:
            yield f"  n{number}_{edge.needed} {_mermaid_arrow(edge)} n{number}_{edge.step}"
            critical += [count] if edge.is_critical else []
            count += 1
        for at, stage in enumerate(graph.skipped):
            yield f'  x{number}_{at}["{_mermaid(f"{stage_name(stage)}: not needed")}"]:::skipped'
    for name, style in _CLASSES.items():
        yield f"  classDef {name} {style}"
    if critical:
        yield f"  linkStyle {','.join(map(str, critical))} stroke-width:4px"


def _mermaid_arrow(edge: GraphEdge) -> str:
    if edge.relation == "stands on":
        return "==>" if edge.is_critical else "-->"
    return f'-. "{edge.relation}" .->'


def _mermaid(text: str) -> str:
    # Whatever could mean something to mermaid, or to the page it is put into, as a number of its character.
    return "".join(letter if letter in _PLAIN or letter.isalpha() else f"#{ord(letter)};" for letter in text)


def dot_lines(graphs: Sequence[PlanGraph]) -> Iterator[str]:
    """Yield a digraph for Graphviz."""
    yield "digraph build {"
    yield "  rankdir=TB;"
    yield '  node [shape=box, style="rounded,filled", fontname="monospace", fontsize=10];'
    for number, graph in enumerate(graphs):
        for at, stage in enumerate(graph.stages()):
            named = f"{stage_name(stage)} ({graph.platform})" if len(graphs) > 1 else stage_name(stage)
            yield f"  subgraph cluster_{number}_{at} {{"
            yield f"    label={_quoted(named)};"
            for step in graph.steps:
                if step.node.stage == stage:
                    yield f"    n{number}_{step.node.step} [{_dot_step(step)}];"
            yield "  }"
        for edge in graph.edges:
            style = {"stands on": "solid", "copies from": "dashed", "mounts": "dotted"}[edge.relation]
            label = "" if edge.relation == "stands on" else f", label={_quoted(edge.relation)}"
            width = ", penwidth=3" if edge.is_critical else ""
            yield f"  n{number}_{edge.needed} -> n{number}_{edge.step} [style={style}{width}{label}];"
        for at, stage in enumerate(graph.skipped):
            label = _quoted(f"{stage_name(stage)}: not needed")
            yield f'  x{number}_{at} [label={label}, style="dashed,filled", fillcolor="#eeeeee", fontcolor="#555555"];'
    yield "}"


def _dot_step(step: GraphStep) -> str:
    colours = dict(part.split(":") for part in _CLASSES[step.outcome].split(","))
    width = 3 if step.is_critical else 1
    label = "\\n".join(map(_escaped, step_lines(step)))
    return f'label="{label}", fillcolor="{colours["fill"]}", color="{colours["stroke"]}", penwidth={width}'


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    # A backslash begins an escape in labels: \\N is the node's name. Entities are read, too.
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: math.ceil(_LONGEST * 0.9)] + "…"
