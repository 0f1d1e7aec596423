"""ARG and the scopes of variables: A-1 … A-10, and where expansion happens."""

from __future__ import annotations

from typing import Any

import pytest

from builder.oci.config import RuntimeConfig
from builder.oci.platform import Platform
from builder.plan.step import ContextSource, ImageOp, RunOp
from tests.plan.planning import created_by, ops_of, plan_of, refused
from tests.plan.resolver import AMD64, ARM64, image_config


def environment(text: str, **options: Any) -> dict[str, str]:
    """Return the variables of the last RUN, without PATH."""
    step = ops_of(plan_of(text, **options), RunOp)[-1]
    return {name: value for name, _, value in (pair.partition("=") for pair in step.env) if name != "PATH"}


@pytest.mark.rule("A-1")
def test_global_args_are_evaluated_in_order_and_serve_from_lines() -> None:
    text = "ARG repo=lib\nARG image=$repo/thing\nARG tag=1\nFROM $image:$tag\n"
    assert ops_of(plan_of(text), ImageOp)[0].reference == "docker.io/lib/thing:1"
    given = plan_of(text, build_args={"repo": "other"})
    assert ops_of(given, ImageOp)[0].reference == "docker.io/other/thing:1"


@pytest.mark.rule("A-2")
def test_a_global_value_enters_a_stage_only_through_arg() -> None:
    text = "ARG g=1\nFROM x\nRUN before\nARG g\nRUN after\n"
    before, after = ops_of(plan_of(text), RunOp)
    assert "g=1" not in before.env
    assert "g=1" in after.env


@pytest.mark.rule("A-2")
@pytest.mark.parametrize(
    ("declaration", "build_args", "value"),
    [
        ("ARG g", {}, "global"),
        ("ARG g=own", {}, "own"),
        ("ARG g=own", {"g": "given"}, "given"),
        ("ARG g", {"g": "given"}, "given"),
        ("ARG g=", {}, ""),
        ("ARG g=own", {"g": ""}, ""),
    ],
)
def test_build_arg_beats_own_default_beats_global_value(
    declaration: str, build_args: dict[str, str], value: str
) -> None:
    text = f"ARG g=global\nFROM x\n{declaration}\nRUN c\n"
    assert environment(text, build_args=build_args) == {"g": value}


@pytest.mark.rule("A-3")
def test_an_argument_without_any_value_stays_undefined() -> None:
    assert environment("FROM x\nARG a\nARG b=\nARG c=${a-unset}${b-unset}\nRUN c\n") == {"b": "", "c": "unset"}


@pytest.mark.rule("A-4")
def test_arguments_reach_later_runs_and_child_stages_but_not_the_image() -> None:
    plan = plan_of("FROM x AS one\nARG a=1\nRUN c\nFROM one\nRUN d\n")
    assert all("a=1" in step.env for step in ops_of(plan, RunOp))
    assert not any(pair.startswith("a=") for pair in plan.image.config.runtime.env)


@pytest.mark.rule("A-5")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ENV v=env\nARG v=arg\n", "arg"),
        ("ENV v=env\nARG v\n", "env"),
        ("ARG v=arg\nENV v=env\n", "env"),
        ("ARG v=arg\nENV v=${v}+env\n", "arg+env"),
    ],
)
def test_the_later_of_env_and_arg_wins_in_the_build(text: str, value: str) -> None:
    assert environment(f"FROM x\n{text}RUN c\n") == {"v": value}


@pytest.mark.rule("A-5")
def test_a_child_stage_sees_the_env_that_an_argument_had_hidden() -> None:
    assert environment("FROM x AS a\nENV v=env\nARG v=arg\nFROM a\nRUN c\n") == {"v": "env"}


@pytest.mark.rule("A-6")
def test_platform_arguments_serve_from_without_and_stages_with_arg() -> None:
    text = "FROM --platform=$BUILDPLATFORM x AS b\nRUN a\nARG TARGETARCH TARGETOS BUILDARCH TARGETVARIANT\nRUN b\n"
    plan = plan_of(text, platform=Platform("linux", "arm", "v7"), build_platform=AMD64)
    first, second = ops_of(plan, RunOp)
    assert first.platform == AMD64
    assert not any("ARCH" in pair for pair in first.env)
    assert {"TARGETARCH=arm", "TARGETOS=linux", "BUILDARCH=amd64", "TARGETVARIANT=v7"} <= set(second.env)


@pytest.mark.rule("A-6")
@pytest.mark.parametrize(
    ("tail", "target", "value"), [("AS last", "", "last"), ("", "", "default"), ("AS last", "LAST", "LAST")]
)
def test_target_stage_is_what_was_asked_for_or_the_last_name(tail: str, target: str, value: str) -> None:
    assert environment(f"FROM x {tail}\nARG TARGETSTAGE\nRUN c\n", target=target) == {"TARGETSTAGE": value}


@pytest.mark.rule("A-6")
def test_a_build_arg_overrides_a_predefined_argument() -> None:
    assert environment("FROM x\nARG TARGETARCH\nRUN c\n", build_args={"TARGETARCH": "z80"}) == {"TARGETARCH": "z80"}


@pytest.mark.rule("A-7")
def test_proxies_reach_run_in_both_spellings_and_nothing_else() -> None:
    plan = plan_of("FROM x\nRUN c\n", build_args={"http_proxy": "p", "NO_PROXY": "n"})
    step = ops_of(plan, RunOp)[0]
    assert step.proxy_env == ("HTTP_PROXY=p", "http_proxy=p", "NO_PROXY=n", "no_proxy=n")
    assert not any("proxy" in pair.lower() for pair in step.env)
    assert created_by(plan) == ["RUN /bin/sh -c c # pybuild"]
    assert plan.unused_build_args == ()
    assert step == ops_of(plan_of("FROM x\nRUN c\n"), RunOp)[0]


