"""Why the steps of a build ran, and what an edit would run again, as lines for a terminal and as JSON."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from builder.cli.display.text import clean, cut_digests
from builder.engine.foretell import Cost, Foretelling
from builder.engine.step_graph import StepNode
from builder.engine.why import StepWhy
from builder.oci.canonical import JsonObject
from builder.solve.difference import Difference

_CUT = "…"


def why_lines(steps: Sequence[StepWhy]) -> Iterator[str]:
    """Yield a line for each step, and for one that ran all that was different below it."""
    several = len({step.node.platform for step in steps}) > 1
    for step in steps:
        where = f"{step.node.platform} " if several else ""
        yield f"{where}{cut_digests(clean(step.node.title))}{_fate(step)}"
        for difference in step.differences:
            yield f"  {clean(difference.words)}"
            yield from (f"    {clean(line)}" for line in _in_full(difference))
        if step.unsaid:
            yield f"  and {step.unsaid} more, which were not kept"


def _fate(step: StepWhy) -> str:
    if step.cached:
        return "  was in the cache"
    if step.node.is_image and not step.reason:
        return f"  loaded, {step.seconds:.1f}s"
    return f"  ran, {step.seconds:.1f}s"


def _in_full(difference: Difference) -> Iterator[str]:
    """Yield both values of a difference that one line could only show a part of."""
    was, now = difference.was, difference.now
    if "\n" in was.strip("\n") or "\n" in now.strip("\n"):
        yield from difflib.ndiff(was.splitlines(), now.splitlines())
    elif _CUT in difference.words and (was or now):
        yield f"- {was}"
        yield f"+ {now}"


def foretold_lines(found: Sequence[Foretelling]) -> Iterator[str]:
    """Yield who reads each path, which steps would run again, and what that would cost."""
    for number, each in enumerate(found):
        if len(found) > 1:
            yield from ["", f"platform {each.platform}"] if number else [f"platform {each.platform}"]
        for answer in each.answers:
            readers = ", ".join(node.name() for node in answer.readers)
            said = " · ".join(filter(None, (readers and f"read by {readers}", answer.note)))
            yield f"{clean(answer.path or '.')}: {clean(said)}"
        certain = [step for step in each.steps if step.certain]
        perhaps = [step for step in each.steps if not step.certain]
        for title, steps in (("runs again", certain), ("runs again only if what is before it changes", perhaps)):
            if steps:
                yield f"{title}:"
            for step in steps:
                took = "" if step.seconds is None else f"  {step.seconds:.1f}s"
                yield f"  {cut_digests(clean(step.node.title))}{took}  ({clean(step.because)})"
        if not each.steps:
            yield "nothing would run again"
            continue
        kept = sum(bool(node.key) for node in each.nodes) - len(each.steps)
        yield f"{kept} of {sum(bool(node.key) for node in each.nodes)} steps stay in the cache"
        yield f"cost: {_cost(each.cost(certain_only=True))}"
        if perhaps:
            yield f"at most: {_cost(each.cost(certain_only=False))}"


def _cost(cost: Cost) -> str:
    unknown = f"; of {cost.unknown} steps the time is not known" if cost.unknown else ""
    return f"{cost.work:.1f}s of work, {cost.critical:.1f}s one after another{unknown}"


def foretold_to_json(found: Foretelling) -> JsonObject:
    """Return what `--if-changed --format json` says of one platform."""
    costs = {name: found.cost(certain_only=name == "certain") for name in ("certain", "at_most")}
    return {
        "platform": found.platform,
        "paths": [
            {"path": answer.path, "read_by": [_step(node) for node in answer.readers], "note": answer.note}
            for answer in found.answers
        ],
        "steps": [
            _step(each.node) | {"certain": each.certain, "because": each.because, "seconds": each.seconds}
            for each in found.steps
        ],
        "cost": {
            name: {
                "work": round(cost.work, 3),
                "critical_path": round(cost.critical, 3),
                "steps_of_unknown_time": cost.unknown,
            }
            for name, cost in costs.items()
        },
    }


def _step(node: StepNode) -> JsonObject:
    return {"stage": node.stage, "number": node.number, "title": node.title, "line": node.line}
