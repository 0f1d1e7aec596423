"""A layer step on its way to a cache key: what solving a plan and forecasting it have in common.

The definition is known at once; the inputs are read when the key is asked for, and only then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builder.oci.digest import Digest, digest_of
from builder.plan.step import CopyStep, RunStep
from builder.solve.cache_key import LayerStep, definition, definition_digest, preimage
from builder.solve.known_isolation import CHROOT
from builder.solve.op import Op, op_for
from builder.solve.results import SCRATCH, Stack

if TYPE_CHECKING:
    from builder.solve.context import SolveContext
    from builder.store.layers import LayerRecord
    from builder.store.records import CacheRecord


@dataclass(slots=True)
class KeyedStep:
    """`parent` is the file system the layer goes on top of; `preimage` is empty and `key` None until `complete`."""

    step: LayerStep
    parent: Stack
    op: Op
    definition: dict[str, Any]
    definition_digest: Digest
    preimage: bytes = b""
    key: Digest | None = None
    _inputs: Any = None

    def complete(self) -> Digest:
        """Return the key, reading the inputs if that hasn't been done. Raises PybuildError."""
        if self.key is None:
            self._read()
            self.key = digest_of(self.preimage)
        return self.key

    def confirm(self, *, in_chroot: bool) -> tuple[Digest, bytes]:
        """Return key and preimage of what was read in fact, once the layer has been made. Raises PybuildError."""
        self._read()
        return self.identity(in_chroot=in_chroot)

    def identity(self, *, in_chroot: bool) -> tuple[Digest, bytes]:
        """Return key and preimage of the step, or of the same step run in a chroot. Raises PybuildError."""
        self.complete()
        found = preimage(self.definition, self._inputs, CHROOT if in_chroot else "")
        return digest_of(found), found

    def _read(self) -> None:
        self._inputs = self.op.inputs()
        self.preimage = preimage(self.definition, self._inputs)

    def find(self, context: SolveContext) -> tuple[CacheRecord, LayerRecord] | None:
        """Return the record that may answer for this step, and its layer. Raises PybuildError."""
        record = context.records.find(self.complete())
        if record is None and isinstance(self.step, RunStep):
            record = context.records.find(self.identity(in_chroot=True)[0])
            if record is not None and not context.worker.takes_chroot_results(context.sink):
                return None
        return (record, record.layer) if record is not None and record.layer is not None else None


def keyed(step: LayerStep, context: SolveContext, parent: Stack | None = None) -> KeyedStep:
    """Return the attempt at `step`; what it stands on must be solved, or is `parent`."""
    parent = context.results.stack(step.parent) if parent is None else parent
    # COPY --link doesn't see what is below it, and so doesn't depend on it.
    seen = SCRATCH if isinstance(step, CopyStep) and step.link else parent
    document = definition(step, seen.chain_id, context.key_environment)
    return KeyedStep(step, parent, op_for(step, seen, context), document, definition_digest(document))
