"""Namespaces entered, a sandbox that works here, and the snapshots that go with it: what a worker is opened with."""

from __future__ import annotations

from typing import NamedTuple

from builder.linux.cancel import Cancel
from builder.oci.run_options import RunOptions
from builder.plan.step import RunStep
from builder.sandbox.choose import IsolationChoice, open_sandbox
from builder.sandbox.limits import check_limits
from builder.sandbox.namespace import enter_build_namespace
from builder.sandbox.runner import Sandbox
from builder.snapshot.copying import CopyingSnapshotter
from builder.snapshot.overlay import OverlaySnapshotter
from builder.snapshot.snapshotter import Place, Snapshotter, place_of
from builder.solve.events import EventSink
from builder.solve.job import JobResult, StepJob
from builder.solve.job_tools import JobTools
from builder.solve.run.layer import commit_run
from builder.store.store import Store


class OpenedIsolation(NamedTuple):
    """What a worker has open to execute RUN with, and where its snapshots live."""

    sandbox: Sandbox
    choice: IsolationChoice
    snapshotter: Snapshotter
    place: Place

    def check_limits(self, options: RunOptions) -> None:
        """Find out whether limits can be had. The process must have one thread. Raises SandboxError."""
        check_limits(options)

    def commit_run(self, step: RunStep, job: StepJob, tools: JobTools, sink: EventSink, cancel: Cancel) -> JobResult:
        """Run the step of `job`, and commit its layer. Raises PybuildError, Cancelled."""
        return commit_run(step, job, tools, sink, cancel)


def open_isolation(store: Store, requested: str | None, area: str, *, start_network: bool) -> OpenedIsolation:
    """Enter the namespaces and open the isolation asked for, or the first that works; `area` is for its trials.

    The process must have one thread. Raises SandboxError.
    """
    namespace = enter_build_namespace()
    sandbox, choice = open_sandbox(requested, namespace=namespace, store=area, start_network=start_network)
    try:
        place = place_of(store, namespace)
        snapshotter = OverlaySnapshotter(place) if choice.overlay else CopyingSnapshotter(place)
    except BaseException:
        # The worker is not open yet, so it would not close this; the sandbox is a process, and may hold a network.
        sandbox.close()
        raise
    return OpenedIsolation(sandbox, choice, snapshotter, place)
