"""The steps of a plan as they are found. Equal steps become one, so that they run once (Q-1)."""

from __future__ import annotations

from builder.plan.step import Op, Step, StepID, StepLabel


class StepTable:
    """Steps in an order that can be executed: what a step reads is always there before it."""

    def __init__(self) -> None:
        self.steps: list[Step[Op]] = []
        self._known: dict[tuple[StepID | None, Op, bool], StepID] = {}

    def add(self, op: Op, label: StepLabel, *, parent: StepID | None = None, no_cache: bool = False) -> StepID:
        """Return the id of the step that does `op` on top of `parent`: that of an equal one when there is one.

        Labels don't count.
        """
        # No key has it, so it does not count when steps are compared; but one that must run is not one that need not.
        key = (parent, op, no_cache)
        if key not in self._known:
            self._known[key] = StepID(len(self.steps))
            self.steps.append(Step(id=self._known[key], parent=parent, op=op, label=label, no_cache=no_cache))
        return self._known[key]
