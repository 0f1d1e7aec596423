"""What the steps are called while they run."""

from __future__ import annotations

from builder.plan.step import ImageOp, RunOp
from tests.plan.planning import plan_of, steps_of
from tests.plan.resolver import AMD64, ARM64


def test_titles_count_the_steps_of_a_stage() -> None:
    plan = plan_of("FROM x AS one\nRUN a\nFROM scratch\nENV v=1\nCOPY --from=one $v /\nWORKDIR /\nRUN c\n")
    assert [step.title for step in plan.steps] == [
        f"[one 1/2] {plan.steps[0].title.partition('] ')[2]}",
        "[one 2/2] RUN a",
        "[stage-1 1/3] COPY --from=one 1 /",
        "[stage-1 2/3] RUN c",
    ]
    assert plan.steps[0].title.startswith("[one 1/2] FROM docker.io/library/x:latest@sha256:")
    assert [step.label.stage for step in plan.steps] == ["one", "one", "stage-1", "stage-1"]


def test_titles_of_a_file_with_one_stage_have_no_name() -> None:
    assert [step.title for step in plan_of("FROM scratch\nRUN a\n").steps] == ["[1/1] RUN a"]
    many = plan_of("FROM scratch\n" + "".join(f"RUN {n}\n" for n in range(10)))
    assert many.steps[0].title == "[ 1/10] RUN 0"


def test_titles_fill_variables_in_but_hide_secrets() -> None:
    text = "FROM x\nENV a=1 s=leak\nrun --mount=type=secret,id=t,env=s echo \"$a\" '$a' $s $unset\n"
    assert steps_of(plan_of(text), RunOp)[0].title == (
        "[2/2] RUN --mount=type=secret,id=t,env=s echo \"1\" '$a' **** $unset"
    )
    script = steps_of(plan_of("FROM x\nRUN <<E\necho one\necho two\nE\n"), RunOp)[0]
    assert script.title == "[2/2] RUN <<E (echo one...)"


def test_titles_name_the_platform_when_there_are_several() -> None:
    text = "FROM --platform=$BUILDPLATFORM x AS b\nARG TARGETARCH\nRUN c\n"
    plan = plan_of(text, platform=ARM64, build_platform=AMD64, multi_platform=True)
    assert steps_of(plan, RunOp)[0].title == "[linux/amd64->arm64 2/2] RUN c"
    assert steps_of(plan, ImageOp)[0].title.startswith("[linux/amd64 1/2] FROM ")
