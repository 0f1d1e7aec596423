"""SOURCE_DATE_EPOCH by name: what it names, what is asked for the time, where the number then stands (T-1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from builder.dockerfile.parser import parse_dockerfile
from builder.plan.epoch import EpochSource
from builder.plan.options import PlanOptions
from builder.plan.plan import Plan
from builder.plan.planner import make_plan
from builder.plan.serialise import plan_from_json, plan_to_json
from builder.plan.step import ContextSource, GitSource, HttpSource, RunOp
from tests.plan.planning import ops_of, plan_of, refused
from tests.plan.resolver import AMD64, FakeResolver

URL = "https://example.org/a.tar"
SOURCE = f"FROM scratch AS src\nADD {URL} /\n"


@dataclass
class Clock:
    """Every source has the same time; `asked` are the sources."""

    time: int | None = 99
    asked: list[EpochSource] = field(default_factory=list)

    def timestamp(self, source: EpochSource) -> int | None:
        self.asked.append(source)
        return self.time


def planned(text: str, clock: Clock, value: str | None = None, **options: Any) -> Plan:
    build_args = {} if value is None else {"SOURCE_DATE_EPOCH": value}
    given = PlanOptions(**({"platform": AMD64, "build_args": build_args} | options))
    return make_plan(parse_dockerfile(text, "Dockerfile"), given, FakeResolver(anything=True), clock)


def seen_by_run(plan: Plan) -> list[str]:
    return [pair for pair in ops_of(plan, RunOp)[-1].env if pair.startswith("SOURCE_DATE_EPOCH=")]


@pytest.mark.rule("T-1")
@pytest.mark.parametrize(
    ("stage", "source"),
    [
        (f"FROM scratch AS src\nADD {URL} /", HttpSource(URL)),
        (f"FROM scratch AS src\nADD --checksum=sha256:{'a' * 64} {URL} /", HttpSource(URL, f"sha256:{'a' * 64}")),
        ("FROM scratch AS src\nARG V=2\nADD https://example.org/$V.tar /", HttpSource("https://example.org/2.tar")),
        ("FROM scratch AS src\nARG G=1\nADD https://example.org/$G.tar /", HttpSource("https://example.org/b.tar")),
        ("FROM scratch AS src\nADD https://example.org/$OUT /", HttpSource("https://example.org/global")),
        ("FROM scratch AS src\nADD https://example.org/$TARGETARCH /", HttpSource("https://example.org/amd64")),
        ("FROM $NOTHING AS src\nADD https://example.org/x /", HttpSource("https://example.org/x")),
        ("FROM scratch AS src\nADD https://e.org/r.git#v1:sub /", None),
        ("FROM scratch AS src\nADD --keep-git-dir git@e.org:r.git /", None),
    ],
)
def test_a_stage_that_only_fetches_has_the_time_of_what_it_fetches(stage: str, source: EpochSource | None) -> None:
    clock = Clock()
    text = f"ARG NOTHING=scratch\nARG OUT=global\n{stage}\nFROM x\n"
    plan = planned(text, clock, build_args={"SOURCE_DATE_EPOCH": "SRC", "G": "b"})
    assert plan.epoch == "99"
    assert clock.asked == [plan.epoch_source]
    if source is None:
        assert isinstance(plan.epoch_source, GitSource)
    else:
        assert plan.epoch_source == source


@pytest.mark.rule("T-1")
@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (f"FROM x AS src\nADD {URL} /", "SOURCE_DATE_EPOCH stage must use FROM scratch"),
        (f"FROM scratch AS src\nADD {URL} {URL} /", "SOURCE_DATE_EPOCH stage must contain exactly one remote ADD"),
        (f"FROM scratch AS src\nADD {URL} /\nADD {URL} /", "SOURCE_DATE_EPOCH stage must contain exactly one"),
        ("FROM scratch AS src\nADD a /", "SOURCE_DATE_EPOCH stage must contain exactly one remote ADD"),
        ("FROM scratch AS src\nADD <<a /\na", "SOURCE_DATE_EPOCH stage must contain exactly one remote ADD"),
        ("FROM scratch AS src\nARG a", "SOURCE_DATE_EPOCH stage must contain exactly one remote ADD"),
        (f"FROM scratch AS src\nADD {URL} /\nENV a=b", "SOURCE_DATE_EPOCH stage cannot have ENV in it"),
        (f"FROM scratch AS src\nCOPY a /\nADD {URL} /", "SOURCE_DATE_EPOCH stage cannot have COPY in it"),
        (f"FROM scratch AS other\nADD {URL} /", "invalid SOURCE_DATE_EPOCH: src"),
        (f"FROM scratch AS srv\nADD {URL} /", "invalid SOURCE_DATE_EPOCH: src (did you mean srv?)"),
    ],
)
def test_a_stage_that_does_more_is_refused(stage: str, said: str) -> None:
    assert refused(f"{stage}\nFROM x\n", build_args={"SOURCE_DATE_EPOCH": "src"}).message.startswith(said)


@pytest.mark.rule("T-1")
def test_the_place_of_what_is_wrong_is_told() -> None:
    error = refused(f"ARG SOURCE_DATE_EPOCH=src\nFROM scratch AS src\nADD {URL} /\nRUN c\n")
    assert error.location is not None
    assert error.location.line == 4


@pytest.mark.rule("T-1")
def test_the_first_stage_of_the_name_counts_and_a_build_context_before_it() -> None:
    text = f"{SOURCE}FROM scratch AS src\nADD https://other.org/b /\nFROM x\n"
    assert planned(text, Clock(), "src").epoch_source == HttpSource(URL)
    assert planned(text, Clock(), "src", build_args={"SOURCE_DATE_EPOCH": "src"}).epoch_source == HttpSource(URL)
    contexts: dict[str, Any] = {"build_args": {"SOURCE_DATE_EPOCH": "src"}, "named_contexts": {"src": "/somewhere"}}
    assert planned(text, Clock(), **contexts).epoch_source == ContextSource("src")


@pytest.mark.rule("T-1")
def test_context_is_the_main_one_and_an_image_has_no_time() -> None:
    assert planned("FROM x\n", Clock(), "context").epoch_source == ContextSource("")
    clock = Clock()
    options: dict[str, Any] = {"build_args": {"SOURCE_DATE_EPOCH": "i"}, "named_contexts": {"i": "docker-image://x"}}
    plan = planned("ARG SOURCE_DATE_EPOCH\nFROM x\nARG SOURCE_DATE_EPOCH\nRUN c\n", clock, **options)
    assert (plan.epoch, clock.asked, seen_by_run(plan)) == ("", [], [])


@pytest.mark.rule("T-1", "T-4")
@pytest.mark.parametrize("value", [None, "src"])
def test_the_number_takes_the_place_of_the_name_everywhere(value: str | None) -> None:
    head = "ARG SOURCE_DATE_EPOCH=src\n" if value is None else "ARG SOURCE_DATE_EPOCH\n"
    text = f"{head}{SOURCE}FROM x:$SOURCE_DATE_EPOCH\nARG SOURCE_DATE_EPOCH\nRUN c\n"
    plan = planned(text, Clock(), value)
    assert seen_by_run(plan) == ["SOURCE_DATE_EPOCH=99"]
    assert [reference for reference, _, _ in plan.inputs] == ["docker.io/library/x:99"]


@pytest.mark.rule("T-1", "T-4")
@pytest.mark.parametrize("value", ["src", ""])
def test_without_a_time_the_variable_is_unset(value: str) -> None:
    text = f"ARG SOURCE_DATE_EPOCH=7\n{SOURCE}FROM x\nARG SOURCE_DATE_EPOCH{{}}\nRUN c\n"
    plan = planned(text.format(""), Clock(None), value)
    assert (plan.epoch, seen_by_run(plan)) == ("", [])
    assert seen_by_run(planned(text.format("=3"), Clock(None), value)) == ["SOURCE_DATE_EPOCH=3"]


@pytest.mark.rule("T-1")
def test_a_number_is_taken_as_one() -> None:
    assert plan_of("FROM x\n", build_args={"SOURCE_DATE_EPOCH": "007"}).epoch == "7"
    assert plan_of("FROM x\n", build_args={"SOURCE_DATE_EPOCH": "253402300799"}).epoch == "253402300799"
    for text in ("253402300800", "-1", "1e3", " 7", "٧"):
        refused("FROM x\n", build_args={"SOURCE_DATE_EPOCH": text})


@pytest.mark.rule("T-1")
def test_a_plan_remembers_what_its_time_is_of() -> None:
    plan = planned(f"{SOURCE}FROM x\n", Clock(), "src")
    assert plan_from_json(plan_to_json(plan)).epoch_source == HttpSource(URL)
