"""ONBUILD: when triggers fire, what they see, what they may add (O-1 … O-5)."""

from __future__ import annotations

import pytest

from builder.oci.config import RuntimeConfig
from builder.plan.step import CopyOp, ImageOp, RunOp
from tests.plan.planning import created_by, ops_of, plan_of, refused, steps_of
from tests.plan.resolver import image_config


@pytest.mark.rule("O-2")
def test_a_trigger_is_stored_as_written_and_leaves_no_history() -> None:
    plan = plan_of("FROM scratch\nONBUILD RUN  echo  $x\nONBUILD COPY <<E /a\nbody\nE\n")
    assert plan.image.config.runtime.on_build[0].startswith("RUN")
    assert "body" in plan.image.config.runtime.on_build[1]
    assert plan.image.history == ()


@pytest.mark.rule("O-3")
def test_triggers_of_an_image_fire_after_from_and_are_gone() -> None:
    base = image_config(runtime=RuntimeConfig(env=("A=1",), on_build=("ENV B=$A", "RUN first")))
    plan = plan_of("FROM x\nRUN second\n", images={"x": base})
    assert [step.argv[-1] for step in ops_of(plan, RunOp)] == ["first", "second"]
    assert "B=1" in plan.image.config.runtime.env
    assert plan.image.config.runtime.on_build == ()


@pytest.mark.rule("O-3")
def test_triggers_of_a_stage_fire_in_its_children_but_not_in_theirs() -> None:
    plan = plan_of("FROM scratch AS a\nONBUILD LABEL l=1\nFROM a AS b\nFROM b\n")
    assert created_by(plan) == ["LABEL l=1"]
    assert plan.image.config.runtime.on_build == ()


@pytest.mark.rule("O-3")
def test_a_stage_keeps_its_own_triggers_beside_those_it_used_up() -> None:
    base = image_config(runtime=RuntimeConfig(on_build=("ENV used=1",)))
    plan = plan_of("FROM x\nONBUILD ENV new=1\n", images={"x": base})
    assert plan.image.config.runtime.on_build == ("ENV new=1",)


@pytest.mark.rule("O-4")
def test_triggers_may_add_stages_and_images_to_the_build() -> None:
    base = image_config(runtime=RuntimeConfig(on_build=("COPY --from=tools /t /t", "COPY --from=gear /g /g")))
    plan = plan_of("FROM scratch AS tools\nCOPY t /\nFROM x\n", images={"x": base, "gear": image_config()})
    assert [step.reference for step in ops_of(plan, ImageOp)] == [
        "docker.io/library/x:latest",
        "docker.io/library/gear:latest",
    ]
    assert [step.destination for step in ops_of(plan, CopyOp)] == ["/", "/t", "/g"]


@pytest.mark.rule("O-4")
def test_a_trigger_that_needs_a_later_stage_is_refused() -> None:
    base = image_config(runtime=RuntimeConfig(on_build=("COPY --from=late a /",)))
    error = refused("FROM x AS one\nFROM scratch AS late\nFROM one\n", images={"x": base})
    assert error.message == 'cannot copy from stage "late", it needs to be defined before current stage "one"'


@pytest.mark.rule("O-5")
def test_titles_of_triggers_say_so() -> None:
    base = image_config(runtime=RuntimeConfig(on_build=("RUN --mount=type=cache,target=/c first",)))
    plan = plan_of("FROM x\nRUN second\n", images={"x": base})
    assert [step.title for step in steps_of(plan, RunOp)] == [
        "[2/3] ONBUILD RUN --mount=type=cache,target=/c first",
        "[3/3] RUN second",
    ]
    assert len(ops_of(plan, RunOp)[0].mounts) == 1


@pytest.mark.rule("O-1")
def test_a_trigger_that_is_wrong_is_reported_at_the_from_that_fires_it() -> None:
    base = image_config(runtime=RuntimeConfig(on_build=("FOO bar",)))
    error = refused("FROM scratch AS a\nFROM x\n", images={"x": base})
    assert error.message == "unknown instruction: FOO (did you mean FROM?)"
    assert error.hint == "It is a trigger of the base: ONBUILD FOO bar"
    assert error.location is not None
    assert error.location.line == 2
