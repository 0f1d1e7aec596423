"""Where steps stand beside a Dockerfile: a lane for each stage, and the lines that cross between lanes.

A stage holds its lane from its first step to the last one that uses it, and then leaves it to another: twelve stages
that each lead into the next need two lanes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from builder.explain.model import ExplainedStep


class Crossing(NamedTuple):
    """A step that uses another stage's file system."""

    source: int
    target: int
    is_base: bool
    """Whether it stands on it (FROM), and does not copy or mount."""


def own_parents(steps: Sequence[ExplainedStep]) -> tuple[ExplainedStep, ...]:
    """Return the steps on their own stage's FROM, where that of another stage loads the same layers for both."""
    loads: dict[str, int] = {}
    found = []
    for number, step in enumerate(steps):
        parent = step.parent
        if parent is not None and steps[parent].stage != step.stage and steps[parent].instruction == "FROM":
            own = loads.get(step.stage)
            if own is not None and steps[own].layers == steps[parent].layers:
                step = step._replace(parent=own)
        if step.instruction == "FROM" and parent is None:
            loads[step.stage] = number
        found.append(step)
    return tuple(found)


def crossings(steps: Sequence[ExplainedStep]) -> list[Crossing]:
    """Return what crosses from stage to stage, in the order of the steps."""
    found = []
    for number, step in enumerate(steps):
        if step.parent is not None and steps[step.parent].stage != step.stage:
            found.append(Crossing(step.parent, number, True))
        found += [Crossing(source, number, False) for source in step.reads if steps[source].stage != step.stage]
    return found


def lanes(steps: Sequence[ExplainedStep]) -> list[int]:
    """Return the lane of each step, from 0."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for number, step in enumerate(steps):
        first.setdefault(step.stage, number)
        last[step.stage] = number
    for crossing in crossings(steps):
        stage = steps[crossing.source].stage
        last[stage] = max(last[stage], crossing.target)
    lane: dict[str, int] = {}
    free_after: list[int] = []
    for stage, start in first.items():
        at = next((at for at, end in enumerate(free_after) if end < start), len(free_after))
        free_after[at : at + 1] = [last[stage]]
        lane[stage] = at
    return [lane[step.stage] for step in steps]
