"""RUN: its inputs are what its mounts show; its layer is what the command changed."""

from __future__ import annotations

from typing import NamedTuple

from builder.linux.cancel import Cancel
from builder.plan.step import RunStep
from builder.solve.events import EventSink
from builder.solve.job import Inputs, JobResult, StepJob
from builder.solve.job_tools import JobTools


class RunExecutor(NamedTuple):
    """`step` is the job's."""

    step: RunStep
    job: StepJob
    tools: JobTools

    def read_inputs(self) -> Inputs:
        return self.tools.run.inputs(self.step, self.job, {}) if self.step.op.mounts else Inputs({})

    def execute(self, sink: EventSink, cancel: Cancel) -> JobResult:
        return self.tools.worker.opened.commit_run(self.step, self.job, self.tools, sink, cancel)
