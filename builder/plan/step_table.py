"""The steps of a plan as they are found. Equal steps become one, so that they run once (Q-1)."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from builder.plan.step import CopyStep, ImageStep, RunStep, Step, StepID, WorkdirStep

_StepT = TypeVar("_StepT", ImageStep, RunStep, CopyStep, WorkdirStep)


class StepTable:
    """Steps in an order that can be executed: what a step reads is always there before it."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._known: dict[tuple[Step, bool], StepID] = {}

    def add(self, step: _StepT) -> StepID:
        """Give the step an id; that of an equal step when there is one. Titles and locations don't count."""
        # No key has it, so it does not count when steps are compared; but one that must run is not one that need not.
        no_cache = not isinstance(step, ImageStep) and step.no_cache
        key: tuple[Step, bool] = (replace(step, id=StepID(-1)), no_cache)
        if key not in self._known:
            self._known[key] = StepID(len(self.steps))
            self.steps.append(replace(step, id=self._known[key]))
        return self._known[key]