@pytest.mark.rule("A-7")
def test_a_declared_proxy_is_an_argument_like_others() -> None:
    plan = plan_of("FROM x\nARG HTTP_PROXY\nRUN c\n", build_args={"HTTP_PROXY": "p"})
    assert "HTTP_PROXY=p" in ops_of(plan, RunOp)[0].env
    assert created_by(plan)[-1] == "RUN |1 HTTP_PROXY=p /bin/sh -c c # pybuild"


@pytest.mark.rule("A-8")
@pytest.mark.parametrize(
    "name", ["BUILDKIT_INLINE_CACHE", "BUILDKIT_SYNTAX", "SOURCE_DATE_EPOCH", "BUILDKIT_ATTEST_SBOM", "TARGETOS"]
)
def test_arguments_with_a_meaning_of_their_own_are_never_unused(name: str) -> None:
    assert plan_of("FROM x\n", build_args={name: "1"}).unused_build_args == ()


@pytest.mark.rule("A-8")
def test_special_arguments_reach_the_plan() -> None:
    given = {"BUILDKIT_SANDBOX_HOSTNAME": "box", "SOURCE_DATE_EPOCH": "12"}
    plan = plan_of("FROM x\n", build_args=given)
    assert (plan.hostname, plan.epoch) == ("box", "12")
    assert plan_of("FROM x\n", hostname="mine", build_args=given).hostname == "mine"


@pytest.mark.rule("A-8")
def test_scan_arguments_are_never_in_the_environment() -> None:
    assert environment("FROM x\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nRUN c\n") == {}


@pytest.mark.rule("A-8")
def test_the_epoch_may_be_a_global_argument_and_must_be_a_number() -> None:
    assert plan_of("ARG SOURCE_DATE_EPOCH=7\nFROM x\n").epoch == "7"
    assert plan_of("ARG SOURCE_DATE_EPOCH=7\nFROM x\n", build_args={"SOURCE_DATE_EPOCH": ""}).epoch == ""
    assert plan_of("FROM x\nARG SOURCE_DATE_EPOCH=7\n").epoch == ""
    assert plan_of("FROM x\n", build_args={"SOURCE_DATE_EPOCH": "context"}).epoch_source == ContextSource("")
    assert plan_of("FROM x\n", build_args={"SOURCE_DATE_EPOCH": "0"}).epoch == "0"
    error = refused("ARG SOURCE_DATE_EPOCH=soon\nFROM x\n")
    assert error.message == "invalid SOURCE_DATE_EPOCH: soon"
    assert error.location is not None
    assert error.location.line == 1


@pytest.mark.rule("A-9")
def test_build_args_that_nobody_declares_are_named() -> None:
    text = "ARG one\nFROM x AS unreached\nARG two\nFROM y\nARG three\nONBUILD ARG four=1 five\n"
    given = dict.fromkeys(["one", "two", "three", "four", "five", "sixth"], "v")
    assert plan_of(text, build_args=given).unused_build_args == ("sixth",)


def test_a_build_arg_that_only_a_trigger_of_the_base_declares_is_used() -> None:
    base = image_config(runtime=RuntimeConfig(on_build=("ARG hidden",)))
    assert plan_of("FROM x\n", images={"x": base}, build_args={"hidden": "1"}).unused_build_args == ()


def test_env_sees_the_values_from_before_the_instruction() -> None:
    runtime = plan_of("FROM scratch\nENV a=1\nENV a=2 b=$a\nENV c=$a\n").image.config.runtime
    assert runtime.env[1:] == ("a=2", "b=1", "c=2")


def test_arg_sees_the_values_before_it_in_the_same_instruction() -> None:
    assert created_by(plan_of("FROM scratch\nARG a=1 b=$a c\n")) == ["ARG a=1 b=1 c"]


@pytest.mark.rule("V-4")
def test_a_required_variable_says_what_it_is_and_where_it_was_set() -> None:
    empty = refused('FROM x\nENV v=\nENV w="${v:?give it}"\n')
    assert empty.message == r'failed to process "\"${v:?give it}\"": v: give it'
    assert empty.hint == "v is empty; it was set by ENV in line 2."
    declared = refused("FROM x\nARG v\nWORKDIR /${v:?}\n")
    assert declared.message == 'failed to process "/${v:?}": v: is not allowed to be unset'
    assert declared.hint.startswith("ARG v in line 2 has no value: pass --build-arg v=")
    outside = refused("ARG v=1\nFROM x\nWORKDIR /${v:?}\n")
    assert outside.hint == "v is set outside the stages only: write 'ARG v' in this stage to use it."
    near = refused("FROM x\nENV version=1\nWORKDIR /${verson:?}\n")
    assert near.hint == "verson is not set here. Did you mean version?"


@pytest.mark.rule("V-11")
def test_a_malformed_word_is_shown_at_its_place() -> None:
    error = refused("FROM x\nWORKDIR /a/${b\n")
    assert error.message.startswith('failed to process "/a/${b": ')
    assert error.location is not None
    assert (error.location.line, error.location.column) == (2, 12)


def test_variables_that_double_with_every_line_are_refused_in_time() -> None:
    text = "FROM scratch\nENV a=0123456789\n" + "ENV a=$a$a\n" * 40
    assert refused(text).message in {
        "this Dockerfile expands to more than 32 MiB",
        'failed to process "$a$a": the result is too long',
    }


def test_the_platform_of_a_plan_reaches_its_images() -> None:
    assert ops_of(plan_of("FROM x\n", platform=ARM64), ImageOp)[0].platform == ARM64
