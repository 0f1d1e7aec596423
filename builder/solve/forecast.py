"""What a build would do: for each step, whether the cache has it, and if not, why. Nothing is executed.

A step on top of one that must run has no key yet: its key names the content below it, which does not exist. It is
reported as waiting for that step; it may still be a hit when the content turns out to be what it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from builder.plan.plan import Plan
from builder.plan.step import ImageStep, Step, dependencies
from builder.solve.attempt import new_attempt
from builder.solve.cache_key import LayerStep
from builder.solve.reason import NO_CACHE, main_reason
from builder.solve.solution import Solved, stack_of
from builder.solve.solver import place_names
from builder.solve.workshop import Workshop

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
    names = place_names(plan, workshop.build_name)
    for step in plan.steps:
        blocking = [needed for needed in dependencies(step) if needed not in workshop.solution.steps]
        if blocking:
            titles = ", ".join(plan.steps[needed].title for needed in blocking)
            found.append(StepForecast(step=step, outcome="waits", reason=f"waits for {titles}"))
        elif isinstance(step, ImageStep):
            found.append(_image(step, workshop))
        else:
            found.append(_layer(step, workshop, names[step.id]))
    workshop.close()
    return Forecast(plan, tuple(found))


def _image(step: ImageStep, workshop: Workshop) -> StepForecast:
    layers = workshop.resolver.find_layers(step.manifest_digest)
    if layers is None:
        return StepForecast(step=step, outcome="fetch", reason="its layers are not here yet")
    workshop.solution.steps[step.id] = Solved(stack=stack_of(layers), cached=True)
    return StepForecast(step=step, outcome="present")


def _layer(step: LayerStep, workshop: Workshop, name: str) -> StepForecast:
    attempt = new_attempt(step, workshop)
    key = attempt.complete()
    if step.no_cache:
        return StepForecast(step=step, outcome="miss", key=str(key), reason=NO_CACHE)
    found = attempt.find(workshop)
    if found is None:
        latest = workshop.records.latest(name)
        reason = main_reason(latest.preimage if latest else None, attempt.preimage)
        return StepForecast(step=step, outcome="miss", key=str(key), reason=reason)
    record, layer = found
    stack = attempt.parent.with_layer(layer)
    workshop.solution.steps[step.id] = Solved(stack=stack, layer=layer, cached=True, key=str(record.key))
    return StepForecast(step=step, outcome="hit", key=str(record.key))
