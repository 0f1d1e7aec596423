"""COPY, ADD and WORKDIR, executed: their layers written and committed."""

from __future__ import annotations

from builder.linux.cancel import Cancel
from builder.solve.commit import commit_job, until_cancelled
from builder.solve.copy.executor import CopyExecutor, WorkdirExecutor
from builder.solve.copy.layer import CopyLayer
from builder.solve.copy.workdir import workdir_layer_items
from builder.solve.job import JobResult


def execute(executor: CopyExecutor | WorkdirExecutor, cancel: Cancel) -> JobResult:
    """Make the layer of a step. Raises PybuildError, Cancelled."""
    job, tools = executor.job, executor.tools
    parent = tools.views.view(job.parent)
    if isinstance(executor, CopyExecutor):
        # First the layer, then the inputs: digests of large files are found while it is written (docs/decisions/0004).
        layer = CopyLayer(executor.selection(), parent)
        committed = commit_job(job, until_cancelled(layer.items(), cancel), tools)
        return JobResult(committed.layer, layer.inputs(committed.hashed), committed.warnings)
    committed = commit_job(job, workdir_layer_items(executor.step, parent, made_at=job.made_at), tools)
    return JobResult(committed.layer, executor.read_inputs(), committed.warnings)
