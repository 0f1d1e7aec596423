"""What a build would do: for each step, whether the cache has it, and if not, why. Nothing is executed.

A step on top of one that must run has no key yet: its key names the content below it, which does not exist. It is
reported as waiting for that step; it may still be a hit when the content turns out to be what it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from builder.oci.digest import ChainID
from builder.plan.plan import Plan
from builder.plan.step import (
    CopyOp,
    ImageOp,
    ImageStep,
    LayerStep,
    Op,
    RunOp,
    Step,
    StepID,
    dependencies,
    does,
    makes_layer,
    steps_read,
)
from builder.solve.cache_key import definition
from builder.solve.context import SolveContext
from builder.solve.difference import NO_REASONS, Reasons, only
from builder.solve.keyed_step import keyed
from builder.solve.reason.explain import Explainer
from builder.solve.results import SCRATCH, Stack, StepResult, stack_of
from builder.solve.seen import Seen

_UNKNOWN = ChainID("")
"""Stands for the chain ID of what isn't there yet."""

Outcome = Literal["hit", "miss", "waits", "present", "fetch"]
"""A layer step is a hit, a miss, or waits for a miss below; an image step's layers are present or to be fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStatus:
    step: Step[Op]
    outcome: Outcome
    key: str = ""
    why: Reasons = NO_REASONS
    last_key: str = ""
    """Of the record that answers for it, or that it is compared with: what is kept beside that tells its last run."""

    @property
    def reason(self) -> str:
        """Why it must run, in one line: a public name (docs/api.md)."""
        return self.why.words


@dataclass(frozen=True, slots=True)
class DryRun:
    plan: Plan
    steps: tuple[StepStatus, ...]


def dry_run_plan(plan: Plan, context: SolveContext) -> DryRun:
    """Look every step up. Raises PybuildError for what would fail before anything ran (a missing COPY source)."""
    found = []
    explainer = Explainer(plan, context)
    # In order: a hit gives the steps above it what they stand on. A miss gives nothing, so all above it wait.
    for step in plan.steps:
        blocking = [needed for needed in dependencies(step) if needed not in context.results.steps]
        if blocking:
            found.append(_waiting(step, blocking, explainer))
        elif does(step, ImageOp):
            found.append(_image(step, context))
        elif makes_layer(step):
            found.append(_layer(step, explainer))
    context.close()
    return DryRun(plan, tuple(found))


def _image(step: ImageStep, context: SolveContext) -> StepStatus:
    layers = context.resolver.find_layers(step.op.manifest_digest)
    if layers is None:
        return StepStatus(step=step, outcome="fetch", why=only("not-fetched", "its layers are not here yet"))
    context.results.steps[step.id] = StepResult(stack=stack_of(layers), cached=True)
    return StepStatus(step=step, outcome="present")


def _waiting(step: Step[Op], blocking: list[StepID], explainer: Explainer) -> StepStatus:
    """Return the status of a step that stands on steps without a result: what is new in it, and which it waits for."""
    is_linked = isinstance(step.op, CopyOp) and step.op.link
    reads_known = not any(needed in blocking for needed in steps_read(step))
    if does(step, CopyOp) and is_linked and reads_known and not step.op.is_remote:
        return _layer(step, explainer, SCRATCH)  # what is below it is no part of its key
    if not makes_layer(step) or step.parent not in blocking or is_linked:
        titles = ", ".join(explainer.plan.steps[needed].title for needed in blocking)
        why = only("waits", f"waits for {titles}", titles)
        last_key = explainer.earlier(step) if makes_layer(step) else None
        return StepStatus(step=step, outcome="waits", why=why, last_key=last_key or "")
    # A preimage that lacks what is below: all else of it can be compared with that of the last build.
    document = definition(step.op, _UNKNOWN, explainer.context.key_environment)
    seen: tuple[Seen, ...] = ()
    # What is not there yet cannot be looked into, and what lies elsewhere would have to be fetched,
    # which a dry run does not.
    if reads_known and not (isinstance(step.op, CopyOp) and step.op.is_remote):
        # Scratch stands in for what is below: inputs are of what is read, and do not hang on it.
        inputs = keyed(step, explainer.context, SCRATCH).inputs
        document["inputs"] = inputs.document
        seen = inputs.seen()
    return StepStatus(
        step=step,
        outcome="waits",
        why=explainer.reason_waiting(step, document, seen),
        last_key=explainer.earlier(step) or "",
    )


def _layer(step: LayerStep, explainer: Explainer, parent: Stack | None = None) -> StepStatus:
    """Look a step up. With a `parent` that only stands in for the real one, its result is not kept for later steps."""
    context = explainer.context
    keyed_step = keyed(step, context, parent)
    key = keyed_step.key()
    found = None if step.no_cache else keyed_step.find()
    if found is None:
        in_chroot = isinstance(step.op, RunOp) and context.worker.takes_chroot_results(context.sink)
        why = explainer.reason(keyed_step, in_chroot=in_chroot)
        return StepStatus(step=step, outcome="miss", key=str(key), why=why, last_key=explainer.earlier(step) or "")
    record, layer = found
    if parent is not None:
        explainer.hits.add(step.id)
    else:
        stack = keyed_step.parent.with_layer(layer)
        context.results.steps[step.id] = StepResult(stack=stack, layer=layer, cached=True, key=str(record.key))
    return StepStatus(step=step, outcome="hit", key=str(record.key), last_key=str(record.key))
