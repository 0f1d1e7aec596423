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
    CopyStep,
    GitSource,
    HttpSource,
    ImageStep,
    RunStep,
    Step,
    StepID,
    dependencies,
    steps_read,
)
from builder.solve.attempt import new_attempt
from builder.solve.cache_key import LayerStep, definition
from builder.solve.explain import Explainer
from builder.solve.facts import Seen
from builder.solve.operation import new_operation
from builder.solve.solution import SCRATCH, Solved, Stack, stack_of
from builder.solve.workshop import Workshop

_UNKNOWN = ChainID("")
"""Stands for the chain ID of what isn't there yet."""

Outcome = Literal["hit", "miss", "waits", "present", "fetch"]
"""A layer step is a hit, a miss, or waits for a miss below; an image step's layers are present or to be fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepForecast:
    step: Step
    outcome: Outcome
    key: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Forecast:
    plan: Plan
    steps: tuple[StepForecast, ...]


def forecast_plan(plan: Plan, workshop: Workshop) -> Forecast:
    """Look every step up. Raises PybuildError for what would fail before anything ran (a missing COPY source)."""
    found = []
    explainer = Explainer(plan, workshop)
    for step in plan.steps:
        blocking = [needed for needed in dependencies(step) if needed not in workshop.solution.steps]
        if blocking:
            found.append(_waiting(step, blocking, explainer))
        elif isinstance(step, ImageStep):
            found.append(_image(step, workshop))
        else:
            found.append(_layer(step, explainer))
    workshop.close()
    return Forecast(plan, tuple(found))


def _image(step: ImageStep, workshop: Workshop) -> StepForecast:
    layers = workshop.resolver.find_layers(step.manifest_digest)
    if layers is None:
        return StepForecast(step=step, outcome="fetch", reason="its layers are not here yet")
    workshop.solution.steps[step.id] = Solved(stack=stack_of(layers), cached=True)
    return StepForecast(step=step, outcome="present")


def _waiting(step: Step, blocking: list[StepID], explainer: Explainer) -> StepForecast:
    """Say why a step runs whose parent does: what is new in itself, and what it follows."""
    is_linked = isinstance(step, CopyStep) and step.link
    reads_known = not any(needed in blocking for needed in steps_read(step))
    if isinstance(step, CopyStep) and is_linked and reads_known and not _is_remote(step):
        return _layer(step, explainer, SCRATCH)  # what is below it is no part of its key
    if isinstance(step, ImageStep) or step.parent not in blocking or is_linked:
        titles = ", ".join(explainer.plan.steps[needed].title for needed in blocking)
        return StepForecast(step=step, outcome="waits", reason=f"waits for {titles}")
    document = definition(step, _UNKNOWN, explainer.workshop.circumstances)
    seen: tuple[Seen, ...] = ()
    if reads_known and not _is_remote(step):
        operation = new_operation(step, SCRATCH, explainer.workshop)
        document["inputs"] = operation.inputs()
        seen = operation.seen()
    return StepForecast(step=step, outcome="waits", reason=explainer.reason_waiting(step, document, seen))


def _is_remote(step: LayerStep) -> bool:
    return isinstance(step, CopyStep) and any(isinstance(source, HttpSource | GitSource) for source in step.sources)


def _layer(step: LayerStep, explainer: Explainer, parent: Stack | None = None) -> StepForecast:
    """Look a step up; on top of a `parent` that is not what it will be, nothing can be built."""
    workshop = explainer.workshop
    attempt = new_attempt(step, workshop, parent)
    key = attempt.complete()
    found = None if step.no_cache else attempt.find(workshop)
    if found is None:
        in_chroot = isinstance(step, RunStep) and workshop.machine.takes_chroot_results(workshop.sink)
        reason = explainer.reason(attempt, in_chroot=in_chroot)
        return StepForecast(step=step, outcome="miss", key=str(key), reason=reason)
    record, layer = found
    if parent is None:
        stack = attempt.parent.with_layer(layer)
        workshop.solution.steps[step.id] = Solved(stack=stack, layer=layer, cached=True, key=str(record.key))
    return StepForecast(step=step, outcome="hit", key=str(record.key))
