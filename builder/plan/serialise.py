"""Plan ↔ JSON, exactly: what is written comes back equal, presentation included.

    {"is": "Plan", "steps": [{"is": "Step", "id": 3, "op": {"is": "RunOp", …}, …}], …}

Every value is an object that says what it is; fields that have their default are left out. Tuples are arrays, and
the only real JSON inside (members of image configs that we don't know) is wrapped as {"is": "json", "value": …}.
Plans are read back on every build whose Dockerfile didn't change, so there is no schema machinery here.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from typing import Any

from builder.errors import Location, PlanError
from builder.oci.config import Healthcheck, History, ImageConfig, RuntimeConfig
from builder.oci.digest import DiffID, Digest
from builder.oci.platform import Platform
from builder.plan import step as steps
from builder.plan.plan import Plan, PlannedHistory, PlannedImage, Warning

_CLASSES: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        Plan, PlannedImage, PlannedHistory, Warning, ImageConfig, RuntimeConfig, Healthcheck, History, Platform,
        steps.Step, steps.StepLabel, steps.ImageOp, steps.RunOp, steps.CopyOp, steps.WorkdirOp, steps.ContextSource,
        steps.StepSource,
        steps.InlineSource, steps.HttpSource, steps.GitSource, steps.Paths, steps.BindMount, steps.CacheMount,
        steps.TmpfsMount, steps.SecretMount, steps.SshMount,
    )
}  # fmt: skip
_FIELDS: dict[type[Any], list[tuple[str, Any]]] = {
    kind: [(name, kind._field_defaults.get(name, MISSING)) for name in kind._fields]  # a NamedTuple
    if hasattr(kind, "_fields")
    else [
        (field.name, field.default if field.default_factory is MISSING else field.default_factory())
        for field in fields(kind)
    ]
    for kind in _CLASSES.values()
}
_STRINGS: dict[str, type[str]] = {"Digest": Digest, "DiffID": DiffID}


def plan_to_json(plan: Plan) -> bytes:
    """Return the plan as ASCII JSON."""
    return json.dumps(_encode(plan), separators=(",", ":")).encode("ascii")


def plan_from_json(data: bytes) -> Plan:
    """Read a plan. Raises PlanError for anything that `plan_to_json` didn't write."""
    try:
        plan = _decode(json.loads(data))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PlanError(f"the kept plan can't be read: {error!r}") from error
    if not isinstance(plan, Plan):
        raise PlanError("the kept plan is no plan")
    return plan


def step_to_json(step: steps.Step[steps.Op]) -> Any:
    """Return a step as an object."""
    return _encode(step)


def step_from_json(document: Any) -> steps.Step[steps.Op]:
    """Read a step. Raises PlanError for anything that `step_to_json` didn't write."""
    try:
        step = _decode(document)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PlanError(f"the step can't be read: {error!r}") from error
    if not isinstance(step, steps.Step):
        raise PlanError("what should be a step is none")
    return step


def _encode(value: Any) -> Any:
    if isinstance(value, str):
        kind = type(value)
        # Digests are strings of a class of their own, and must come back as such.
        return str(value) if kind is str else {"is": kind.__name__, "value": str(value)}
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Location):
        return {"is": "Location", "value": list(value)}
    # A NamedTuple is a tuple as well, and has to come back as what it was.
    if isinstance(value, tuple) and type(value) not in _FIELDS:
        return [_encode(item) for item in value]
    if isinstance(value, dict):
        return {"is": "json", "value": value}
    document: dict[str, Any] = {"is": type(value).__name__}
    for name, default in _FIELDS[type(value)]:
        member = getattr(value, name)
        # Equality ignores presentation fields, so only simple defaults may be left out.
        if not (member is default or (member == default and isinstance(default, str | int | tuple | dict))):
            document[name] = _encode(member)
    return document


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_decode, value))
    if not isinstance(value, dict):
        return value
    kind = value["is"]
    if kind == "json":
        return value["value"]
    if kind == "Location":
        return Location(*value["value"])
    if kind in _STRINGS:
        return _STRINGS[kind](value["value"])
    return _CLASSES[kind](**{name: _decode(member) for name, member in value.items() if name != "is"})
