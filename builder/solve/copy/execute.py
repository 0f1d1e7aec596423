"""COPY, ADD and WORKDIR, executed: their layers written and committed."""

from __future__ import annotations

from builder.linux.cancel import Cancel
from builder.solve.commit import commit_step, until_cancelled
from builder.solve.copy.executor import CopyExecutor, WorkdirExecutor
from builder.solve.copy.layer import CopyLayer
from builder.solve.copy.workdir import workdir_layer_items
from builder.solve.executor import Executed


def execute(executor: CopyExecutor | WorkdirExecutor, cancel: Cancel) -> Executed:
    """Make the layer of a step. Raises PybuildError, Cancelled."""
    parent = executor.context.views.view(executor.parent)
    if isinstance(executor, CopyExecutor):
        layer = CopyLayer(executor.selection(), parent)
        committed = commit_step(executor.step, until_cancelled(layer.items(), cancel), executor.context)
        return Executed(committed.layer, layer.inputs(committed.hashed), committed.warnings)
    items = workdir_layer_items(executor.step, parent, made_at=executor.context.now())
    committed = commit_step(executor.step, items, executor.context)
    return Executed(committed.layer, executor.read_inputs(), committed.warnings)
