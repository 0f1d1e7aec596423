"""COPY, ADD and WORKDIR. A copy's layer is written while the sources are read; its inputs are digested on the way."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from builder.linux.cancel import Cancel
from builder.plan.step import CopyStep, WorkdirStep
from builder.solve.copy.selection import CopySelection, read_inputs
from builder.solve.events import EventSink
from builder.solve.job import Inputs, JobResult, StepJob
from builder.solve.job_tools import JobTools


class CopyExecutor(NamedTuple):
    """`step` is the job's."""

    step: CopyStep
    job: StepJob
    tools: JobTools

    def read_inputs(self) -> Inputs:
        return read_inputs(self.selection())

    def execute(self, sink: EventSink, cancel: Cancel) -> JobResult:
        return _execute(self, cancel)

    def selection(self) -> CopySelection:
        """Return what selects the files; nothing is looked at before it is asked."""
        store = self.tools.worker.store
        return CopySelection(
            self.step,
            partial(self.tools.tree, self.job),
            # Not asked for before a URL is met: it brings clients along.
            lambda source, exclude: self.tools.find_remote()(source, exclude),
            made_at=self.job.made_at,
            temporary=store.temporary.path,
            large=store.large_layers,
        )


class WorkdirExecutor(NamedTuple):
    """`step` is the job's."""

    step: WorkdirStep
    job: StepJob
    tools: JobTools

    def read_inputs(self) -> Inputs:
        return Inputs({})

    def execute(self, sink: EventSink, cancel: Cancel) -> JobResult:
        return _execute(self, cancel)


def _execute(executor: CopyExecutor | WorkdirExecutor, cancel: Cancel) -> JobResult:
    from builder.solve.copy.execute import execute  # gate: must execute. Layers and accounts

    return execute(executor, cancel)
