"""Events as JSON: what is written comes back, each kind with all of its fields."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import Location, PlanError, RegistryError, StepFailed
from builder.solve import events as e
from builder.solve.difference import KINDS, Difference
from builder.solve.event_json import NAMES, error_to_json, event_from_json, event_to_json

texts = st.text(max_size=20)
numbers = st.integers(0, 1 << 40)
locations = st.none() | st.builds(Location, texts, st.integers(1, 99), numbers, numbers, numbers)
differences = st.lists(st.builds(Difference, st.sampled_from(KINDS), texts, texts, texts, texts), max_size=3).map(tuple)
events = st.one_of(
    st.builds(e.BuildStarted, numbers, texts, st.booleans(), texts),
    st.builds(e.StepStarted, numbers, texts, texts, texts, differences, numbers),
    st.builds(e.StepOutput, numbers, st.binary(max_size=30), texts),
    st.builds(e.StepCached, numbers, texts, texts, numbers, texts, texts),
    st.builds(e.StepFinished, numbers, texts, st.floats(0, 1e6), texts, numbers, numbers, texts, texts),
    st.builds(e.StepCancelled, numbers, texts, texts),
    st.builds(e.Noted, texts),
    st.builds(e.Warned, texts, texts, locations),
    st.builds(e.BlobProgress, texts, texts, numbers, numbers, st.floats(0, 1e6)),
    st.builds(e.ImageWritten, texts, texts, st.lists(texts).map(tuple)),
)


@given(events)
def test_an_event_comes_back_as_it_was(event: e.Event) -> None:
    assert event_from_json(json.loads(json.dumps(event_to_json(event)))) == event


def test_every_kind_has_a_name() -> None:
    assert set(NAMES) == set(get_args(e.Event))
    assert len(set(NAMES.values())) == len(NAMES)


@pytest.mark.parametrize(
    "error",
    [
        RegistryError("refused", hint="Log in.", status=403, code="DENIED"),
        RegistryError("no answer"),
        PlanError("no such stage", Location("Dockerfile", 3, 1), others=(PlanError("another", Location("D", 4)),)),
        StepFailed("did not complete", Location("Dockerfile", 2), step="RUN false", command_exit_code=1, hint="Look."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failed_step_comes_back_with_its_error(error: PlanError | RegistryError | StepFailed) -> None:
    back = event_from_json(json.loads(json.dumps(event_to_json(e.StepErrored(3, "RUN x", error, "linux/arm64")))))
    assert isinstance(back, e.StepErrored)
    assert type(back.error) is type(error)
    assert error_to_json(back.error) == error_to_json(error)
    assert {**vars(back.error), "others": ()} == {**vars(error), "others": ()}
    assert (back.step, back.title, back.platform) == (3, "RUN x", "linux/arm64")


@pytest.mark.parametrize("kind", ["PybuildErrorX", "Location", "__name__", "NamedTuple"])
def test_what_is_no_error_of_ours_is_refused(kind: str) -> None:
    document = {"event": "step-failed", "step": 1, "title": "", "error": {"kind": kind, "message": "m"}}
    with pytest.raises(ValueError, match="no error of ours"):
        event_from_json(document)
