"""Named contexts: what they replace, and with what (N-1 … N-5)."""

from __future__ import annotations

from typing import Any

import pytest

from builder.oci.config import RuntimeConfig
from builder.plan.step import BindMount, ContextSource, CopyOp, ImageOp, Paths, RunOp, StepSource
from tests.plan.planning import ops_of, plan_of, refused, steps_of
from tests.plan.resolver import ARM64, image_config

OTHER = "docker.io/library/other:1"


def references(text: str, **named: str) -> list[str]:
    return [step.reference for step in ops_of(plan_of(text, named_contexts=named), ImageOp)]


@pytest.mark.rule("N-3")
@pytest.mark.parametrize("base", ["alpine", "alpine:latest", "docker.io/library/alpine"])
@pytest.mark.parametrize("name", ["alpine", "alpine:latest", "docker.io/library/alpine:latest"])
def test_an_image_is_replaced_in_every_spelling_of_its_name(base: str, name: str) -> None:
    assert references(f"FROM {base}\n", **{name: "docker-image://other:1"}) == [OTHER]


@pytest.mark.rule("N-3")
def test_other_images_are_left_alone() -> None:
    assert references("FROM alpine:3\n", alpine="docker-image://other:1") == ["docker.io/library/alpine:3"]


@pytest.mark.rule("N-3")
@pytest.mark.parametrize("name", ["scratch", "context"])
def test_scratch_and_context_are_never_replaced(name: str) -> None:
    plan = plan_of(f"FROM scratch\nCOPY --from={name} a /\n", named_contexts={name: "docker-image://other:1"})
    assert OTHER not in [step.reference for step in ops_of(plan, ImageOp)]


@pytest.mark.rule("N-1")
def test_the_value_for_a_platform_comes_first() -> None:
    named = {"x": "docker-image://general", "x::linux/arm64": "docker-image://special"}
    for platform, wanted in ((ARM64, "special"), (None, "general")):
        options: dict[str, Any] = {"platform": platform} if platform else {}
        plan = plan_of("FROM x\n", named_contexts=named, **options)
        assert ops_of(plan, ImageOp)[0].reference == f"docker.io/library/{wanted}:latest"


@pytest.mark.rule("N-2")
def test_a_layout_is_resolved_by_its_own_name() -> None:
    value = "oci-layout:///dir@sha256:" + "0" * 64
    assert references("FROM x\n", x=value) == [value]


@pytest.mark.rule("N-2")
@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("oci-archive:x.tar:v1", "oci-archive:x.tar:v1"),
        ("docker-daemon:demo", "docker-daemon:demo"),
        ("docker://other:1", OTHER),
        # What would read like an image of the registries dir:5000 and docker-daemon:5000:
        ("dir:5000/x", "dir:./5000/x"),
        ("docker-daemon:5000/x", "docker-daemon:docker.io/5000/x"),
    ],
)
def test_an_image_of_a_transport_is_resolved_by_its_place(value: str, place: str) -> None:
    assert references("FROM x\n", x=value) == [place]


@pytest.mark.rule("N-2")
def test_values_of_bake_files_are_refused() -> None:
    assert "bake" in refused("FROM x\n", named_contexts={"x": "target:y"}).message


@pytest.mark.rule("N-2")
@pytest.mark.parametrize("value", ["/dir", "../dir", "https://host/x.tar", "https://host/r.git#main"])
def test_copy_and_mounts_read_a_context_by_the_name_the_user_gave(value: str) -> None:
    text = "FROM x\nCOPY --from=Extra f /\nRUN --mount=from=Extra,target=/m c\n"
    plan = plan_of(text, named_contexts={"Extra": value})
    assert ops_of(plan, CopyOp)[0].sources == (Paths(ContextSource("Extra"), ("f",)),)
    mount = ops_of(plan, RunOp)[0].mounts[0]
    assert isinstance(mount, BindMount)
    assert mount.source == ContextSource("Extra")
    assert plan.contexts == ("Extra",)


@pytest.mark.rule("N-4")
def test_a_context_that_nothing_reads_is_not_part_of_the_plan() -> None:
    plan = plan_of("FROM scratch\nCOPY a /\n", named_contexts={"x": "/dir", "y": "docker-image://gone"}, images={})
    assert plan.contexts == ("",)
    assert plan.inputs == ()


@pytest.mark.rule("N-4")
def test_scratch_may_stand_in_for_an_image() -> None:
    plan = plan_of("FROM x\nCOPY --from=x a /\n", named_contexts={"x": "docker-image://scratch"})
    assert ops_of(plan, ImageOp) == []
    assert ops_of(plan, CopyOp)[0].sources == (Paths(StepSource(None), ("a",)),)


@pytest.mark.rule("N-5")
def test_a_replaced_stage_is_not_carried_out_and_lends_its_images_config() -> None:
    config = image_config(runtime=RuntimeConfig(env=("PATH=/p", "from=image"), working_dir="/w", on_build=("RUN t",)))
    plan = plan_of(
        "FROM gone AS one\nRUN never\nENV never=1\nFROM one\nRUN here\n",
        named_contexts={"one": "docker-image://other:1"},
        images={"other:1": config},
    )
    run = ops_of(plan, RunOp)[0]
    assert run.argv[-1] == "here"
    assert run.env == ("PATH=/p", "from=image")
    assert run.cwd == "/w"
    assert len(ops_of(plan, RunOp)) == 1


@pytest.mark.rule("N-5")
@pytest.mark.parametrize(
    "instruction",
    [
        "COPY --from=one a /z", "COPY --from=0 a /z", "RUN --mount=from=one,target=/m true", "COPY --from=two a /z",
        "RUN --mount=from=two,target=/m true",
    ],
)  # fmt: skip
def test_a_replaced_stage_may_read_from_itself_and_from_what_needs_it(instruction: str) -> None:
    text = f"FROM scratch AS one\n{instruction}\nFROM scratch AS two\nCOPY --from=one a /y\n"
    plan = plan_of(text, named_contexts={"one": "/dir"})
    assert ops_of(plan, RunOp) == []
    assert [step.sources for step in ops_of(plan, CopyOp)] == [(Paths(ContextSource("one"), ("a",)),)]


@pytest.mark.rule("N-5")
def test_a_directory_in_place_of_a_base_becomes_its_first_layer() -> None:
    plan = plan_of("FROM base\nCOPY a /\n", named_contexts={"base": "/dir"})
    first, second = steps_of(plan, CopyOp)
    assert first.parent is None
    assert first.op.sources == (Paths(ContextSource("base"), (".",)),)
    assert first.op.destination == "/"
    assert second.parent == first.id
    assert [record.step for record in plan.image.history] == [first.id, second.id]
    assert plan.contexts == ("base", "")
