"""The contract of places: whatever is a source, and whatever is a destination, keeps it; one copy serves any two."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builder.errors import DigestMismatch, PybuildError
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest, digest_of
from builder.oci.manifest import Manifest, parse_manifest
from builder.oci.reference import parse_reference
from builder.registry.client import RegistryClient
from builder.registry.connection import Connection
from builder.store.store import Store, open_store
from builder.transport.copy import copy_image
from builder.transport.destination import Destination, copy_blob
from builder.transport.places.archive import ArchiveDestination
from builder.transport.places.dir import DirDestination
from builder.transport.places.layout import LayoutDestination
from builder.transport.places.location import parse_location
from builder.transport.places.opening import open_destination, open_origin, open_source
from builder.transport.places.registry import RegistryDestination, RegistrySource
from builder.transport.places.rootfs import DirectoryDestination, TarDestination
from builder.transport.places.store import StoreDestination
from builder.transport.source import BlobSink, Document, Source
from tests.support.registry import FakeRegistry, make_image, make_index, sha256
from tests.transport.resolving import AMD64

NAME = parse_reference("demo:v1")
IMAGE = make_image([{"etc/": b"", "etc/hello": b"hello\n"}, {"etc/more": b"more\n"}])
OTHER = make_image([{"other": b"other\n"}], architecture="arm64")


INDEX = make_index([IMAGE, OTHER])


class Memory:
    """The least that a source can be."""

    location = "memory"
    is_checked: bool

    def __init__(self, *, wrong: str = "", is_checked: bool = False) -> None:
        self.is_checked = is_checked
        self.given: list[str] = []
        blobs = {**IMAGE.blobs, **OTHER.blobs, IMAGE.digest: IMAGE.manifest, OTHER.digest: OTHER.manifest}
        self.blobs = {**blobs, INDEX.digest: INDEX.manifest}
        if wrong:
            self.blobs[wrong] = b"x" * len(self.blobs[wrong])

    def manifest(self, name: str) -> Document:
        data = self.blobs[{"one": IMAGE.digest, "all": INDEX.digest}.get(name, name)]
        return Document(Descriptor(media_type="", digest=digest_of(data), size=len(data)), data)

    def blob(self, descriptor: Descriptor, sink: BlobSink) -> None:
        self.given.append(descriptor.digest)
        data = self.blobs[descriptor.digest]
        sink.write(data[:3])
        sink.write(data[3:])

    def open_blob(self, descriptor: Descriptor) -> None:
        """Nothing here is a file."""


class Place:
    """A destination that a test can look into again: which blobs it has in the end."""

    def __init__(self, open_: Callable[[], Destination], close: Callable[[], dict[str, bytes]]) -> None:
        self.open = open_
        self.blobs = close


def _layout(path: Path) -> dict[str, bytes]:
    return {f"sha256:{blob.name}": blob.read_bytes() for blob in path.glob("blobs/sha256/*")}


def _archive(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        files = {member.name: tar.extractfile(member) for member in tar if member.isfile()}
        return {
            f"sha256:{name.rpartition('/')[2]}": file.read()
            for name, file in files.items()
            if file is not None and name.startswith("blobs/")
        }


@pytest.fixture(params=["store", "registry", "layout", "oci archive", "docker archive", "tar", "directory", "dir"])
def place(request: pytest.FixtureRequest, store: Store, tmp_path: Path) -> Iterator[Place]:
    if request.param == "registry":
        with FakeRegistry() as registry:
            name = parse_reference(f"{registry.host}/demo")
            yield Place(lambda: RegistryDestination(name, client()), lambda: _pushed(registry))
        return
    yield _place(request.param, store, tmp_path)


def client() -> RegistryClient:
    return RegistryClient(Connection(sleep=lambda _: None), {"HOME": "/nonexistent"})


def _pushed(registry: FakeRegistry) -> dict[str, bytes]:
    manifests = {sha256(data): data for data, _ in registry.manifests.values()}
    return manifests | {digest: registry.blobs[digest] for digest in registry.blobs}


def _flat(path: Path) -> dict[str, bytes]:
    files = [file.read_bytes() for file in path.iterdir() if file.name not in ("version", ".pybuild")]
    return {sha256(data): data for data in files}


def _place(kind: str, store: Store, tmp_path: Path) -> Place:
    written = io.BytesIO()
    layout = tmp_path / "layout"

    def here() -> dict[str, bytes]:
        return {str(digest): store.blobs.read(digest, 1 << 20) for digest, _ in store.blobs.walk()}

    match kind:
        case "store":
            return Place(lambda: StoreDestination(store), here)
        case "layout":
            return Place(lambda: LayoutDestination(str(layout)), lambda: _layout(layout))
        case "tar":
            return Place(lambda: TarDestination(store, "x.tar", written.write), here)
        case "dir":
            return Place(lambda: DirDestination(str(tmp_path / "flat")), lambda: _flat(tmp_path / "flat"))
        case "directory":
            return Place(lambda: DirectoryDestination(store, str(tmp_path / "root")), here)
    docker = kind == "docker archive"
    return Place(
        lambda: ArchiveDestination("x.tar", written.write, for_docker=docker), lambda: _archive(written.getvalue())
    )


def test_every_blob_arrives_byte_for_byte(place: Place) -> None:
    documents = copy_image(Memory(), place.open(), "one", names=[NAME])
    assert documents.top.descriptor.digest == IMAGE.digest
    assert (IMAGE.blobs | {IMAGE.digest: IMAGE.manifest}).items() <= place.blobs().items()


def test_an_index_arrives_with_all_its_images(place: Place) -> None:
    copy_image(Memory(), place.open(), "all", names=[NAME])
    assert Memory().blobs.items() <= place.blobs().items()


def test_a_platform_chooses_one_image_of_an_index(place: Place) -> None:
    documents = copy_image(Memory(), place.open(), "all", names=[NAME], platform=AMD64)
    assert [document.descriptor.digest for document in documents.all] == [IMAGE.digest]
    arrived = place.blobs()
    assert IMAGE.blobs.keys() <= arrived.keys()
    assert not {OTHER.digest, INDEX.digest} & arrived.keys()


def test_what_is_there_is_not_sent_again(place: Place) -> None:
    destination = place.open()
    for blob in (Descriptor("", Digest(digest), len(data)) for digest, data in IMAGE.blobs.items()):
        assert not destination.has_blob(blob)
        destination.put_blob(blob, Memory())
        assert destination.has_blob(blob)
    again = Memory()
    copy_image(again, destination, "one")
    assert not again.given


@pytest.mark.parametrize("blob", sorted(IMAGE.blobs))
def test_wrong_bytes_never_pass_for_a_blob(place: Place, blob: str) -> None:
    with pytest.raises(DigestMismatch, match=blob):
        copy_image(Memory(wrong=blob), place.open(), "one", names=[NAME])


@pytest.mark.parametrize("size", [-1, 1])
def test_a_blob_of_another_size_is_refused(place: Place, size: int) -> None:
    blob, data = next(iter(IMAGE.blobs.items()))
    with pytest.raises(DigestMismatch):
        place.open().put_blob(Descriptor("", Digest(blob), len(data) + size), Memory())


SOURCES = ["store", "layout", "registry", "oci archive", "compressed archive", "docker archive", "dir"]


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("name", ["v1", "digest", "index"])
def test_a_source_gives_what_it_has(kind: str, name: str, store: Store, tmp_path: Path) -> None:
    with (
        FakeRegistry() as registry,
        open_store(str(tmp_path / "other")) as other,
        _source(kind, registry, store, tmp_path) as source,
    ):
        by_tag = {"store": IMAGE.digest, "docker archive": "demo:v1", "dir": IMAGE.digest}
        asked = {"v1": by_tag.get(kind, "v1"), "digest": IMAGE.digest, "index": INDEX.digest}[name]
        copy_image(source, StoreDestination(other), asked, names=[NAME])
        there = {str(digest): other.blobs.read(digest, 1 << 20) for digest, _ in other.blobs.walk()}
        assert IMAGE.blobs.items() <= there.items()
        named = other.names.find(NAME)
        assert named is not None
        assert named.digest == (INDEX.digest if name == "index" else IMAGE.digest)


@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_without_the_image_says_so(kind: str, store: Store, tmp_path: Path) -> None:
    with FakeRegistry() as registry, _source(kind, registry, store, tmp_path) as source:
        with pytest.raises(PybuildError) as caught:
            source.manifest(sha256(b"nothing"))
        assert sha256(b"nothing") in caught.value.message


@pytest.mark.parametrize("kind", ["layout", "oci archive", "compressed archive", "docker archive", "dir"])
def test_what_came_from_a_place_can_be_had_there_again(kind: str, store: Store, tmp_path: Path) -> None:
    with FakeRegistry() as registry, _source(kind, registry, store, tmp_path) as source:
        location = source.location
    with open_origin(location, store, client()) as again:
        copy_image(again, StoreDestination(store), IMAGE.digest, names=[NAME])
    assert store.names.get(NAME).digest == IMAGE.digest


@contextmanager
def _source(kind: str, registry: FakeRegistry, store: Store, tmp_path: Path) -> Iterator[Source]:
    if kind == "registry":
        registry.add_image("demo", "v1", IMAGE)
        registry.add_image("demo", "all", INDEX, [IMAGE, OTHER])
        yield RegistrySource(parse_reference(f"{registry.host}/demo"), client())
        return
    path = tmp_path / "source"
    where = {
        "store": str(NAME),
        "layout": f"oci:{path}",
        "oci archive": f"oci-archive:{path}",
        "compressed archive": f"oci-archive:{path}",
        "docker archive": f"docker-archive:{path}",
        "dir": f"dir:{path}",
    }[kind]
    location = parse_location(where)
    with open_destination(location, store, client()) as destination:
        if kind != "dir":
            copy_image(Memory(), destination, "one", names=[NAME])
        copy_image(Memory(), destination, "all", names=[parse_reference("demo:all")])
    if kind == "compressed archive":
        path.write_bytes(gzip.compress(path.read_bytes()))
    with open_source(location, store, client()) as source:
        yield source


def test_images_of_two_copies_into_one_layout_both_stay(tmp_path: Path) -> None:
    layout = str(tmp_path / "layout")
    first, second = LayoutDestination(layout), LayoutDestination(layout)
    copy_image(Memory(), first, "one", names=[parse_reference("demo:a")])
    copy_image(Memory(), second, "all", names=[parse_reference("demo:b")])
    entries = json.loads((tmp_path / "layout/index.json").read_text())["manifests"]
    assert [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in entries] == ["a", "b"]


def test_what_cannot_be_written_is_no_failure_of_the_network(tmp_path: Path) -> None:
    """It is not fetched again, and no hole is left where it should be."""
    taken: list[bytes] = []

    def full(data: bytes) -> None:
        if data not in taken:
            taken.append(data)
            raise OSError(28, "No space left on device")

    with FakeRegistry() as registry:
        registry.add_image("demo", "v1", IMAGE)
        source = RegistrySource(parse_reference(f"{registry.host}/demo"), client())
        blob = parse_manifest(IMAGE.manifest, "", "it")
        assert isinstance(blob, Manifest)
        with pytest.raises(OSError, match="No space left"):
            copy_blob(source, blob.layers[0], full)
        assert sum("/blobs/" in path for _, path, _ in registry.requests) == 1
    assert len(taken) == 1


class Asked:
    """A destination that has everything, and notes what it is asked for."""

    location = "asked"
    documents_are_blobs = False

    def __init__(self, parallel: int) -> None:
        self.parallel = parallel
        self.blobs: list[Descriptor] = []

    def has_blob(self, descriptor: Descriptor) -> bool:
        self.blobs.append(descriptor)
        return True

    def put_blob(self, descriptor: Descriptor, source: Source) -> None:
        raise AssertionError("it is there")

    def put_manifest(self, document: Document) -> None: ...

    def finish(self, top: Document, names: object) -> None: ...


def test_large_blobs_go_first_where_several_go_at_once() -> None:
    several, single = Asked(parallel=2), Asked(parallel=1)
    copy_image(Memory(), several, "all")
    copy_image(Memory(), single, "all")
    largest = max(single.blobs, key=lambda blob: blob.size)
    assert largest in several.blobs[:2]
    digests = [blob.digest for blob in single.blobs]
    assert digests == sorted(digests)
    assert largest not in single.blobs[:2], "a test that can't fail"


def test_an_interrupted_copy_ends_at_the_next_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, stopped = threading.Event(), threading.Event()

    class Endless(Memory):
        def blob(self, descriptor: Descriptor, sink: BlobSink) -> None:
            begun.set()
            try:
                while True:
                    sink.write(b"")
            finally:
                stopped.set()

    def interrupted(*_: object, **__: object) -> None:
        assert begun.wait(10)
        raise KeyboardInterrupt

    monkeypatch.setattr("builder.transport.copy.wait", interrupted)
    with open_store(str(tmp_path / "s")) as store, pytest.raises(KeyboardInterrupt):
        copy_image(Endless(), StoreDestination(store), "one")
    assert stopped.is_set()
