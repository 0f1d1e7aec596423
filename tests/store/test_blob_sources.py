"""Where blobs come from: what every source promises, and a build that goes on with a layer that was fetched."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.context.load import load_context
from builder.dockerfile.parser import parse_dockerfile
from builder.errors import BlobNotFound, DigestMismatch
from builder.linux.single_id import one_id_only
from builder.oci.descriptor import Descriptor
from builder.oci.digest import DiffID, Digest, digest_of
from builder.oci.platform import host_platform
from builder.plan.options import PlanOptions
from builder.plan.planner import make_plan
from builder.solve import events as e
from builder.solve.context import SolveContext
from builder.solve.job import RunSettings
from builder.solve.solver import solve
from builder.solve.worker import Worker
from builder.store.blob_source import BlobSource, MemoryBlobs, NoBlobs, Write
from builder.store.layers import LayerRecord
from builder.store.store import open_store
from builder.transport.resolver import Resolver
from tests.plan.resolver import FakeResolver

DATA = b"the bytes of a blob" * 100
DIGEST = digest_of(DATA)
ABSENT = digest_of(b"nobody has this")


class StoreBlobs:
    """The blobs of another store; notes what was fetched."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.fetched: list[Digest] = []

    def has(self, digest: Digest) -> bool:
        with open_store(self.root) as store:
            return store.blobs.has(digest)

    def fetch(self, digest: Digest, write: Write) -> None:
        with open_store(self.root) as store, store.blobs.open(digest) as file:
            while block := file.read(7):
                write(block)
        self.fetched.append(digest)


def of_another_store(folder: Path) -> BlobSource:
    with open_store(str(folder / "other")) as store:
        store.blobs.put(DATA)
    return StoreBlobs(str(folder / "other"))


SOURCES: dict[str, Callable[[Path], BlobSource]] = {
    "memory": lambda folder: MemoryBlobs({DIGEST: DATA}),
    "another store": of_another_store,
}


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> BlobSource:
    return SOURCES[request.param](tmp_path)


def test_a_source_gives_what_it_says_it_has(source: BlobSource) -> None:
    given = bytearray()
    assert source.has(DIGEST)
    source.fetch(DIGEST, given.extend)
    assert given == DATA


def test_a_source_that_has_no_such_blob_says_so(source: BlobSource) -> None:
    for each in (source, NoBlobs()):
        assert not each.has(ABSENT)
        with pytest.raises(BlobNotFound):
            each.fetch(ABSENT, bytearray().extend)


def test_a_store_has_what_its_source_has_once_it_is_wanted(source: BlobSource, tmp_path: Path) -> None:
    with open_store(str(tmp_path / "store"), source=source) as store:
        assert not store.blobs.has(DIGEST)
        assert Path(store.blobs.ensure(DIGEST)).read_bytes() == DATA
        assert store.blobs.has(DIGEST)
        store.blobs.delete(DIGEST)
        assert store.blobs.size(DIGEST) == len(DATA)
        store.blobs.delete(DIGEST)
        assert store.blobs.read(DIGEST, len(DATA)) == DATA
        store.blobs.delete(DIGEST)
        store.blobs.verify(DIGEST)


def test_without_a_source_a_blob_is_here_or_it_is_not(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "store")) as store:
        for ask in (store.blobs.ensure, store.blobs.size, store.blobs.open, store.blobs.stream):
            with pytest.raises(BlobNotFound, match="is not in the store"):
                ask(DIGEST)
        store.blobs.put(DATA)
        assert store.blobs.ensure(DIGEST) == store.blobs.path(DIGEST)


def test_other_bytes_than_those_of_the_digest_are_refused(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "store"), source=MemoryBlobs({DIGEST: b"other bytes"})) as store:
        with pytest.raises(DigestMismatch):
            store.blobs.ensure(DIGEST)
        assert not store.blobs.has(DIGEST)


def build(root: str, folder: Path, source: BlobSource | None = None) -> list[e.Event]:
    seen: list[e.Event] = []
    with (
        open_store(root, source=source) as store,
        store.lease(),
        load_context(str(folder), None, {}, store) as contexts,
    ):
        plan = make_plan(
            parse_dockerfile(contexts.dockerfile, "Dockerfile"), PlanOptions(platform=host_platform()), FakeResolver()
        )
        context = SolveContext(
            store=store, cache=store.records, resolver=Resolver(store), contexts=contexts, settings=RunSettings(),
            worker=Worker(store, None, one_id_only()), sink=seen.append, build_name="fetched", epoch=1,
        )  # fmt: skip
        try:
            solve(plan, context)
        finally:
            context.close()
    return seen


def test_a_layer_that_is_fetched_is_not_made_again(tmp_path: Path) -> None:
    folder, root = tmp_path / "context", str(tmp_path / "store")
    folder.mkdir()
    (folder / "a").write_text("a")
    (folder / "b").write_text("b")
    (folder / "Dockerfile").write_text(
        "FROM scratch AS one\nCOPY a /d/a\nFROM one\nCOPY b /d/\nCOPY --from=one /d/a /c\n"
    )
    first = next(event for event in build(root, folder) if isinstance(event, e.StepFinished))
    gone = Digest(first.layer)
    with open_store(root) as store, open_store(str(tmp_path / "other")) as other:
        other.blobs.put(Path(store.blobs.path(gone)).read_bytes())
        store.blobs.delete(gone)
        os.unlink(store.layers.index_path(DiffID(gone)))
    (folder / "b").write_text("changed")
    source = StoreBlobs(str(tmp_path / "other"))
    seen = build(root, folder, source)
    assert [event.step for event in seen if isinstance(event, e.StepCached)] == [0]
    assert [event.step for event in seen if isinstance(event, e.StepStarted)] == [1, 2]
    assert source.fetched == [gone], "once"
    with open_store(root) as store:
        store.blobs.delete(gone)
    assert [event.step for event in build(root, folder) if isinstance(event, e.StepStarted)] == [0], "nobody has it"


def test_what_is_written_is_not_fetched(source: BlobSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(source), "fetch", None)
    with open_store(str(tmp_path / "here"), source=source) as store:
        assert store.blobs.put(DATA) == DIGEST
        assert store.blobs.put(DATA) == DIGEST


def test_a_layer_that_is_cut_short_is_made_again(source: BlobSource, tmp_path: Path) -> None:
    """It is here, so it would not be fetched."""
    with open_store(str(tmp_path / "here"), source=source) as store:
        record = LayerRecord(Descriptor(media_type="", digest=DIGEST, size=len(DATA)), DiffID(digest_of(b"diff")))
        store.layers.put(record)
        assert store.layers.find(record.diff_id) is not None, "it can be fetched"
        store.blobs.put(DATA)
        os.truncate(store.blobs.path(DIGEST), 5)
        assert store.layers.find(record.diff_id) is None
