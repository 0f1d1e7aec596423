"""Any plan at all, for hypothesis: its ops, steps and what they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from hypothesis import strategies as st

from builder.errors import Location
from builder.oci.platform import Platform
from builder.plan.step import (
    BindMount,
    CacheMount,
    ContextSource,
    CopyOp,
    GitSource,
    HttpSource,
    ImageOp,
    InlineSource,
    LayerOp,
    LayerStep,
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
LAYER_OPS: st.SearchStrategy[LayerOp] = (
    st.builds(
        RunOp, argv=STRINGS, env=STRINGS, proxy_env=STRINGS, user=TEXT, cwd=TEXT, script=TEXT,
        mounts=st.lists(MOUNTS, max_size=3).map(tuple), platform=PLATFORMS,
    )
    | st.builds(
        CopyOp, sources=st.lists(SOURCES, max_size=3).map(tuple), destination=TEXT,
        link=st.booleans(), unpack=st.none() | st.booleans(), exclude=STRINGS,
    )
    | st.builds(WorkdirOp, path=TEXT, user=TEXT)
)  # fmt: skip
OPS = st.builds(ImageOp, reference=TEXT, manifest_digest=TEXT, platform=PLATFORMS) | LAYER_OPS
LABELS = st.builds(StepLabel, TEXT, TEXT, LOCATIONS)
STEPS: st.SearchStrategy[Step[Op]] = st.builds(
    Step, id=STEP_IDS, parent=st.none() | STEP_IDS, op=OPS, label=LABELS, no_cache=st.booleans()
)
LAYER_STEPS: st.SearchStrategy[LayerStep] = st.builds(
    Step, id=STEP_IDS, parent=st.none() | STEP_IDS, op=LAYER_OPS, label=LABELS, no_cache=st.booleans()
)


def assert_same(left: Any, right: Any) -> None:
    """Compare types and all fields; equality of values leaves presentation out."""
    if isinstance(left, Mapping):  # nobody minds which
        assert left.keys() == right.keys()
        for key, value in left.items():
            assert_same(value, right[key])
        return
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
