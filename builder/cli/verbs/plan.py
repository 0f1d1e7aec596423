"""`pybuild plan`: the steps of a build with their cache keys, and what the cache has of them, as a table or JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from builder.cli.arguments import build_parser, parse_build_arguments
from builder.cli.display.graph_page import graph_page
from builder.cli.display.graph_text import dot_lines, mermaid_lines
from builder.cli.display.plain import WarningsDisplay
from builder.cli.display.text import clean, clipped
from builder.cli.request import request_from
from builder.engine.build import dry_run
from builder.engine.plan_graph import PlanGraph, plan_graphs
from builder.errors import UsageError, counted
from builder.oci.digest import short_digest
from builder.plan.step import dependencies
from builder.solve.dry_run import DryRun, StepStatus
from builder.solve.event_json import difference_to_json

_WORDS = {"hit": "HIT", "miss": "MISS", "waits": "waits", "present": "here", "fetch": "fetch"}


def plan_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild plan`: all flags of a build, and its own."""
    parser = build_parser()
    parser.prog, parser.usage = "pybuild plan", "pybuild plan [OPTIONS] PATH"
    parser.description, parser.epilog = "Show the steps of a build, with cache key and hit or miss for each.", None
    parser.add_argument(
        "--graph", choices=("mermaid", "dot", "html"), help="print the steps as a graph; html is a page of its own"
    )
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    return parser


def plan_command(argv: list[str]) -> int:
    """Print the steps of a build with their cache keys; nothing is executed."""
    arguments = parse_build_arguments(plan_parser(), argv)
    if arguments.path is None:
        raise UsageError("'pybuild plan' needs a context: PATH, URL or -")
    if arguments.graph:
        if arguments.json:
            raise UsageError("--graph and --json are two forms of one thing", hint="Ask for one of them.")
        graphs = plan_graphs(request_from(arguments), WarningsDisplay(sys.stderr))
        _write(graph_page(graphs) if arguments.graph == "html" else _lines(arguments.graph, graphs))
        return 0
    result = dry_run(request_from(arguments), WarningsDisplay(sys.stderr))
    if arguments.json:
        print(json.dumps(plan_to_json(result), indent=2))
    else:
        width = os.get_terminal_size().columns if sys.stdout.isatty() else 0
        for line in plan_lines(result, width):
            print(f"{line[: width - 1]}…" if 0 < width < len(line) else line)
    return 0


def _lines(form: str, graphs: tuple[PlanGraph, ...]) -> str:
    return "".join(f"{line}\n" for line in (mermaid_lines(graphs) if form == "mermaid" else dot_lines(graphs)))


def _write(text: str) -> None:
    # All three are UTF-8 for whoever reads them, whatever the terminal's encoding is.
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8"))
    sys.stdout.buffer.flush()


def plan_lines(dry_runs: tuple[DryRun, ...], width: int = 0) -> Iterator[str]:
    """Yield a line per step: number, what it stands on, hit or miss, key, title, reason.

    With a `width`, in columns, titles are cut so that the reasons are seen.
    """
    for each in dry_runs:
        if len(dry_runs) > 1:
            yield f"platform {each.plan.platform}"
        yield f"{'#':>3}  {'needs':<9} {'cache':<6} {'key':<13} step"
        for found in each.steps:
            yield _line(found, width)
        outcomes = [found.outcome for found in each.steps if found.outcome in {"hit", "miss", "waits"}]
        are = "is" if len(outcomes) == 1 else "are"
        yield f"{outcomes.count('hit')} of {counted(len(outcomes), 'step')} {are} in the cache"
        if skipped := each.plan.skipped:
            yield f"not needed, and so not built: {', '.join(map(clean, skipped))}"


def _line(found: StepStatus, width: int) -> str:
    step = found.step
    needs = ",".join(str(needed + 1) for needed in dependencies(step)) or "-"
    reason = f"  ({clean(found.reason)})" if found.reason and not found.reason.startswith("waits for ") else ""
    key = short_digest(found.key) or "-"
    start = f"{step.id + 1:>3}  {needs:<9} {_WORDS[found.outcome]:<6} {key:<13} "
    title = clean(step.title)
    return f"{start}{clipped(title, width, len(start) + len(reason)) if width else title}{reason}"


def plan_to_json(dry_runs: tuple[DryRun, ...]) -> list[dict[str, Any]]:
    """Return a document for each platform."""
    return [
        {
            "platform": str(each.plan.platform),
            "target": each.plan.target,
            "skipped_stages": list(each.plan.skipped),
            "steps": [_step_to_json(found) for found in each.steps],
        }
        for each in dry_runs
    ]


def _step_to_json(found: StepStatus) -> dict[str, Any]:
    step = found.step
    document: dict[str, Any] = {
        "id": step.id,
        "needs": list(dependencies(step)),
        "stage": step.label.stage,
        "title": step.title,
        "cache": found.outcome,
        "key": found.key or None,
    }
    if found.reason:
        document["reason"] = found.reason
        document["differences"] = [difference_to_json(each) for each in found.why.differences]
        document["unsaid"] = found.why.unsaid
    if step.label.location is not None:
        document["line"] = step.label.location.line
    return document
