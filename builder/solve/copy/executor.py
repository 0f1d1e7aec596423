"""COPY, ADD and WORKDIR. A copy's layer is written while the sources are read; its inputs are digested on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.linux.cancel import Cancel
from builder.plan.step import CopyStep, WorkdirStep
from builder.solve.copy.selection import CopySelection, read_inputs
from builder.solve.executor import Emit, Executed, Inputs
from builder.solve.results import Stack

if TYPE_CHECKING:
    from builder.solve.context import SolveContext


@dataclass(frozen=True, slots=True)
class CopyExecutor:
    step: CopyStep
    parent: Stack
    context: SolveContext

    def read_inputs(self) -> Inputs:
        return read_inputs(self.selection())

    def execute(self, emit: Emit, cancel: Cancel) -> Executed:
        return _execute(self, cancel)

    def selection(self) -> CopySelection:
        """Return what selects the files; nothing is looked at before it is asked."""
        return CopySelection(
            self.step,
            self.context.tree,
            # Not asked for before a URL is met: it brings clients along.
            lambda source, exclude: self.context.find_remote()(source, exclude),
            made_at=self.context.now(),
            temporary=self.context.store.temporary.path,
            large=self.context.store.large_layers,
        )


@dataclass(frozen=True, slots=True)
class WorkdirExecutor:
    step: WorkdirStep
    parent: Stack
    context: SolveContext

    def read_inputs(self) -> Inputs:
        return Inputs({})

    def execute(self, emit: Emit, cancel: Cancel) -> Executed:
        return _execute(self, cancel)


def _execute(executor: CopyExecutor | WorkdirExecutor, cancel: Cancel) -> Executed:
    from builder.solve.copy.execute import execute  # gate: must execute. Layers and accounts

    return execute(executor, cancel)
