"""The notes: what often surprises people who learn, found while the stages are walked in order.

A note says what is certain: of an image that is not known, a value that is not known, a script that could do anything,
nothing is said. Each stage begins with what the one below it left (`Inherited`), so a long file costs no square.
"""

from __future__ import annotations

from collections import Counter

from builder.dockerfile.instructions import Dockerfile, Stage
from builder.lint.command_notes import check_commands
from builder.lint.copy_notes import check_copies, check_secrets
from builder.lint.finding import LintInputs, Report
from builder.lint.inherited import Inherited
from builder.lint.options import CheckOptions
from builder.lint.run_notes import check_runs
from builder.lint.scope import Scope, global_scope
from builder.lint.stage_notes import check_global_args, check_stages_not_needed
from builder.lint.value_notes import check_values


def check_notes(dockerfile: Dockerfile, inputs: LintInputs, report: Report) -> None:
    """Run the checks that teach over the stages that are judged."""
    outside = global_scope(dockerfile, inputs, inputs.build_args)
    below = _stages_below(dockerfile, outside)
    shipped = _chain(len(dockerfile.stages) - 1, below)
    ends: dict[int, Inherited] = {}
    waiting = Counter(below.values())
    silent = Report(CheckOptions(skip=frozenset({"all"})))
    for stage in dockerfile.stages:
        wanted = inputs.stages is None or stage.index in inputs.stages
        stage_report = report if wanted else silent
        parent = below[stage.index]
        if parent is None:
            state = Inherited.of_image(stage.base.image.text, inputs.base_images.get(stage.index))
        else:
            waiting[parent] -= 1
            state = ends[parent].copy() if waiting[parent] else ends.pop(parent)
        check_commands(stage, state, stage_report)
        check_runs(stage, stage_report)
        check_values(stage, dockerfile.escape, stage_report)
        if stage.index in shipped:
            check_secrets(stage, stage_report)
        check_global_args(dockerfile, stage, state, stage_report)
        check_copies(stage, state, inputs, stage_report)
        state.take_commands(stage)
        ends[stage.index] = state
    if inputs.stages is None:
        check_stages_not_needed(dockerfile, report)


def _stages_below(dockerfile: Dockerfile, outside: Scope) -> dict[int, int | None]:
    """Return, by index, the stage that each stage stands on; None for an image."""
    names: dict[str, int] = {}
    below: dict[int, int | None] = {}
    for stage in dockerfile.stages:
        below[stage.index] = _named(stage, names, dockerfile, outside)
        if stage.name:
            names[stage.name] = stage.index
    return below


def _named(stage: Stage, names: dict[str, int], dockerfile: Dockerfile, outside: Scope) -> int | None:
    expansion = outside.expand(stage.base.image.text, dockerfile.escape)
    return names.get(expansion.text.lower()) if expansion else None


def _chain(index: int, below: dict[int, int | None]) -> set[int]:
    """Return a stage with all that it stands on: what its image ships the layers of."""
    chain: set[int] = set()
    at: int | None = index
    while at is not None and at >= 0:
        chain.add(at)
        at = below[at]
    return chain
