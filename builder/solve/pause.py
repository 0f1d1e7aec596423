"""Who is asked while a build goes on, and what is handed to them: a step that is done, or a RUN that failed.

    attendant.after_step(PausedStep)      after each step, in the order of the plan; False: the rest goes on unasked
    attendant.after_failure(FailedStep)   once nothing runs any more, and before what the RUN left is thrown away

Both on the main thread, while no step runs. Without an attendant nothing here is imported (docs/architecture.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from builder.errors import StepFailed
from builder.layer.changes import LayerChange, layer_changes
from builder.oci.digest import Digest
from builder.plan.plan import Plan
from builder.plan.step import CacheMount, ImageOp, Op, RunOp, RunStep, Step
from builder.solve.context import SolveContext
from builder.solve.reason.below import ancestors
from builder.solve.results import StepResult
from builder.solve.run.failed import FailedRun, FailedRuns
from builder.solve.shell import Streams, Surroundings, find_shell, run_in_failed, run_in_tree, surroundings
from builder.transport.layer_index import open_layer_index
from builder.transport.present import load_manifest


class Attendant(Protocol):
    """Somebody who looks on, and whom the build waits for."""

    stops: bool
    """Whether to stop after each step."""
    failed_runs: FailedRuns | None
    """Keeps a RUN that fails until it was looked at; None clears it away at once."""

    def after_step(self, step: PausedStep) -> bool:
        """Look at a step; say whether to stop after the next one, too. Raises Cancelled to end the build."""
        ...

    def after_failure(self, failure: FailedStep) -> None:
        """Look at a RUN that failed. The build fails afterwards."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PausedStep:
    """A step of a plan that has its result; `number` counts from 1, of all the plan's steps."""

    step: Step[Op]
    number: int
    plan: Plan
    context: SolveContext

    @property
    def result(self) -> StepResult:
        return self.context.results.steps[self.step.id]

    def changes(self) -> tuple[LayerChange, ...]:
        """Return what its layer does to what is below it; nothing for an image. Raises LayerError, StoreError."""
        layer = self.result.layer
        if layer is None:
            return ()
        below = self.context.tools.views.view(self.context.results.stack(self.step.parent))
        with open_layer_index(self.context.store, layer) as index:
            return tuple(layer_changes(index, below))

    def preimage(self) -> bytes | None:
        """Return what its key is the digest of. Raises StoreError."""
        return self.context.cache.preimage(Digest(self.result.key)) if self.result.key else None

    def run_shell(self, streams: Streams) -> int:
        """Run a shell in the tree after the step; return its exit code.

        Its variables, directory and user are those of the nearest RUN up to here, else the base image's.
        Raises SandboxError, LayerError, StoreError.
        """
        context, settings = self.context, self.context.settings
        argv = self.step.op.argv if isinstance(self.step.op, RunOp) else ()
        views = context.tools.views
        shell = find_shell(views.view(self.result.stack), argv)
        context.worker.open(context.sink, needs_network=settings.network == "default")
        context.worker.check(settings.run)
        status = run_in_tree(
            context.worker,
            views,
            self.result.stack,
            self._surroundings(),
            shell,
            streams,
            network=settings.network,
            hostname=self.plan.hostname,
            options=settings.run,
        )
        return status.code

    def _surroundings(self) -> Surroundings:
        steps = (self.step, *ancestors(self.plan, self.step))
        keys = [self.context.results.steps[step.id].key for step in steps]
        image = next((step.op for step in steps if isinstance(step.op, ImageOp)), None)
        base = None if image is None else load_manifest(self.context.store, Digest(image.manifest_digest)).config
        return surroundings(keys, self.context.cache.preimage, None if base is None else base.runtime)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedStep:
    """A RUN that failed, with its tree and its mounts still there."""

    run: FailedRun
    context: SolveContext

    @property
    def step(self) -> RunStep:
        return self.run.step

    @property
    def error(self) -> StepFailed:
        return self.run.error

    @property
    def has_cache_mounts(self) -> bool:
        return any(isinstance(mount, CacheMount) and not mount.readonly for mount in self.step.op.mounts)

    def run_shell(self, streams: Streams, path: str = "") -> int:
        """Run a shell, or `path`, where the RUN failed; return its exit code. Raises SandboxError, StoreError."""
        return run_in_failed(self.context.worker, self.run, streams, path).code
