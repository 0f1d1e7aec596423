"""RUN, executed: the command runs in a sandbox, what it changed becomes a layer, what its mounts showed the inputs."""

from __future__ import annotations

from collections.abc import Mapping

from builder.linux.cancel import Cancel
from builder.plan.step import BindMount, ContextSource, RunStep
from builder.sandbox.spec import DEFAULT_HOSTNAME
from builder.solve.commit import commit_job, until_cancelled
from builder.solve.events import EventSink, StepOutput, Warned
from builder.solve.job import Inputs, JobResult, StepJob
from builder.solve.job_tools import JobTools
from builder.solve.known_isolation import CHROOT
from builder.solve.run.binds import Shown
from builder.solve.run.execute import RunTools, run_step
from builder.solve.run.mounts import MountSources


def commit_run(step: RunStep, job: StepJob, tools: JobTools, sink: EventSink, cancel: Cancel) -> JobResult:
    """Run the step of `job`, and commit its layer. Raises PybuildError, Cancelled."""

    def emit(line: bytes) -> None:
        sink(StepOutput(step.id, line))

    layers, run_tools = tools.run.stack_layers(job.parent), _run_tools(job, tools)
    # Once more for each mount at most: a part that moved is a copy from then on, and copies hold still.
    while True:
        with run_step(step, layers, run_tools, emit, cancel) as done:
            if _held_still(step, done.shown, run_tools.sources, sink):
                committed = commit_job(job, until_cancelled(done.changes(), cancel), tools)
                done.keep(committed.layer.diff_id)
                # With what the mounts showed, and not what they show by now: the key must be of what the command read.
                inputs = tools.run.inputs(step, job, dict(done.shown)) if step.op.mounts else Inputs({})
                in_chroot = run_tools.sandbox.name == CHROOT
                return JobResult(committed.layer, inputs, committed.warnings, in_chroot)


def _run_tools(job: StepJob, tools: JobTools) -> RunTools:
    """Return what RUN steps share."""
    settings = job.settings
    return RunTools(
        snapshotter=tools.worker.snapshotter,
        sandbox=tools.worker.sandbox,
        sources=tools.run.mount_sources(job),
        network=settings.network,
        host_network="host" if "network.host" in settings.allow else "shared",
        hostname=settings.hostname or DEFAULT_HOSTNAME,
        options=settings.run,
        failed_runs=tools.worker.failed_runs,
    )


def _held_still(step: RunStep, shown: Mapping[BindMount, Shown], sources: MountSources, sink: EventSink) -> bool:
    """Say whether all that the command could read held still; what did not is mounted as a copy from now on."""
    for mount, seen in shown.items():
        if (path := seen.moved()) is not None and isinstance(mount.source, ContextSource):
            sources.copies.moving.add((mount.source.name, mount.subpath))
            message = f"{path or '.'!r} changed while a command could read it: the step runs again, on a copy"
            sink(Warned("ContextChanged", message, step.label.location))
            return False
    return True
