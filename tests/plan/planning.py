"""Shorthand for tests: a Dockerfile as text in, its plan out."""

from __future__ import annotations

from typing import Any

import pytest

from builder.dockerfile.parser import parse_dockerfile
from builder.errors import PlanError
from builder.oci.config import ImageConfig
from builder.plan.options import PlanOptions
from builder.plan.plan import Plan
from builder.plan.planner import make_plan
from builder.plan.step import OpT, RunOp, Step, does
from tests.plan.resolver import AMD64, FakeResolver


def plan_of(text: str, *, images: dict[str, ImageConfig] | None = None, **options: Any) -> Plan:
    """Plan a Dockerfile for linux/amd64; without `images`, every name is an image of one layer."""
    options = {"platform": AMD64, "build_platform": AMD64} | options
    resolver = FakeResolver(images or {}, anything=images is None)
    return make_plan(parse_dockerfile(text, "Dockerfile"), PlanOptions(**options), resolver)


def refused(text: str, *, images: dict[str, ImageConfig] | None = None, **options: Any) -> PlanError:
    """Return the error of a Dockerfile that can't be planned."""
    with pytest.raises(PlanError) as caught:
        plan_of(text, images=images, **options)
    return caught.value


def steps_of(plan: Plan, kind: type[OpT]) -> list[Step[OpT]]:
    return [step for step in plan.steps if does(step, kind)]


def ops_of(plan: Plan, kind: type[OpT]) -> list[OpT]:
    return [step.op for step in steps_of(plan, kind)]


def run_of(text: str, **options: Any) -> RunOp:
    """Return the last RUN of a stage that begins with `FROM x`."""
    return ops_of(plan_of(f"FROM x\n{text}", **options), RunOp)[-1]


def created_by(plan: Plan) -> list[str]:
    return [record.created_by for record in plan.image.history]


def rules(plan: Plan) -> list[str]:
    return [warning.rule for warning in plan.warnings]
