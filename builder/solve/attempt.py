"""A layer step on its way to a cache key: what solving a plan and forecasting it have in common.

The definition is known at once; the inputs are read when the key is asked for, and only then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builder.oci.digest import Digest, digest_of
from builder.plan.step import CopyStep
from builder.solve.cache_key import LayerStep, definition, definition_digest, preimage
from builder.solve.operation import Operation, new_operation
from builder.solve.solution import SCRATCH, Stack

if TYPE_CHECKING:
    from builder.solve.workshop import Workshop


@dataclass(slots=True)
class Attempt:
    """`parent` is the file system the layer goes on top of; `preimage` is empty and `key` None until `complete`."""

    step: LayerStep
    parent: Stack
    operation: Operation
    definition: dict[str, Any]
    definition_digest: Digest
    preimage: bytes = b""
    key: Digest | None = None

    def complete(self) -> Digest:
        """Return the key, reading the inputs if that hasn't been done. Raises PybuildError."""
        if self.key is None:
            self.preimage = preimage(self.definition, self.operation.inputs())
            self.key = digest_of(self.preimage)
        return self.key


def new_attempt(step: LayerStep, workshop: Workshop) -> Attempt:
    """Return the attempt at `step`; what it stands on must be solved."""
    parent = workshop.solution.stack(step.parent)
    # COPY --link doesn't see what is below it, and so doesn't depend on it.
    seen = SCRATCH if isinstance(step, CopyStep) and step.link else parent
    document = definition(step, seen.chain_id, workshop.circumstances)
    return Attempt(step, parent, new_operation(step, seen, workshop), document, definition_digest(document))
