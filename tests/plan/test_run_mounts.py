"""RUN --mount in a plan: sources found, targets made absolute, caches and secrets named."""

from __future__ import annotations

import pytest

from builder.plan.step import (
    BindMount,
    CacheMount,
    ContextSource,
    CopyOp,
    ImageOp,
    RunOp,
    SecretMount,
    SshMount,
    StepSource,
    TmpfsMount,
)
from tests.plan.planning import ops_of, plan_of, refused, run_of, steps_of


@pytest.mark.rule("M-1")
def test_values_of_mounts_are_expanded() -> None:
    mount = run_of("ENV d=sub\nARG t=/t\nRUN --mount=source=$d,target=$t c\n").mounts[0]
    assert mount == BindMount(source=ContextSource(), subpath="sub", target="/t", readonly=True)


@pytest.mark.rule("M-2")
@pytest.mark.rule("M-3")
def test_binds_read_the_context_a_stage_or_an_image() -> None:
    plan = plan_of(
        "FROM scratch AS s\nCOPY a /\nFROM x\nWORKDIR /w\n"
        "RUN --mount=target=m --mount=from=s,source=/../d,target=/s,rw --mount=from=tool,target=/t c\n"
    )
    by_id = {step.id: step for step in plan.steps}
    context, stage, image = ops_of(plan, RunOp)[0].mounts
    assert context == BindMount(source=ContextSource(), subpath="", target="/w/m")
    assert isinstance(stage, BindMount)
    assert isinstance(image, BindMount)
    assert (stage.subpath, stage.readonly) == ("d", False)
    assert isinstance(stage.source, StepSource)
    assert isinstance(image.source, StepSource)
    assert stage.source.step is not None
    assert image.source.step is not None
    assert isinstance(by_id[stage.source.step].op, CopyOp)
    assert isinstance(by_id[image.source.step].op, ImageOp)
    assert plan.contexts == ("",)


@pytest.mark.rule("Z-6")
def test_a_mount_may_name_its_stage_by_number() -> None:
    plan = plan_of("FROM scratch\nCOPY a /\nFROM x\nRUN --mount=from=0,target=/t c\n")
    bind = ops_of(plan, RunOp)[0].mounts[0]
    assert isinstance(bind, BindMount)
    assert bind.source == StepSource(steps_of(plan, CopyOp)[0].id)


@pytest.mark.rule("M-4")
def test_caches_are_named_by_their_target_unless_named() -> None:
    first, second = run_of(
        "WORKDIR /w\nRUN --mount=type=cache,target=c/../d"
        " --mount=type=cache,id=mine,target=/e,sharing=locked,mode=0700,uid=1 c\n"
    ).mounts
    assert first == CacheMount(identifier="d", target="/w/d")
    assert second == CacheMount(identifier="mine", target="/e", sharing="locked", mode=0o700, uid=1)
    seeded = run_of("RUN --mount=type=cache,target=/c,from=tool,source=/seed c\n").mounts[0]
    assert isinstance(seeded, CacheMount)
    assert isinstance(seeded.base, StepSource)
    assert seeded.subpath == "seed"


@pytest.mark.rule("M-5")
@pytest.mark.rule("M-6")
@pytest.mark.rule("M-7")
def test_other_mounts() -> None:
    mounts = run_of(
        "RUN --mount=type=tmpfs,target=/t,size=1m --mount=type=secret,id=a --mount=type=secret,id=b,env=B"
        " --mount=type=secret,target=rel/c,required --mount=type=ssh --mount=type=ssh,id=k,required,mode=0660 c\n"
    ).mounts
    assert mounts == (
        TmpfsMount("/t", 1 << 20),
        SecretMount(identifier="a", target="/run/secrets/a"),
        SecretMount(identifier="b", variable="B"),
        SecretMount(identifier="c", target="/rel/c", required=True),
        SshMount(identifier="default", target="/run/buildkit/ssh_agent.0"),
        SshMount(identifier="k", target="/run/buildkit/ssh_agent.1", required=True, mode=0o660),
    )


@pytest.mark.rule("M-8")
def test_a_mount_of_a_later_stage_is_refused() -> None:
    assert refused("FROM x AS a\nRUN --mount=from=b,target=/t c\nFROM y AS b\n", target="a").message == (
        'cannot mount from stage "b" to "/t", stage needs to be defined before current command'
    )


@pytest.mark.parametrize("target", ["/", "", "/a/.."])
def test_nothing_is_mounted_on_the_root(target: str) -> None:
    assert refused(f"FROM x\nRUN --mount=type=tmpfs,target={target} c\n").message.startswith("invalid mount target")
