"""The record of a build: what it did can be read later, and what a receipt points at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.engine.build import build
from builder.engine.build_record import find_record, record_of
from builder.engine.recorder import put_record
from builder.engine.request import BuildRequest
from builder.errors import Location
from builder.oci.digest import Digest, digest_of
from builder.solve import events as e
from builder.solve.event_json import event_from_json, event_to_json
from builder.store.store import open_store

DOCKERFILE = """\
FROM scratch AS one
COPY a /a
FROM scratch
COPY --from=one /a /b
COPY nothing* /c/
"""


@pytest.fixture
def request_(tmp_path: Path) -> BuildRequest:
    context = tmp_path / "context"
    context.mkdir()
    (context / "a").write_text("a")
    (context / "Dockerfile").write_text(DOCKERFILE)
    return BuildRequest(root=str(tmp_path / "store"), context=str(context), tags=("it:1",))


def test_a_build_leaves_what_it_did(request_: BuildRequest) -> None:
    seen: list[e.Event] = []
    result = build(request_, seen.append)
    with open_store(request_.root) as store:
        record = record_of(store, result.descriptor.digest)
        assert record is not None
        assert record.images == result.images
        assert (record.manifest, record.names) == (str(result.descriptor.digest), result.names)
        assert [event_from_json(event) for _, event in record.events] == seen
        assert [seconds for seconds, _ in record.events] == sorted(seconds for seconds, _ in record.events)
        assert [(line.step, line.line) for line in record.steps] == [(0, 2), (1, 4), (2, 5)]
        for step in record.images[0].steps:
            assert step.key
            assert store.records.preimage(Digest(step.key)) is not None
    assert [warning.rule for warning in record.warnings()] == ["UnmatchedWildcard"]


def test_a_build_that_is_cached_leaves_a_record_of_its_own(request_: BuildRequest) -> None:
    first = build(request_)
    (Path(request_.context) / "Dockerfile").write_text(DOCKERFILE + "LABEL x=y\n")
    second = build(request_)
    with open_store(request_.root) as store:
        records = [record_of(store, result.descriptor.digest) for result in (first, second)]
    assert [record is not None and record.images[0].steps[0].cached for record in records] == [False, True]


def test_a_build_that_found_nothing_to_do_leaves_the_record_of_the_one_that_did(request_: BuildRequest) -> None:
    first = build(request_)
    with open_store(request_.root) as store:
        before = record_of(store, first.descriptor.digest)
        documents = store.database.rows("SELECT key, document FROM plan WHERE document LIKE '%began%'")
    for _ in range(3):
        (Path(request_.context) / "a").touch()
        assert build(request_._replace(annotations=(), outputs=("type=cacheonly",))).descriptor == first.descriptor
    with open_store(request_.root) as store:
        assert record_of(store, first.descriptor.digest) == before
        assert store.database.rows("SELECT key, document FROM plan WHERE document LIKE '%began%'") == documents
    (Path(request_.context) / "Dockerfile").write_text("\n" + DOCKERFILE)
    assert build(request_).descriptor == first.descriptor
    with open_store(request_.root) as store:
        after = record_of(store, first.descriptor.digest)
    assert before is not None
    assert after is not None
    assert [line.line for line in after.steps] == [line.line + 1 for line in before.steps], "its steps stand elsewhere"


def test_a_record_in_which_anything_has_changed_is_none(request_: BuildRequest) -> None:
    manifest = build(request_).descriptor.digest
    with open_store(request_.root) as store:
        record = record_of(store, manifest)
        assert record is not None
        digest = put_record(store, record)
        document = store.documents.find(digest)
        assert document is not None
        for position in range(0, len(document), 7):
            changed = bytearray(document)
            changed[position] ^= 1
            store.documents.put(digest, bytes(changed))
            assert find_record(store, digest) is None
            assert record_of(store, manifest) is None


def test_the_record_of_what_is_built_every_day_stays(request_: BuildRequest) -> None:
    """Documents that nobody has put for a month are forgotten."""
    manifest = build(request_).descriptor.digest
    with open_store(request_.root) as store:
        before = record_of(store, manifest)
        store.database.change(lambda connection: connection.execute("UPDATE plan SET created = 1"))
    build(request_._replace(outputs=("type=cacheonly",)))
    with open_store(request_.root) as store:
        store.documents.delete_before(2)
        assert record_of(store, manifest) == before


@pytest.mark.parametrize("pointer", [b"", b"\xff\xfe", b"sha256:00"])
def test_a_manifest_whose_record_cannot_be_told_has_none(request_: BuildRequest, pointer: bytes) -> None:
    result = build(request_)
    with open_store(request_.root) as store:
        record = record_of(store, result.descriptor.digest)
        assert record is not None
        digest = put_record(store, record)
        store.database.change(
            lambda connection: connection.execute(
                "UPDATE plan SET document = ? WHERE document = ?", (pointer, digest.encode())
            )
        )
        assert record_of(store, result.descriptor.digest) is None
    assert build(request_._replace(outputs=("type=cacheonly",))).descriptor == result.descriptor
    with open_store(request_.root) as store:
        assert record_of(store, result.descriptor.digest) is not None, "it is made anew"


def test_platforms_have_their_own_steps(request_: BuildRequest) -> None:
    result = build(request_._replace(platforms=("linux/amd64", "linux/arm64")))
    with open_store(request_.root) as store:
        record = record_of(store, result.descriptor.digest)
    assert record is not None
    of = [event["platform"] for _, event in record.events if event["event"].startswith("step-")]
    assert set(of) == {"linux/amd64", "linux/arm64"}
    assert {event["step"] for _, event in record.events if "step" in event} == {0, 1, 2}
    assert {line.platform for line in record.steps} == {"linux/amd64", "linux/arm64"}


@pytest.mark.parametrize(
    "location", [None, Location("Dockerfile", 3, 1, 3, 9), Location("Dockerfile", 0), Location("", 7), Location("", 0)]
)
def test_warnings_come_back_as_they_were_said(request_: BuildRequest, location: Location | None) -> None:
    said = e.Warned("SomeRule", "some message", location)
    digest = build(request_).descriptor.digest
    with open_store(request_.root) as store:
        record = record_of(store, digest)
        assert record is not None
        kept = find_record(store, put_record(store, record._replace(events=((0.0, event_to_json(said)),))))
    assert kept is not None
    assert kept.warnings() == (said,) == (event_from_json(kept.events[0][1]),)


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1", b'{"format": 99, "version": ""}', b'{"format":1,"version":""}'])
def test_a_record_that_cannot_be_read_is_none(request_: BuildRequest, damage: bytes) -> None:
    result = build(request_)
    with open_store(request_.root) as store:
        record = record_of(store, result.descriptor.digest)
        assert record is not None
        digest = put_record(store, record)
        assert find_record(store, digest) == record
        store.documents.put(digest, damage)
        assert find_record(store, digest) is None
        store.documents.put(digest_of(damage), damage)
        assert find_record(store, digest_of(damage)) is None
        assert record_of(store, result.descriptor.digest) is None
        assert record_of(store, digest_of(b"another")) is None
    assert json.loads(json.dumps(record.warnings()))
