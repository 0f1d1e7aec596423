"""Stages: names, references, targets, reachability, platforms (S-1 … S-13)."""

from __future__ import annotations

import pytest

from builder.dockerfile.parser import parse_dockerfile
from builder.errors import RegistryError
from builder.oci.config import RuntimeConfig
from builder.oci.digest import digest_of
from builder.plan.options import PlanOptions
from builder.plan.planner import make_plan
from builder.plan.step import CopyOp, ImageOp, Paths, RunOp, StepSource
from tests.plan.planning import ops_of, plan_of, refused, steps_of
from tests.plan.resolver import AMD64, ARM64, FakeResolver, image_config


@pytest.mark.rule("S-2")
def test_a_base_that_expands_to_nothing_is_refused() -> None:
    error = refused("ARG base\nFROM scratch\nFROM $base\n")
    assert error.message == "base name ($base) should not be blank"
    assert error.location is not None
    assert (error.location.line, error.location.column) == (3, 6)


@pytest.mark.rule("S-2")
def test_an_empty_or_unknown_platform_is_refused() -> None:
    assert refused("FROM --platform=$TARGETPLATFROM x\n").message == (
        "empty platform value from expression $TARGETPLATFROM (did you mean TARGETPLATFORM?)"
    )
    assert refused("FROM --platform=a/b/c/d x\n").message.startswith("failed to parse platform a/b/c/d: ")


@pytest.mark.rule("S-3")
def test_from_finds_earlier_stages_only() -> None:
    plan = plan_of("FROM later AS one\nRUN a\nFROM scratch AS later\nFROM one\nRUN b\n")
    assert [step.reference for step in ops_of(plan, ImageOp)] == ["docker.io/library/later:latest"]


@pytest.mark.rule("Z-5")
def test_a_stage_in_another_case_is_found_where_no_image_could_be_meant() -> None:
    plan = plan_of("FROM x AS Build\nRUN a\nFROM Build\nRUN b\n")
    assert len(ops_of(plan, ImageOp)) == 1
    assert refused("FROM Nothing\n").message == (
        'failed to parse stage name "Nothing": invalid reference format: the repository part must be lower-case'
    )


@pytest.mark.rule("S-4")
@pytest.mark.parametrize("name", ["one", "ONE", "0"])
def test_copy_reads_a_stage_by_name_in_any_case_or_by_number(name: str) -> None:
    plan = plan_of(f"FROM scratch AS one\nCOPY a /\nFROM scratch\nCOPY --from={name} b /\n")
    first, second = steps_of(plan, CopyOp)
    assert second.op.sources == (Paths(StepSource(first.id), ("b",)),)


@pytest.mark.rule("S-4")
def test_copy_reads_an_image_that_no_stage_is_called_like() -> None:
    plan = plan_of("FROM scratch\nCOPY --from=tool:1 /bin/x /\n")
    image, copy = plan.steps
    assert isinstance(image.op, ImageOp)
    assert isinstance(copy.op, CopyOp)
    assert image.op.reference == "docker.io/library/tool:1"
    assert copy.op.sources == (Paths(StepSource(image.id), ("/bin/x",)),)


@pytest.mark.rule("S-4")
def test_references_forward_and_beyond_the_file_are_refused() -> None:
    later = refused("FROM x AS a\nCOPY --from=b f g\nFROM y AS b\n", target="a")
    assert later.message == 'cannot copy from stage "b", it needs to be defined before current stage "a"'
    assert later.hint == "Stage b begins in line 3: move it before stage a."
    assert refused("FROM x\nCOPY --from=3 f g\nFROM y\n", target="1").message == "invalid stage index 3"
    number = "9" * 500
    assert refused(f"FROM x\nCOPY --from={number} f g\n").message == f"invalid stage index {number}"


@pytest.mark.rule("S-5")
def test_the_last_stage_of_a_name_is_the_one_that_is_meant() -> None:
    plan = plan_of("FROM one AS a\nRUN 1\nFROM two AS a\nRUN 2\nFROM scratch\nCOPY --from=a f /\n")
    assert [step.reference for step in ops_of(plan, ImageOp)] == ["docker.io/library/two:latest"]


