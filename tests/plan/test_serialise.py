"""Plans as JSON: what is written comes back, to the last field."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.dockerfile.parser import parse_dockerfile
from builder.errors import Location, PlanError, PybuildError
from builder.oci.config import Healthcheck, History, ImageConfig, RuntimeConfig
from builder.oci.digest import DiffID, digest_of
from builder.oci.platform import Platform
from builder.plan.options import PlanOptions
from builder.plan.plan import Plan, PlannedHistory, PlannedImage, Warning
from builder.plan.planner import make_plan
from builder.plan.serialise import plan_from_json, plan_to_json
from builder.plan.step import (
    BindMount,
    CacheMount,
    ContextSource,
    CopyOp,
    GitSource,
    HttpSource,
    ImageOp,
    InlineSource,
    Op,
    Paths,
    RunOp,
    SecretMount,
    SshMount,
    Step,
    StepID,
    StepLabel,
    StepSource,
    TmpfsMount,
    WorkdirOp,
)
from tests.builds.cases import case_names, load_case
from tests.plan.resolver import AMD64, FakeResolver


def assert_same(left: Any, right: Any) -> None:
    """Compare types and all fields; equality of values leaves presentation out."""
    assert type(left) is type(right)
    if is_dataclass(left):
        for field in fields(left):
            assert_same(getattr(left, field.name), getattr(right, field.name))
    elif isinstance(left, tuple):
        assert len(left) == len(right)
        for one, other in zip(left, right):
            assert_same(one, other)
    else:
        assert left == right


@pytest.mark.parametrize("name", case_names())
def test_plans_of_real_dockerfiles_come_back_exactly(name: str) -> None:
    dockerfile = load_case(name).folder / "Dockerfile"
    if not dockerfile.exists():
        assert not dockerfile.exists()
        return
    try:
        text = dockerfile.read_bytes()
        plan = make_plan(parse_dockerfile(text, "Dockerfile"), PlanOptions(platform=AMD64), FakeResolver(anything=True))
    except PybuildError:
        return  # what is refused has no plan to keep
    written = plan_to_json(plan)
    assert_same(plan_from_json(written), plan)
    assert plan_to_json(plan_from_json(written)) == written


TEXT = st.text(alphabet=st.characters(), max_size=8)
NUMBERS = st.integers(0, 1 << 40)
LOCATIONS = st.none() | st.builds(Location, TEXT, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
STEP_IDS = st.builds(StepID, st.integers(0, 99))
STRINGS = st.lists(TEXT, max_size=3).map(tuple)
TREES = st.builds(ContextSource, TEXT) | st.builds(StepSource, st.none() | STEP_IDS)
PLATFORMS = st.builds(Platform, TEXT, TEXT, TEXT, TEXT)
SOURCES = (
    st.builds(Paths, TREES, STRINGS) | st.builds(InlineSource, TEXT, TEXT) | st.builds(HttpSource, TEXT, TEXT)
    | st.builds(GitSource, remote=TEXT, reference=TEXT, keep_git_dir=st.booleans(), mtime=st.sampled_from(["commit"]))
)  # fmt: skip
MOUNTS = (
    st.builds(BindMount, source=TREES, subpath=TEXT, target=TEXT, readonly=st.booleans())
    | st.builds(CacheMount, identifier=TEXT, target=TEXT, base=st.none() | TREES, mode=st.none() | NUMBERS)
    | st.builds(TmpfsMount, TEXT, st.none() | NUMBERS)
    | st.builds(SecretMount, identifier=TEXT, mode=NUMBERS, required=st.booleans())
    | st.builds(SshMount, identifier=TEXT, target=TEXT)
)
OPS = (
    st.builds(ImageOp, reference=TEXT, manifest_digest=TEXT, platform=PLATFORMS)
    | st.builds(
        RunOp, argv=STRINGS, env=STRINGS, proxy_env=STRINGS, user=TEXT, cwd=TEXT, script=TEXT,
        mounts=st.lists(MOUNTS, max_size=3).map(tuple), platform=PLATFORMS,
    )
    | st.builds(
        CopyOp, sources=st.lists(SOURCES, max_size=3).map(tuple), destination=TEXT,
        link=st.booleans(), unpack=st.none() | st.booleans(), exclude=STRINGS,
    )
    | st.builds(WorkdirOp, path=TEXT, user=TEXT)
)  # fmt: skip
STEPS: st.SearchStrategy[Step[Op]] = st.builds(
    Step, id=STEP_IDS, parent=st.none() | STEP_IDS, op=OPS, label=st.builds(StepLabel, TEXT, TEXT, LOCATIONS),
    no_cache=st.booleans(),
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=5,
)
RUNTIMES = st.builds(
    RuntimeConfig, user=TEXT, env=STRINGS, cmd=st.none() | STRINGS, shell=st.none() | STRINGS,
    labels=st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple), args_escaped=st.booleans(),
    healthcheck=st.none() | st.builds(Healthcheck, test=STRINGS, interval=NUMBERS),
    extra=st.dictionaries(TEXT, JSON, max_size=2),
)  # fmt: skip
CONFIGS = st.builds(
    ImageConfig, platform=PLATFORMS, author=TEXT, runtime=RUNTIMES, extra=st.dictionaries(TEXT, JSON, max_size=2),
    diff_ids=st.lists(TEXT.map(lambda text: DiffID(digest_of(repr(text).encode()))), max_size=2).map(tuple),
    history=st.lists(st.builds(History, created_by=TEXT, empty_layer=st.booleans()), max_size=2).map(tuple),
)  # fmt: skip
PLANS = st.builds(
    Plan,
    steps=st.lists(STEPS, max_size=4).map(tuple),
    image=st.builds(
        PlannedImage,
        result=st.none() | STEP_IDS,
        config=CONFIGS,
        history=st.lists(st.builds(PlannedHistory, TEXT, st.none() | STEP_IDS, TEXT), max_size=2).map(tuple),
    ),
    platform=PLATFORMS,
    warnings=st.lists(st.builds(Warning, TEXT, TEXT, LOCATIONS), max_size=2).map(tuple),
    inputs=st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=2).map(tuple),
    contexts=STRINGS,
    epoch=TEXT,
)


@given(PLANS)
def test_any_plan_comes_back_exactly(plan: Plan) -> None:
    written = plan_to_json(plan)
    assert_same(plan_from_json(written), plan)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"{}", b'{"version":0,"plan":null}', b'{"version":1,"plan":7}',
     b'{"version":1,"plan":{"is":"Popen"}}', b'{"version":1,"plan":{"is":"Plan"}}', b"[" * 100_000,
     b'{"version":1,"plan":{"is":"Platform","os":"a","architecture":"b"}}'],
)  # fmt: skip
def test_what_is_no_plan_is_refused_with_our_own_error(data: bytes) -> None:
    with pytest.raises(PlanError):
        plan_from_json(data)
