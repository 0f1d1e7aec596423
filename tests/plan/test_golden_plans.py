"""Plans as text, compared with fixtures/plan/<case>/plan.txt; `UPDATE_GOLDENS=1 pytest tests/plan` writes them anew.

Dockerfile      what is planned
options.json    PlanOptions by name; platforms as text; absent for none. Every image exists and has one layer.
plan.txt        the description of the plan, or the error
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from builder.dockerfile.parser import parse_dockerfile
from builder.errors import SourceError
from builder.oci.platform import parse_platform
from builder.plan.describe import describe
from builder.plan.options import PlanOptions
from builder.plan.planner import make_plan
from tests.plan.resolver import AMD64, FakeResolver

CASES = sorted((Path(__file__).parents[2] / "fixtures" / "plan").iterdir())


def options_of(case: Path) -> PlanOptions:
    file = case / "options.json"
    given: dict[str, Any] = {"platform": str(AMD64), "build_platform": str(AMD64)}
    given |= json.loads(file.read_text()) if file.exists() else {}
    for name in ("platform", "build_platform"):
        given[name] = parse_platform(given[name])
    if "no_cache_filter" in given:
        given["no_cache_filter"] = tuple(given["no_cache_filter"])
    return PlanOptions(**given)


def shown(case: Path) -> str:
    try:
        dockerfile = parse_dockerfile((case / "Dockerfile").read_bytes(), "Dockerfile")
        return describe(make_plan(dockerfile, options_of(case), FakeResolver(anything=True)))
    except SourceError as error:
        place = f"{error.location.line}:{error.location.column}" if error.location else "-"
        return f"error at {place}: {error.message}\nhint: {error.hint}\n"


def test_there_are_cases() -> None:
    assert len(CASES) >= 20


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_plan_is_as_described(case: Path) -> None:
    golden = case / "plan.txt"
    found = shown(case)
    if os.environ.get("UPDATE_GOLDENS"):
        golden.write_text(found, "utf-8")
    assert found == golden.read_text("utf-8")
