"""A layer step and its cache key: what solving a plan and looking it over (dry_run.py) have in common.

The definition is known at once; the inputs are read when the key is asked for, and only then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.oci.canonical import JsonObject
from builder.oci.digest import Digest, digest_of
from builder.plan.step import CopyOp, LayerStep, RunOp
from builder.solve.cache_key import definition, definition_digest, preimage
from builder.solve.job import Inputs, JobResult, StepJob
from builder.solve.known_isolation import CHROOT
from builder.solve.results import SCRATCH, Stack

if TYPE_CHECKING:
    from builder.solve.context import SolveContext
    from builder.store.layers import LayerRecord
    from builder.store.records import CacheRecord


@dataclass(slots=True)
class KeyedStep:
    """A step with its definition, and its key once that is asked for.

    `parent` is the file system below its layer, `_seen` what the step sees of it.
    """

    step: LayerStep
    parent: Stack
    _seen: Stack
    definition: JsonObject
    definition_digest: Digest
    _context: SolveContext
    _job: StepJob | None = None
    _inputs: Inputs | None = None
    _key: Digest | None = None

    def job(self) -> StepJob:
        """Return the job that executes the step; with its inputs, where they are known. Raises PybuildError."""
        if self._job is None:
            self._job = self._context.job(self.step, self._seen, self.definition)
        return self._job if self._inputs is None else self._job._replace(inputs=self._inputs.document)

    @property
    def inputs(self) -> Inputs:
        """What the step reads; it is read when this is first asked for. Raises PybuildError."""
        if self._inputs is None:
            self._inputs = self._noted(self._context.worker.executor(self.job(), self._context.secrets).read_inputs())
        return self._inputs

    def key(self) -> Digest:
        """Return the key of the step. Raises PybuildError."""
        if self._key is None:
            self._key = self.identity()[0]
        return self._key

    def identity(self, *, in_chroot: bool = False) -> tuple[Digest, bytes]:
        """Return key and preimage of the step, or of the same step run in a chroot. Raises PybuildError."""
        found = preimage(self.definition, self.inputs.document, CHROOT if in_chroot else "")
        return digest_of(found), found

    def replace_inputs(self, result: JobResult) -> None:
        """Take the inputs as they were when the layer was made; the key is made anew from them."""
        self._inputs, self._key = self._noted(result.inputs), None

    def find(self) -> tuple[CacheRecord, LayerRecord] | None:
        """Return the record that may answer for this step, and its layer. Raises PybuildError."""
        # The isolated result first: what a chroot made answers only where no more can be had (docs/decisions/0011).
        record = self._context.cache.find(self.key())
        if record is None and isinstance(self.step.op, RunOp):
            record = self._context.cache.find(self.identity(in_chroot=True)[0])
            # Asked last: where nobody knows yet what works here, this enters namespaces to find out.
            if record is not None and not self._context.worker.takes_chroot_results(self._context.sink):
                return None
        return (record, record.layer) if record is not None and record.layer is not None else None

    def _noted(self, inputs: Inputs) -> Inputs:
        for warning in inputs.warnings:
            self._context.warn(warning)
        return inputs


def keyed(step: LayerStep, context: SolveContext, parent: Stack | None = None) -> KeyedStep:
    """Return `step` ready to be looked up and executed. The step below it must be solved, unless `parent` is given."""
    parent = context.results.stack(step.parent) if parent is None else parent
    # COPY --link doesn't see what is below it, and so doesn't depend on it.
    seen = SCRATCH if isinstance(step.op, CopyOp) and step.op.link else parent
    document = definition(step.op, seen.chain_id, context.key_environment)
    return KeyedStep(step, parent, seen, document, definition_digest(document), context)
