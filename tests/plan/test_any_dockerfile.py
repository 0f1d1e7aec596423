"""Dockerfiles that nobody would write: planned, or refused with our own error at a place inside the file."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.dockerfile.parser import parse_dockerfile
from builder.errors import SourceError
from builder.plan.options import PlanOptions
from builder.plan.planner import make_plan
from builder.plan.serialise import plan_from_json, plan_to_json
from tests.plan.resolver import AMD64, FakeResolver

WORD = st.text(alphabet=st.sampled_from(list("ab1/.:@$-=\"'\\{}* ,[]")), max_size=10)
NAME = st.sampled_from(["a", "b", "scratch", "0", "1", "7", "x:1", "$v", "A", "context", "", "docker.io/x/y@sha256:1"])
LINES = st.one_of(
    st.builds("FROM {}\n".format, NAME),
    st.builds("FROM {} AS {}\n".format, NAME, st.sampled_from(["a", "b", "c", "scratch"])),
    st.builds("FROM --platform={} {}\n".format, st.sampled_from(["linux/arm64", "$v", "x/y/z", "$TARGETOS"]), NAME),
    st.builds("COPY --from={} {} {}\n".format, NAME, WORD, WORD),
    st.builds("RUN --mount=from={},target={} true\n".format, NAME, WORD),
    st.builds("RUN --mount=type=cache,id={},target={} true\n".format, WORD, WORD),
    st.builds("COPY --chmod={} {} {}\n".format, WORD, WORD, WORD),
    st.builds("ADD --checksum={} {} /d\n".format, WORD, st.sampled_from(["https://h/f", "https://h/r.git?x=1", "f"])),
    st.builds("COPY <<E {}\n{}\nE\n".format, WORD, WORD),
    st.builds("ONBUILD {} {}\n".format, st.sampled_from(["RUN", "COPY --from=a", "ARG", "FOO", "ENV"]), WORD),
    st.builds("{} {}\n".format, st.sampled_from(
        ["ENV", "ARG", "LABEL", "WORKDIR", "USER", "EXPOSE", "VOLUME", "STOPSIGNAL", "CMD", "SHELL", "RUN"]
    ), WORD),
    st.builds("ENV v={}\nARG w={}\n".format, WORD, WORD),
)  # fmt: skip


@given(st.lists(LINES, max_size=12), st.sampled_from(["", "a", "b", "0", "9", "$"]), st.booleans())
def test_any_dockerfile_is_planned_or_refused(lines: list[str], target: str, replaced: bool) -> None:
    text = "FROM scratch AS a\n" + "".join(lines)
    options = PlanOptions(
        platform=AMD64, target=target, named_contexts={"b": "/dir", "x:1": "docker-image://y"} if replaced else {}
    )
    outcomes: list[object] = []
    try:
        plan = make_plan(parse_dockerfile(text, "Dockerfile"), options, FakeResolver(anything=True))
    except SourceError as error:
        outcomes.append(error.message)
        line = error.location.line if error.location else 1
        outcomes.append(1 <= line <= text.count("\n") + 1)
    else:
        outcomes.append(plan_to_json(plan_from_json(plan_to_json(plan))) == plan_to_json(plan))
        outcomes.append(all(step.parent is None or step.parent < step.id for step in plan.steps))
    assert all(outcomes)


BOMBS = {
    "stages": "FROM scratch AS s\n" * 20_000,
    "forward references": "".join(f"FROM scratch AS s{n}\nCOPY --from=s{n + 1} a b\n" for n in range(3_000)),
    "chained copies": "FROM scratch AS s0\n"
    + "".join(f"FROM scratch AS s{n}\nCOPY --from=s{n - 1} a b\n" for n in range(1, 3_000)),
    "variables": "FROM scratch\n" + "".join(f"ENV v{n}=$v{n - 1}x\n" for n in range(3_000)),
    "long values": "FROM scratch\nENV v=" + "x" * 60_000 + "\n" + "LABEL a=$v\n" * 3_000,
    "long arguments": "FROM scratch\nARG v=" + "x" * 60_000 + "\n" + "RUN true\n" * 300,
    "more variables": "FROM scratch\n" + "".join(f"ENV v{n}=1\n" for n in range(30_000)),
    "variables and commands": "FROM scratch\n" + "".join(f"ENV v{n}=1\nRUN x{n}\n" for n in range(10_000)),
    "ports": "FROM scratch\n" + "EXPOSE 1-65535\n" * 20_000,
    "labels": "FROM scratch\n" + "".join(f"LABEL v{n}=1\n" for n in range(30_000)),
    "titles": "FROM scratch\nENV v=" + "x" * 60_000 + "\n" + ("RUN echo " + "$v " * 600 + "\n") * 300,
    "triggers": "FROM scratch AS a\n" + "ONBUILD ENV x=$x$x\n" * 400 + "FROM a\n",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS.keys())
def test_a_hostile_dockerfile_is_planned_or_refused_in_time(text: str) -> None:
    start = time.process_time()
    dockerfile = parse_dockerfile(text, "Dockerfile")
    parsed = time.process_time()
    error = ""
    try:
        make_plan(dockerfile, PlanOptions(platform=AMD64), FakeResolver(anything=True))
    except SourceError as caught:
        error = caught.message
    assert time.process_time() - parsed < 10 + (parsed - start), error