@pytest.mark.rule("S-6")
def test_the_target_is_found_by_name_in_any_case_or_by_number() -> None:
    text = "FROM x AS build\nRUN a\nFROM scratch AS other\n"
    assert len(plan_of(text, target="BUILD").steps) == 2
    assert len(plan_of(text, target="0").steps) == 2
    assert plan_of(text).steps == ()
    assert plan_of(text).target == "other"
    error = refused(text, target="bulid")
    assert error.message == 'target stage "bulid" could not be found (did you mean build?)'
    assert error.hint == "The stages are build, other."


@pytest.mark.rule("S-7")
def test_images_of_stages_that_nothing_leads_to_are_never_looked_up() -> None:
    resolver = FakeResolver(anything=True)
    text = "FROM unused AS u\nRUN x\nFROM used AS v\nRUN y\nFROM scratch\nCOPY --from=v / /\n"
    make_plan(parse_dockerfile(text, "Dockerfile"), PlanOptions(platform=AMD64), resolver)
    assert [reference for reference, _ in resolver.asked] == ["docker.io/library/used:latest"]


@pytest.mark.rule("S-7")
def test_stages_that_nothing_leads_to_are_checked_all_the_same() -> None:
    assert "should not be blank" in refused("FROM $x\nFROM scratch\n").message
    assert "failed to parse platform" in refused("FROM --platform=a/b/c/d x\nFROM scratch\n").message
    assert refused("FROM Not/A/Name!\nFROM scratch\n").message.startswith('failed to parse stage name "Not/A/Name!"')
    assert refused("FROM x\nCOPY --from=9 a b\nFROM scratch\n").message == "invalid stage index 9"


@pytest.mark.rule("S-8")
def test_scratch_alone_is_an_image_without_layers() -> None:
    plan = plan_of("FROM scratch\n")
    assert plan.steps == ()
    assert plan.image.result is None
    assert plan.image.config.runtime.working_dir == "/"


@pytest.mark.rule("S-9")
@pytest.mark.parametrize(
    "text",
    [
        "FROM x AS a\nCOPY --from=a f g\n",
        "FROM x AS a\nCOPY --from=0 f g\nFROM scratch\n",
        "FROM x AS a\nCOPY --from=b f g\nFROM x AS b\nCOPY --from=a f g\n",
        "FROM x AS a\nRUN --mount=from=b,target=/m c\nFROM x AS b\nCOPY --from=a f g\nFROM scratch\n",
    ],
)
def test_a_cycle_is_refused_wherever_it_is(text: str) -> None:
    assert refused(text).message == "circular dependency detected on stage: a"


@pytest.mark.rule("S-10")
def test_a_child_stage_inherits_the_whole_config() -> None:
    parent = (
        'FROM scratch AS one\nENV a=1\nUSER u\nWORKDIR /w\nLABEL l=1\nCMD ["c"]\nSHELL ["/bin/ash"]\nEXPOSE 80\n'
        "VOLUME /v\nSTOPSIGNAL 9\nHEALTHCHECK CMD true\nMAINTAINER m\nONBUILD ENV t=1\n"
    )
    one, two = plan_of(parent), plan_of(parent + "FROM one\n")
    assert one.image.config.runtime.on_build == ("ENV t=1",)
    inherited = two.image.config.runtime
    assert inherited.on_build == ()
    assert "t=1" in inherited.env
    assert inherited.user == "u"
    assert (inherited.working_dir, inherited.cmd, inherited.shell) == ("/w", ("c",), ("/bin/ash",))
    assert (inherited.labels, inherited.exposed_ports, inherited.volumes) == ((("l", "1"),), ("80/tcp",), ("/v",))
    assert inherited.healthcheck == one.image.config.runtime.healthcheck
    assert two.image.config.author == "m"


@pytest.mark.rule("S-10")
def test_siblings_do_not_see_each_other() -> None:
    plan = plan_of("FROM scratch AS a\nENV v=1\nFROM a AS b\nENV v=2\nLABEL b=1\nFROM a\nENV w=$v\n")
    assert plan.image.config.runtime.env[1:] == ("v=1", "w=1")
    assert plan.image.config.runtime.labels == ()


