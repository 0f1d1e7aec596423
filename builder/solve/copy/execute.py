"""COPY, ADD and WORKDIR, executed: their layers written and committed."""

from __future__ import annotations

from builder.linux.cancel import Cancel
from builder.solve.commit import commit_step, until_cancelled
from builder.solve.copy.layer import CopyLayer
from builder.solve.copy.op import CopyOp, WorkdirOp
from builder.solve.copy.workdir import workdir_layer_items
from builder.solve.op import Executed


def execute(op: CopyOp | WorkdirOp, cancel: Cancel) -> Executed:
    """Make the layer of a step. Raises PybuildError, Cancelled."""
    parent = op.context.views.view(op.parent)
    if isinstance(op, CopyOp):
        layer = CopyLayer(op.selection(), parent)
        committed = commit_step(op.step, until_cancelled(layer.items(), cancel), op.context)
        return Executed(committed.layer, layer.inputs(committed.hashed), committed.warnings)
    items = workdir_layer_items(op.step, parent, made_at=op.context.now())
    committed = commit_step(op.step, items, op.context)
    return Executed(committed.layer, op.read_inputs(), committed.warnings)
