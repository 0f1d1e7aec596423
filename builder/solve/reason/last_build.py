"""The keys of the steps of the last build of a name, by place, so that the next one can say what is new."""

from __future__ import annotations

from builder.oci.canonical import encode
from builder.oci.digest import Digest, digest_of
from builder.plan.plan import Plan
from builder.plan.step import StepID
from builder.solve.results import Results


def place_names(plan: Plan) -> dict[StepID, str]:
    """Return for each step the name under which the next build of this name looks for it: stage and position."""
    counts: dict[str, int] = {}
    names = {}
    for step in plan.steps:
        counts[step.label.stage] = counts.get(step.label.stage, 0) + 1
        names[step.id] = f"{step.label.stage}\0{counts[step.label.stage]}"
    return names


def last_key(build_name: str) -> Digest:
    """Return what the keys are kept under."""
    return digest_of(f"last build\0{build_name}".encode("utf-8", "surrogateescape"))


def keys_by_place(plan: Plan, results: Results) -> bytes:
    """Return the keys of the steps that are solved, as they are kept: place → key."""
    places = place_names(plan)
    return encode({places[step]: solved.key for step, solved in results.steps.items() if solved.key})
