"""RUN, executed: the command runs in a sandbox, what it changed becomes a layer, what its mounts showed the inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from builder.linux.cancel import Cancel
from builder.plan.step import BindMount, ContextSource, RunStep
from builder.sandbox.spec import DEFAULT_HOSTNAME
from builder.solve.commit import commit_step, until_cancelled
from builder.solve.events import Warned
from builder.solve.executor import Emit, Executed, Inputs
from builder.solve.results import Stack
from builder.solve.run.binds import Shown
from builder.solve.run.execute import RunTools, run_step

if TYPE_CHECKING:
    from builder.solve.context import SolveContext


def commit_run(step: RunStep, parent: Stack, context: SolveContext, emit: Emit, cancel: Cancel) -> Executed:
    """Run `step` on top of `parent`, and commit its layer. Raises PybuildError, Cancelled."""
    layers, tools = context.run.stack_layers(parent), _tools(context)
    # Once more for each mount at most: a part that moved is a copy from then on, and copies hold still.
    while True:
        with run_step(step, layers, tools, emit, cancel) as done:
            if _held_still(step, done.shown, context):
                committed = commit_step(step, until_cancelled(done.changes(), cancel), context)
                done.keep(committed.layer.diff_id)
                inputs = context.run.inputs(step, dict(done.shown)) if step.op.mounts else Inputs({})
                return Executed(committed.layer, inputs, committed.warnings)


def _tools(context: SolveContext) -> RunTools:
    """Return what RUN steps share."""
    settings = context.settings
    return RunTools(
        snapshotter=context.worker.snapshotter,
        sandbox=context.worker.sandbox,
        sources=context.run.mount_sources(),
        network=settings.network,
        host_network="host" if "network.host" in settings.allow else "shared",
        hostname=settings.hostname or DEFAULT_HOSTNAME,
        options=settings.run,
    )


def _held_still(step: RunStep, shown: Mapping[BindMount, Shown], context: SolveContext) -> bool:
    """Say whether all that the command could read held still; what did not is mounted as a copy from now on."""
    for mount, seen in shown.items():
        if (path := seen.moved()) is not None and isinstance(mount.source, ContextSource):
            context.run.mount_sources().copies.moving.add((mount.source.name, mount.subpath))
            message = f"{path or '.'!r} changed while a command could read it: the step runs again, on a copy"
            context.warn(Warned("ContextChanged", message, step.label.location))
            return False
    return True
