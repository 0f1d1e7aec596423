"""RUN: its inputs are what its mounts show; its layer is what the command changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from builder.linux.cancel import Cancel
from builder.plan.step import BindMount, ContextSource, RunStep
from builder.solve.commit import commit_step, until_cancelled
from builder.solve.events import Warned
from builder.solve.op import Emit, Executed, Inputs
from builder.solve.results import Stack

if TYPE_CHECKING:
    from builder.solve.context import SolveContext
    from builder.solve.run.binds import Shown


@dataclass(frozen=True, slots=True)
class RunOp:
    step: RunStep
    parent: Stack
    context: SolveContext

    def read_inputs(self) -> Inputs:
        return self._inputs({})

    def execute(self, emit: Emit, cancel: Cancel) -> Executed:
        from builder.solve.run.execute import run_step  # sandboxes and snapshots: not for a cached build

        layers, tools = self.context.views.stack_layers(self.parent), self.context.run_tools()
        # Once more for each mount at most: a part that moved is a copy from then on, and copies hold still.
        while True:
            with run_step(self.step, layers, tools, emit, cancel) as done:
                if self._held_still(done.shown):
                    committed = commit_step(self.step, until_cancelled(done.changes(), cancel), self.context)
                    done.keep(committed.layer.diff_id)
                    return Executed(committed.layer, self._inputs(dict(done.shown)), committed.warnings)

    def _inputs(self, shown: Mapping[BindMount, Shown]) -> Inputs:
        """Return the inputs; those of the mounts in `shown` are what the command saw."""
        if not self.step.mounts:
            return Inputs({})
        from builder.solve.run.inputs import run_inputs, run_seen  # most RUNs have no mounts

        trees = self.context.mount_trees()
        document = run_inputs(self.step, trees, self.context.store.documents, shown)
        return Inputs(document, partial(run_seen, self.step, trees, shown))

    def _held_still(self, shown: Mapping[BindMount, Shown]) -> bool:
        """Say whether all that the command could read held still; what did not is mounted as a copy from now on."""
        for mount, seen in shown.items():
            if (path := seen.moved()) is not None and isinstance(mount.source, ContextSource):
                self.context.mount_sources().copies.moving.add((mount.source.name, mount.subpath))
                message = f"{path or '.'!r} changed while a command could read it: the step runs again, on a copy"
                self.context.warn(Warned("ContextChanged", message, self.step.location))
                return False
        return True
