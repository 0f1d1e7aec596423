"""Jobs as JSON: what is written in one process is what another one reads, to the last field."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.context.ignore import parse_ignore
from builder.context.location import ContextArchive, ContextDirectory, ContextLocation, EmptyContext
from builder.dockerfile.parser import parse_dockerfile
from builder.errors import Location, PlanError, PybuildError
from builder.oci.descriptor import Descriptor
from builder.oci.digest import EMPTY_CHAIN, DiffID, digest_of
from builder.oci.media_type import OCI_LAYER
from builder.oci.run_options import RunOptions
from builder.plan.options import PlanOptions
from builder.plan.planner import make_plan
from builder.plan.step import Step, StepID, makes_layer
from builder.solve.cache_key import KeyEnvironment, definition, preimage
from builder.solve.events import Warned
from builder.solve.job import Inputs, JobResult, RunSettings, StepJob, job_from_json, result_from_json
from builder.solve.results import stack_of
from builder.solve.seen import Seen
from builder.store.layers import LayerRecord
from tests.builds.cases import case_names, load_case
from tests.plan.resolver import AMD64, FakeResolver
from tests.plan.strategies import LAYER_STEPS, NUMBERS, STEP_IDS, TEXT, assert_same

DIGESTS = st.binary(max_size=4).map(digest_of)
LAYERS = st.tuples(DIGESTS, DIGESTS, NUMBERS, NUMBERS).map(
    lambda drawn: LayerRecord(Descriptor(OCI_LAYER, drawn[0], drawn[2]), DiffID(drawn[1]), drawn[3], drawn[2], drawn[3])
)
STACKS = st.lists(LAYERS, max_size=3).map(lambda layers: stack_of(tuple(layers)))
IGNORES = st.sampled_from(["", "*.log\n!keep.log\n", "a/**/b\n# comment\n  c  \n"])
LOCATIONS: st.SearchStrategy[ContextLocation] = (
    st.builds(ContextDirectory, TEXT, IGNORES.map(lambda text: parse_ignore(text, ".dockerignore").rules))
    | st.builds(ContextArchive, TEXT, TEXT, NUMBERS)
    | st.builds(EmptyContext, NUMBERS)
)
SETTINGS = st.builds(
    RunSettings,
    network=st.sampled_from(["default", "host", "none"]),
    run=st.builds(
        RunOptions,
        add_hosts=st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple),
        shm_size=st.none() | NUMBERS,
        ulimits=st.lists(st.tuples(TEXT, NUMBERS, NUMBERS), max_size=2).map(tuple),
        memory_bytes=st.none() | NUMBERS,
        cpuset_cpus=TEXT,
    ),
    hostname=TEXT, allow=st.frozensets(TEXT, max_size=2), cache_namespace=TEXT,
)  # fmt: skip
JOBS = st.builds(
    StepJob,
    build=TEXT, step=LAYER_STEPS, parent=STACKS, stacks=st.dictionaries(STEP_IDS, STACKS, max_size=2),
    contexts=st.dictionaries(TEXT, LOCATIONS, max_size=2), settings=SETTINGS, epoch=st.none() | NUMBERS,
    made_at=NUMBERS, definition=st.dictionaries(TEXT, TEXT, max_size=2), inputs=st.none() | st.lists(TEXT, max_size=2),
)  # fmt: skip
WARNINGS = st.lists(st.builds(Warned, TEXT, TEXT, st.none() | st.builds(Location, TEXT, NUMBERS)), max_size=2).map(
    tuple
)
SEEN = st.builds(Seen, TEXT, TEXT, st.booleans(), st.none() | TEXT, st.lists(TEXT, max_size=2).map(tuple), st.binary())


@given(JOBS)
def test_any_job_comes_back_exactly(job: StepJob) -> None:
    assert_same(job_from_json(json.loads(json.dumps(job.to_json()))), job)


@pytest.mark.parametrize("name", case_names())
def test_the_jobs_of_real_dockerfiles_come_back_exactly(name: str) -> None:
    dockerfile = load_case(name).folder / "Dockerfile"
    text = dockerfile.read_bytes() if dockerfile.exists() else b"FROM scratch\nCOPY a /\n"
    try:
        plan = make_plan(parse_dockerfile(text, "Dockerfile"), PlanOptions(platform=AMD64), FakeResolver(anything=True))
    except PybuildError:
        return  # what is refused has no steps
    for step in filter(makes_layer, plan.steps):
        job = StepJob(
            build="b", step=step, parent=stack_of(()), definition=definition(step.op, EMPTY_CHAIN, KeyEnvironment())
        )
        assert_same(job_from_json(json.loads(json.dumps(job.to_json()))), job)


@given(LAYERS, st.lists(SEEN, max_size=2).map(tuple), WARNINGS, WARNINGS, st.booleans())
def test_any_result_comes_back_exactly(
    layer: LayerRecord, seen: tuple[Seen, ...], read: tuple[Warned, ...], said: tuple[Warned, ...], in_chroot: bool
) -> None:
    result = JobResult(layer, Inputs({"mounts": []}, lambda: seen, read), said, in_chroot)
    again = result_from_json(json.loads(json.dumps(result.to_json())))
    assert_same(again._replace(inputs=Inputs({})), result._replace(inputs=Inputs({})))
    assert_same((again.inputs.document, again.inputs.seen(), again.inputs.warnings), ({"mounts": []}, seen, read))


def test_the_key_of_a_job_is_known_with_its_inputs() -> None:
    document = {"version": 2, "operation": "workdir"}
    step = Step(id=StepID(0), op=make_plan(parse_dockerfile(b"FROM scratch\nWORKDIR /a\n", "Dockerfile"), PlanOptions(
        platform=AMD64), FakeResolver()).steps[0].op)  # fmt: skip
    assert makes_layer(step)
    job = StepJob(build="b", step=step, parent=stack_of(()), definition=document)
    assert job.key() is None
    known = StepJob(build="b", step=step, parent=stack_of(()), definition=document, inputs={})
    assert known.key() == digest_of(preimage(document, {}))


def test_what_is_no_job_is_refused() -> None:
    image = make_plan(
        parse_dockerfile(b"FROM x\n", "Dockerfile"), PlanOptions(platform=AMD64), FakeResolver(anything=True)
    ).steps[0]
    job = StepJob(build="b", step=image, parent=stack_of(()))  # type: ignore[arg-type]  # that is the mistake
    with pytest.raises(PlanError, match="a step that makes a layer"):
        job_from_json(job.to_json())
    with pytest.raises(PlanError, match="can't be read"):
        job_from_json(job.to_json() | {"step": {"is": "Popen"}})
