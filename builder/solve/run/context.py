"""What the RUN steps of one build share, made when the first one asks: what mounts show, and what they are made from.

A step that is cached asks for its inputs alone; layer.py has the tools of those that run.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from builder.plan.step import BindMount, RunStep, StepID
from builder.snapshot.snapshotter import StackLayer
from builder.solve.job import Inputs, StepJob
from builder.solve.results import Stack
from builder.solve.run.binds import ContextCopies, Shown
from builder.solve.run.cache_mounts import CacheMounts
from builder.solve.run.inputs import run_inputs, run_seen, stage_lines
from builder.solve.run.mounts import MountSources, MountTrees
from builder.solve.run.sightings import Sightings

if TYPE_CHECKING:
    from builder.solve.job_tools import JobTools


class RunContext:
    """Of the jobs of one build. Safe for threads."""

    def __init__(self, tools: JobTools) -> None:
        self._tools = tools
        self._sightings = Sightings()
        self._copies = ContextCopies()
        self._caches: CacheMounts | None = None
        self._lock = Lock()

    def stack_layers(self, stack: Stack) -> tuple[StackLayer, ...]:
        """Return the layers of `stack` as the snapshotter wants them, base first."""
        return tuple(StackLayer(*layer) for layer in self._tools.views.layers(stack))

    def inputs(self, step: RunStep, job: StepJob, shown: Mapping[BindMount, Shown]) -> Inputs:
        """Return the inputs of `step`, the job's; those of the mounts in `shown` are what the command saw.

        Raises PybuildError.
        """
        trees = MountTrees(partial(self._tools.context, job), partial(self._layers, job), self._sightings)
        document = run_inputs(step, trees, self._tools.worker.store.documents, shown)
        return Inputs(document, partial(run_seen, step, trees, shown))

    def stage_lines(self, step: RunStep, stack: Stack, path: str) -> bytes:
        """Return the lines of what a mount of `step` shows at `path` of `stack`. Raises PybuildError."""
        return b"".join(stage_lines(step, self.stack_layers(stack), path))

    def mount_sources(self, job: StepJob) -> MountSources:
        """Return what the mounts of a job are made from; the worker must be open."""
        worker, secrets = self._tools.worker, self._tools.secrets
        store, owners = worker.store, not worker.single_id
        with self._lock:
            # One for all RUNs of a build: it remembers what --no-cache has emptied, and what was emptied
            # once must not be again.
            if self._caches is None:
                namespace = job.settings.cache_namespace
                self._caches = CacheMounts(store.mounts, store.trash, namespace, owners, store.leases.pin)
        return MountSources(
            context=partial(self._tools.context, job),
            layers=partial(self._layers, job),
            snapshotter=worker.snapshotter,
            caches=self._caches,
            temporary=store.temporary.path,
            trash=store.trash,
            secrets=secrets.values,
            ssh=secrets.ssh,
            in_place=worker.sandbox.name != "chroot",
            owners=owners,
            sightings=self._sightings,
            copies=self._copies,
            cancel=worker.cancel,
        )

    def _layers(self, job: StepJob, step: StepID | None) -> tuple[StackLayer, ...]:
        """Return the layers of the file system after another step."""
        return self.stack_layers(job.stack(step))