@pytest.mark.rule("S-11")
def test_the_platform_of_a_stage_is_its_own_or_the_targets() -> None:
    text = "FROM --platform=linux/amd64 x AS a\nRUN a\nFROM a AS b\nRUN b\nFROM y\nCOPY --from=b / /\nRUN c\n"
    plan = plan_of(text, platform=ARM64)
    assert [(step.reference, step.platform) for step in ops_of(plan, ImageOp)] == [
        ("docker.io/library/y:latest", ARM64),
        ("docker.io/library/x:latest", AMD64),
    ]
    assert [step.platform for step in ops_of(plan, RunOp)] == [AMD64, AMD64, ARM64]


def test_the_image_has_the_platform_that_was_asked_for_or_else_its_bases() -> None:
    images = {"x": image_config(platform=ARM64)}
    assert plan_of("FROM x\n", images=images).image.config.platform == ARM64
    assert plan_of("FROM x\n", images=images, explicit_platform=True).image.config.platform == AMD64


@pytest.mark.rule("S-13")
def test_the_working_directory_of_the_base_is_where_a_stage_begins() -> None:
    images = {"x": image_config(runtime=RuntimeConfig(working_dir="/srv/app"))}
    plan = plan_of("FROM x\nRUN a\nCOPY f g\nWORKDIR sub\n", images=images)
    assert ops_of(plan, RunOp)[0].cwd == "/srv/app"
    assert ops_of(plan, CopyOp)[0].destination == "/srv/app/g"
    assert plan.image.config.runtime.working_dir == "/srv/app/sub"


@pytest.mark.rule("X9")
def test_an_image_that_cannot_be_found_is_reported_at_its_from_with_the_nearest_stage() -> None:
    error = refused("FROM scratch AS builder\nFROM buildr\n", images={})
    assert error.message.startswith("buildr: failed to resolve source metadata for docker.io/library/buildr:latest")
    assert error.hint == "Did you mean the stage builder?"
    assert error.location is not None
    assert error.location.line == 2
    assert isinstance(error.__cause__, RegistryError)
    assert refused("FROM other\n", images={}).hint == "Is it pushed?"


def test_each_image_is_resolved_once_and_recorded() -> None:
    resolver = FakeResolver(anything=True)
    text = "FROM x AS a\nRUN 1\nFROM x AS b\nRUN 2\nFROM x\nCOPY --from=a / /a\nCOPY --from=b / /b\n"
    plan = make_plan(parse_dockerfile(text, "Dockerfile"), PlanOptions(platform=AMD64), resolver)
    assert len(resolver.asked) == 1
    reference = "docker.io/library/x:latest"
    assert plan.inputs == ((reference, "linux/amd64", digest_of(reference.encode())),)
    assert len(ops_of(plan, ImageOp)) == 1


@pytest.mark.rule("Q-1")
def test_identical_steps_are_one_step() -> None:
    text = "FROM x AS a\nRUN same\nRUN one\nFROM x AS b\nRUN same\nRUN two\n"
    text += "FROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\n"
    plan = plan_of(text)
    assert [step.argv[-1] for step in ops_of(plan, RunOp)] == ["same", "one", "two"]
    for step in plan.steps:
        assert step.parent is None or step.parent < step.id


def test_a_step_without_the_cache_is_not_merged_with_one_that_may_use_it() -> None:
    text = "FROM x AS a\nRUN same\nFROM x AS b\nRUN same\nFROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\n"
    plan = plan_of(text, no_cache_filter=("A",))
    assert [step.no_cache for step in steps_of(plan, RunOp)] == [True, False]
    assert [step.no_cache for step in steps_of(plan_of(text, no_cache=True), RunOp)] == [True]


def test_a_chain_of_many_stages_is_planned_without_recursion() -> None:
    text = "FROM scratch AS s0\n" + "".join(f"FROM s{n} AS s{n + 1}\nENV v{n % 7}={n}\n" for n in range(3000))
    assert plan_of(text).target == "s3000"
    text = "FROM scratch AS s0\n" + "".join(f"FROM scratch AS s{n + 1}\nCOPY --from=s{n} / /\n" for n in range(3000))
    assert len(plan_of(text).steps) == 3000
