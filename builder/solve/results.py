"""What the solver found: for each step its layers, and how it came by them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builder.oci.digest import EMPTY_CHAIN, ChainID, chain_id_of
from builder.plan.step import StepID

if TYPE_CHECKING:
    from builder.store.layers import LayerRecord


@dataclass(frozen=True, slots=True)
class Stack:
    """A file system: layers, base first. The empty stack is scratch."""

    layers: tuple[LayerRecord, ...] = ()
    # Kept, as each step's definition asks for it: to compute it takes a digest for each layer.
    chain_id: ChainID = EMPTY_CHAIN

    def with_layer(self, layer: LayerRecord) -> Stack:
        return stack_of((*self.layers, layer))


def stack_of(layers: tuple[LayerRecord, ...]) -> Stack:
    """Return the stack of these layers."""
    return Stack(layers, chain_id_of(layer.diff_id for layer in layers))


SCRATCH = Stack()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """One step's result. `layer` is the layer it added; None for an image step."""

    stack: Stack
    layer: LayerRecord | None = None
    created: int = 0
    """Nanoseconds since 1970 at which the layer was made; 0 for an image step."""
    cached: bool = False
    key: str = ""
    reason: str = ""
    seconds: float = 0.0
    in_chroot: bool = False
    """A RUN that was not isolated made it."""


@dataclass(slots=True)
class Results:
    """All steps' results, by id."""

    steps: dict[StepID, StepResult] = field(default_factory=dict)

    def stack(self, step: StepID | None) -> Stack:
        """Return the file system after `step`; scratch for None."""
        return SCRATCH if step is None else self.steps[step].stack
