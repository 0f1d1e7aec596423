"""Walks a plan and finds or makes each step's layer.

First, on one thread and in order, every step that the cache already has (cached_steps.py): a build that changes nothing
ends here. Then, if anything is missing, the worker is opened (namespaces are entered while there is still one thread)
and the remaining steps run on a pool, each as soon as what it reads from is there (making.py). The first failure
cancels the rest. A build that stops after each step (pause.py) is made one step after the other, on one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from builder.errors import StoreError
from builder.oci.canonical import decode, encode
from builder.plan.plan import Plan
from builder.plan.step import Op, Step
from builder.solve.cached_steps import CachedSteps
from builder.solve.reason.last_build import keys_by_place, last_key
from builder.solve.results import Results
from builder.solve.step_errors import errors_located_at

if TYPE_CHECKING:
    from builder.solve.context import SolveContext
    from builder.solve.dry_run import DryRun
    from builder.solve.making import Making


def solve(plan: Plan, context: SolveContext, *, jobs: int = 0) -> Results:
    """Find or make every layer of `plan`. `jobs` 0 runs all that is ready (at most 32 at once).

    Raises the first step's error, after everything that was running has ended.
    """
    cached = CachedSteps(context)
    steps: Sequence[Step[Op]] = plan.steps
    if context.attendant is not None and context.attendant.stops:
        try:
            steps = _making(plan, context, cached).step_through(context.attendant)
        except BaseException:
            _remember(plan, context, whole=False)
            raise
    missing: list[Step[Op]] = []
    for step in steps:
        with errors_located_at(step):
            # In order, so that what a step stands on has been asked first. What stands on a missing step is missing,
            # too, for now: its key names a layer that is not there (docs/decisions/0002). Some of it turns out to be
            # cached when that is made.
            if not cached.take(step):
                missing.append(step)
    if missing:
        # Here, while there is one thread: namespaces and the fork server ask for that (docs/decisions/0010),
        # and `make` has many.
        context.open(missing)
        try:
            _making(plan, context, cached).make(missing, jobs)
        except BaseException:
            # After Ctrl-C, too: the steps that ended have records, and the next build is compared with these.
            _remember(plan, context, whole=False)
            raise
    _remember(plan, context, whole=True)
    return context.results


def dry_run(plan: Plan, context: SolveContext) -> DryRun:
    """Say for each step whether the cache has it, and if not, why; as dry_run.py."""
    return _making(plan, context, CachedSteps(context)).dry_run()


def _making(plan: Plan, context: SolveContext, cached: CachedSteps) -> Making:
    from builder.solve.making import Making  # gate: must execute. What is cached needs no threads and no reason

    return Making(plan, context, cached)


def _remember(plan: Plan, context: SolveContext, *, whole: bool) -> None:
    """Keep the keys of this build's steps for the next; those of a failed build are added to those of the last."""
    plans, key = context.store.documents, last_key(context.build_name)
    keys = keys_by_place(plan, context.results)
    if not whole and (known := plans.find(key)) is not None:
        keys = encode(decode(known, "the last build") | decode(keys, "this build"))
    with suppress(StoreError):  # a store that can only be read answers all the same
        plans.put(key, keys)
