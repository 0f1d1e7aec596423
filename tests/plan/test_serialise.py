"""Plans as JSON: what is written comes back, to the last field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.dockerfile.parser import parse_dockerfile
from builder.errors import PlanError, PybuildError
from builder.oci.config import Healthcheck, History, ImageConfig, RuntimeConfig
from builder.oci.digest import DiffID, digest_of
from builder.plan.options import PlanOptions
from builder.plan.plan import Plan, PlannedHistory, PlannedImage, Warning
from builder.plan.planner import make_plan
from builder.plan.serialise import plan_from_json, plan_to_json
from tests.builds.cases import case_names, load_case
from tests.plan.resolver import AMD64, FakeResolver
from tests.plan.strategies import LOCATIONS, NUMBERS, PLATFORMS, STEP_IDS, STEPS, STRINGS, TEXT, assert_same


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
