"""What the RUN steps of one build share, made when the first one asks: what mounts show, and what they are made from.

A step that is cached asks for its inputs alone; execute.py has the tools of those that run.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from builder.plan.step import BindMount, RunStep, StepID
from builder.snapshot.snapshotter import StackLayer
from builder.solve.executor import Inputs
from builder.solve.results import Stack
from builder.solve.run.binds import Shown
from builder.solve.run.cache_mounts import CacheMounts
from builder.solve.run.inputs import run_inputs, run_seen, stage_lines
from builder.solve.run.mounts import MountSources, MountTrees
from builder.solve.run.sightings import Sightings

if TYPE_CHECKING:
    from builder.solve.context import SolveContext


class RunContext:
    """Of the context of one plan."""

    def __init__(self, context: SolveContext) -> None:
        self._context = context
        self._sightings = Sightings()
        self._trees = MountTrees(context.contexts.tree, self._layers_of, self._sightings)
        self._sources: MountSources | None = None

    def stack_layers(self, stack: Stack) -> tuple[StackLayer, ...]:
        """Return the layers of `stack` as the snapshotter wants them, base first."""
        return tuple(StackLayer(*layer) for layer in self._context.views.layers(stack))

    def inputs(self, step: RunStep, shown: Mapping[BindMount, Shown]) -> Inputs:
        """Return the inputs of `step`; those of the mounts in `shown` are what the command saw. Raises PybuildError."""
        document = run_inputs(step, self._trees, self._context.store.documents, shown)
        return Inputs(document, partial(run_seen, step, self._trees, shown))

    def stage_lines(self, step: RunStep, stack: Stack, path: str) -> bytes:
        """Return the lines of what a mount of `step` shows at `path` of `stack`. Raises PybuildError."""
        return b"".join(stage_lines(step, self.stack_layers(stack), path))

    def mount_sources(self) -> MountSources:
        """Return what mounts are made from; the worker must be open."""
        if self._sources is None:
            context = self._context
            owners = not context.worker.single_id
            store, settings = context.store, context.settings
            self._sources = MountSources(
                context=context.contexts.tree,
                layers=self._layers_of,
                snapshotter=context.worker.snapshotter,
                caches=CacheMounts(store.mounts, store.trash, settings.cache_namespace, owners, store.leases.pin),
                temporary=store.temporary.path,
                trash=store.trash,
                secrets=settings.secrets,
                ssh=settings.ssh,
                in_place=context.worker.sandbox.name != "chroot",
                owners=owners,
                sightings=self._sightings,
                cancel=context.cancel,
            )
        return self._sources

    def _layers_of(self, step: StepID | None) -> tuple[StackLayer, ...]:
        """Return the layers of the file system after a step that is solved."""
        return self.stack_layers(self._context.results.stack(step))
