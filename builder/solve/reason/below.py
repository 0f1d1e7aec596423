"""What changed of what a step stands on: the base image, or the nearest step that ran again or made something else."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator

from builder.oci.reference import reference_or_none
from builder.plan.plan import Plan
from builder.plan.step import ImageOp, Op, Step, StepID
from builder.solve.difference import Difference
from builder.solve.reason.facts import Facts
from builder.solve.reason.words import change, value
from builder.solve.results import Results

_NUMBERED = re.compile(r"\[(?:.* )?(\d+)/\d+\] (.*)", re.DOTALL)
_SHORT = len("sha256:") + 12
_LONGEST_NAME = 40


def ancestors(plan: Plan, step: Step[Op]) -> Iterator[Step[Op]]:
    """Yield the steps that `step` stands on, the nearest first."""
    while step.parent is not None:
        step = plan.steps[step.parent]
        yield step


def base_of(plan: Plan, step: Step[Op]) -> tuple[str, str] | None:
    """Return name and manifest digest of the image that `step` stands on; None for scratch."""
    for below in ancestors(plan, step):
        if isinstance(below.op, ImageOp):
            return below.op.reference.partition("@")[0], str(below.op.manifest_digest)
    return None


def titles_below(plan: Plan, step: Step[Op], results: Results) -> tuple[tuple[str, str], ...]:
    """Return the layers that `step` stands on, base first, each with the title of the step that made it, if any."""
    made = {}
    for below in ancestors(plan, step):
        solved = results.steps.get(below.id)
        if solved is None:
            return ()
        if solved.layer is not None:
            made[str(solved.layer.diff_id)] = below.title
    return tuple((str(layer.diff_id), made.get(str(layer.diff_id), "")) for layer in results.stack(step.parent).layers)


def changes_below(
    plan: Plan, step: Step[Op], results: Results, before: Facts, hits: Container[StepID] = ()
) -> Iterator[Difference]:
    """Yield the one reason why `step` stands on something else than it did.

    Steps without a result will run again, but for `hits`.
    """
    layers = [below for below in ancestors(plan, step) if not isinstance(below.op, ImageOp)]
    for below in layers:
        solved = results.steps.get(below.id)
        if solved is None and below.id in hits:
            continue
        # Whatever it makes: that this one runs again is for no other reason.
        if solved is None or not solved.cached:
            yield _follows(below, step)
            return
    # All that is below was in the cache, and yet it is something else.
    base = base_of(plan, step)
    if base != before.base:
        yield _base_change(before.base, base)
        return
    known = {diff_id for diff_id, _ in before.below}
    for below in layers:
        layer = results.steps[below.id].layer
        if layer is not None and str(layer.diff_id) not in known:
            yield _follows(below, step)
            return
    today = {str(layer.diff_id) for layer in results.stack(step.parent).layers}
    gone = [title for diff_id, title in before.below if diff_id not in today]
    last = _instruction(gone[-1]) if gone else ""
    if not gone:
        yield Difference("step-order", "the steps below it stand in another order")
    elif any(_instruction(other.title) == last for other in plan.steps if other.id > step.id):
        yield Difference("step-order", f"{last} comes later now", last)
    else:
        yield Difference("step-removed", f"{last} was removed", last)


def _follows(below: Step[Op], step: Step[Op]) -> Difference:
    name = label(below, step)
    return Difference("follows-step", f"follows {name}", name)


def label(below: Step[Op], seen_from: Step[Op]) -> str:
    """Return what a step is called: its number in its stage and its instruction."""
    found = _NUMBERED.fullmatch(below.title)
    number = found[1] if found else str(below.id + 1)
    stage = f" of {below.label.stage}" if below.label.stage != seen_from.label.stage else ""
    return f"step {number}{stage} ({_instruction(below.title)})"


def _instruction(title: str) -> str:
    # Numbers shift with every step that is put in or taken out: instructions are compared without them.
    found = _NUMBERED.fullmatch(title)
    return value(found[2] if found else title)


def _base_change(was: tuple[str, str] | None, now: tuple[str, str] | None) -> Difference:
    names = [_familiar(base) for base in (was, now)]
    if was is not None and now is not None and was[0] == now[0]:
        words = f"base image moved: {_tail(names[1])} {was[1][:_SHORT]}… → {now[1][:_SHORT]}…"
        return Difference("base-moved", words, names[1], was[1], now[1])
    return Difference("base-changed", f"base image changed: {change(*names)}", "base image", *names)


def _tail(name: str) -> str:
    # Of a long name the end says more: the folder of a layout, and the tag.
    return name if len(name) <= _LONGEST_NAME else "…" + name[-_LONGEST_NAME:]


def _familiar(base: tuple[str, str] | None) -> str:
    """Return the image's name as people write it: debian:12."""
    if base is None:
        return "scratch"
    reference = reference_or_none(base[0])
    return base[0] if reference is None else reference.familiar
