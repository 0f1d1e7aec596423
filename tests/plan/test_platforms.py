"""The platform of a stage: what its programs are for, and what is not built."""

from __future__ import annotations

import pytest

from builder.errors import PlanError
from builder.oci.platform import Platform
from builder.plan.step import RunOp
from tests.plan.planning import ops_of, plan_of
from tests.plan.resolver import AMD64, ARM64, image_config


def test_a_run_is_for_the_platform_of_its_base_where_that_is_another_than_asked_for() -> None:
    cases: tuple[tuple[str, dict[str, Platform]], ...] = (
        ("FROM --platform=linux/arm64 x AS one\nRUN a\nFROM one AS two\nFROM two\nRUN b\n", {}),
        ("FROM --platform=linux/arm64 x AS s\nRUN a\nFROM s\nRUN b\n", {}),
        ("FROM x\nRUN a\n", {"platform": ARM64}),
    )
    for text, options in cases:
        images = {"docker.io/library/x:latest": image_config(platform=AMD64)}
        runs = ops_of(plan_of(text, images=images, **options), RunOp)
        assert runs
        assert {step.platform for step in runs} == {AMD64}, text
    own = {"docker.io/library/x:latest": image_config(platform=ARM64)}
    assert ops_of(plan_of("FROM x\nRUN a\n", images=own), RunOp)[0].platform == ARM64


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("FROM --platform=windows/amd64 x\n", 1),
        ("FROM --platform=windows/amd64 scratch\nCOPY a b\n", 1),
        ("ARG p=darwin/arm64\nFROM --platform=$p x\n", 2),
        ("FROM y\nFROM --platform=freebsd x\nRUN a\n", 2),
        ("FROM w\nCOPY a b\n", 1),
    ],
)
def test_another_operating_system_is_refused(text: str, line: int) -> None:
    images = {
        f"docker.io/library/{name}:latest": image_config(platform=platform)
        for name, platform in (("x", AMD64), ("y", AMD64), ("w", Platform("windows", "amd64")))
    }
    with pytest.raises(PlanError, match="only images for linux are built") as caught:
        plan_of(text, images=images)
    assert caught.value.location is not None
    assert caught.value.location.line == line


def test_another_operating_system_that_nothing_needs_is_no_matter() -> None:
    assert plan_of("FROM --platform=windows/amd64 x\nFROM y\nRUN a\n").steps
