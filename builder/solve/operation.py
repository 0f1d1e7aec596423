"""One kind of step, bound to its step and the file system below it: what it reads, and how it makes its layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol, assert_never

from builder.plan.step import CopyStep, RunStep, WorkdirStep
from builder.solve.cache_key import LayerStep
from builder.solve.layer_maker import make_layer
from builder.solve.solution import Solution, Stack
from builder.store.layers import LayerRecord

if TYPE_CHECKING:
    from builder.solve.workshop import Workshop

Emit = Callable[[bytes], None]


class Operation(Protocol):
    """An operation is used by one thread."""

    inputs_come_after: bool
    """Making the layer tells the inputs as well: asking for them first would read everything twice."""

    def inputs(self) -> Any:
        """Return the inputs member of the cache key's preimage. Raises PybuildError."""
        ...

    def make(self, emit: Emit, cancel: Event) -> LayerRecord:
        """Execute the step and write its layer to the store. Raises PybuildError, Cancelled."""
        ...


def new_operation(step: LayerStep, parent: Stack, workshop: Workshop, solution: Solution) -> Operation:
    """Return the operation for `step` on top of `parent`."""
    match step:
        case RunStep():
            return RunOperation(step, parent, workshop)
        case CopyStep():
            return CopyOperation(step, parent, workshop, solution)
        case WorkdirStep():
            return WorkdirOperation(step, parent, workshop)
        case _:
            assert_never(step)


@dataclass(slots=True)
class RunOperation:
    step: RunStep
    parent: Stack
    workshop: Workshop
    inputs_come_after: bool = False

    def inputs(self) -> Any:
        if not self.step.mounts:
            return {}
        from builder.solve.run_inputs import run_inputs

        return run_inputs(self.step, self.workshop.mount_sources(), self.workshop.store.plans)

    def make(self, emit: Emit, cancel: Event) -> LayerRecord:
        from builder.solve.run_op import run_step

        layers = self.workshop.views.stack_layers(self.parent)
        with run_step(self.step, layers, self.workshop.run_tools(), emit, cancel) as done:
            record = make_layer(self.workshop.store, done.changes(), epoch=self.workshop.circumstances.epoch)
            done.keep(record.diff_id)
        return record
