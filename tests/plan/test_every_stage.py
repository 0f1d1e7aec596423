"""Planning the stages that no target needs, which a check of the whole file looks at."""

from __future__ import annotations

import pytest

from builder.dockerfile.parser import parse_dockerfile
from builder.errors import PlanError, RegistryError
from builder.plan.options import PlanOptions
from builder.plan.planner import Planner
from tests.plan.resolver import AMD64, FakeResolver, image_config

TEXT = "FROM tools AS unused\nRUN make\nFROM unused AS also\nFROM base\nRUN install\n"


def planner_of(text: str, *images: str) -> tuple[Planner, FakeResolver]:
    resolver = FakeResolver({name: image_config() for name in images})
    options = PlanOptions(platform=AMD64, build_platform=AMD64)
    return Planner(parse_dockerfile(text), options, resolver), resolver


def test_a_plan_asks_for_no_image_that_the_target_does_not_need() -> None:
    planner, resolver = planner_of(TEXT, "base")
    planner.plan()
    assert [stage[0] for stage in planner.stages()] == [2]
    assert len(resolver.asked) == 1


def test_the_rest_can_be_planned_afterwards() -> None:
    planner, _ = planner_of(TEXT, "base", "tools")
    planner.plan()
    planner.plan_rest()
    described = [(index, reference) for index, reference, _ in planner.stages()]
    assert described == [(0, "docker.io/library/tools:latest"), (1, ""), (2, "docker.io/library/base:latest")]


def test_the_rest_fails_where_a_build_of_it_would() -> None:
    planner, _ = planner_of(TEXT, "base")
    planner.plan()
    with pytest.raises((PlanError, RegistryError), match="tools"):
        planner.plan_rest()
    assert [stage[0] for stage in planner.stages()] == [2]
