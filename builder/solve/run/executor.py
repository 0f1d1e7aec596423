"""RUN: its inputs are what its mounts show; its layer is what the command changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.linux.cancel import Cancel
from builder.plan.step import RunStep
from builder.solve.executor import Emit, Executed, Inputs
from builder.solve.results import Stack

if TYPE_CHECKING:
    from builder.solve.context import SolveContext


@dataclass(frozen=True, slots=True)
class RunExecutor:
    step: RunStep
    parent: Stack
    context: SolveContext

    def read_inputs(self) -> Inputs:
        return self.context.run.inputs(self.step, {}) if self.step.op.mounts else Inputs({})

    def execute(self, emit: Emit, cancel: Cancel) -> Executed:
        from builder.solve.run.layer import commit_run  # gate: must execute. Sandboxes and snapshots

        return commit_run(self.step, self.parent, self.context, emit, cancel)
