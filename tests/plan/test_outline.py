"""`--call=targets` and `--call=outline`: what a file offers and what a target uses."""

from __future__ import annotations

from builder.dockerfile.parser import parse_dockerfile
from builder.plan.options import PlanOptions
from builder.plan.outline import Need, Outline, list_targets, make_outline
from tests.plan.resolver import AMD64, FakeResolver

TEXT = """\
# BASE is the image below everything
ARG BASE=$DISTRO:12
ARG UNUSED=1

# build makes the program
FROM --platform=$BUILDPLATFORM golang AS build
# VERSION is written into the program
# and this line is not about it
ARG VERSION=1.0 SECOND
RUN --mount=type=secret,id=token --mount=type=cache,target=/c --mount=type=ssh go build

FROM never AS unreached
ARG NOT_HERE
RUN --mount=type=secret,id=other x

FROM $BASE AS final
ARG BASE
COPY --from=build /a /a
RUN --mount=type=secret,id=token,required=true y
"""


def outline(text: str = TEXT, **options: object) -> Outline:
    dockerfile = parse_dockerfile(text, "Dockerfile")
    given = PlanOptions(platform=AMD64, build_platform=AMD64, **options)  # type: ignore[arg-type]
    return make_outline(dockerfile, given, FakeResolver(anything=True))


def test_targets_are_listed_with_their_descriptions() -> None:
    build, unreached, final = list_targets(parse_dockerfile(TEXT, "Dockerfile")).targets
    assert (build.name, build.description, build.default) == ("build", "makes the program", False)
    assert (build.base, build.platform) == ("golang", "$BUILDPLATFORM")
    assert unreached.description == ""
    assert (final.base, final.default) == ("$BASE", True)
    assert final.to_json()["location"] == {"ranges": [{"start": {"line": 16}, "end": {"line": 16}}]}


def test_an_outline_tells_what_the_target_and_its_stages_use() -> None:
    found = outline(build_args={"DISTRO": "debian", "VERSION": "2", "BASE": "debian:13"})
    assert found.args == (
        Need(name="BASE", description="is the image below everything", value="debian:13"),
        Need(name="VERSION", description="is written into the program", value="2"),
        Need(name="SECOND"),
    )
    assert found.secrets == (Need(name="token", required=True),)
    assert found.ssh == (Need(name="default"),)
    assert found.caches == (Need(name="/c"),)


def test_arguments_lead_to_the_arguments_of_their_defaults() -> None:
    found = outline("ARG A=1\nARG B=$A\nARG C=x\nFROM x:$B\n")
    assert [(need.name, need.value) for need in found.args] == [("A", "1"), ("B", "1")]


def test_predefined_arguments_are_told_of_only_when_they_are_given_or_have_a_default() -> None:
    text = "FROM x\nARG TARGETARCH\nARG TARGETOS=plan9\nARG TARGETVARIANT\n"
    found = outline(text, build_args={"TARGETVARIANT": "v9"})
    assert [(need.name, need.value) for need in found.args] == [("TARGETOS", "plan9"), ("TARGETVARIANT", "v9")]


def test_an_outline_of_an_earlier_stage_leaves_later_ones_out() -> None:
    found = outline(target="build", build_args={"BASE": "x"})
    assert found.name == "build"
    assert found.description == "makes the program"
    assert [need.name for need in found.args] == ["VERSION", "SECOND"]
    assert found.secrets == (Need(name="token"),)


def test_documents_leave_empty_members_out() -> None:
    assert outline("FROM scratch\n").to_json() == {"sources": ["RlJPTSBzY3JhdGNoCg=="]}
    document = outline("FROM x\nARG v=1\n").to_json()
    assert document["args"] == [
        {"name": "v", "value": "1", "location": {"ranges": [{"start": {"line": 2}, "end": {"line": 2}}]}}
    ]


def test_a_targets_document_leaves_out_what_is_blank() -> None:
    first, last = list_targets(parse_dockerfile("FROM --platform=linux/arm64 x AS a\nFROM a\n")).targets
    assert set(first.to_json()) == {"name", "base", "platform", "location"}
    assert set(last.to_json()) == {"default", "base", "location"}
