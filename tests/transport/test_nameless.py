"""Base images from places: every transport gives the same image, once; what has changed there is seen."""

from __future__ import annotations

import hashlib
import os
import socketserver
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from builder.context.named import check_named_contexts
from builder.errors import PybuildError
from builder.oci.manifest import Manifest, parse_manifest
from builder.store.store import Store
from builder.transport.copy import copy_image
from builder.transport.places.location import parse_location
from builder.transport.places.opening import open_destination
from builder.transport.progress import BlobState
from tests.support.settle import wait_until_settled
from tests.transport.resolving import AMD64, failing, resolver
from tests.transport.test_places import IMAGE, NAME, OTHER, Memory, client

PLACES = ("oci", "oci-layout", "dir", "oci-archive", "docker-archive", "docker-daemon", "containers-storage")
SKOPEO = """#!/bin/sh
echo "$@" >>"{folder}/calls"
case $1 in
  inspect) exec cat "{folder}/storage/index.json" ;;
  copy) for last; do :; done; last=${{last#oci:}}; exec cp -r "{folder}/storage" "${{last%:*}}" ;;
esac
"""


class World:
    """Places that hold an image, and a note of what was fetched from them."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self._store = store

    def put(self, transport: str, image: str) -> str:
        """Write what `Memory` calls `image` to a place; return the value of --build-context that means it."""
        where = {
            "oci": f"oci:{self.folder}/layout:v1",
            "oci-layout": f"oci:{self.folder}/layout:v1",
            "dir": f"dir:{self.folder}/flat",
            "oci-archive": f"oci-archive:{self.folder}/oci.tar:v1",
            "docker-archive": f"docker-archive:{self.folder}/docker.tar:demo:v1",
            "docker-daemon": f"docker-archive:{self.folder}/daemon.tar:demo:v1",
            "containers-storage": f"oci:{self.folder}/storage:v1",
        }[transport]
        location = parse_location(where)
        with open_destination(location, self._store, client()) as destination:
            copy_image(Memory(), destination, image, names=location.names or [NAME])
        if transport.endswith("archive"):
            wait_until_settled(self.folder)
        if transport == "oci-layout":
            return f"oci-layout://{self.folder}/layout:v1"
        return f"{transport}:demo:v1" if transport in ("docker-daemon", "containers-storage") else where

    def calls(self) -> list[str]:
        """Return what daemon and skopeo were asked for so far."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    folder: Path


class _Daemon(BaseHTTPRequestHandler):
    """What a docker daemon says of the one image that it has."""

    server: _Server

    def address_string(self) -> str:
        return "a socket"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        data = (self.server.folder / "daemon.tar").read_bytes()
        with (self.server.folder / "calls").open("a") as calls:
            calls.write(f"GET {self.path}\n")
        if self.path.endswith("/json"):
            data = b'{"Id": "sha256:%s"}' % hashlib.sha256(data).hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def world(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    folder = tmp_path / "world"
    (folder / "bin").mkdir(parents=True)
    skopeo = folder / "bin" / "skopeo"
    skopeo.write_text(SKOPEO.format(folder=folder))
    skopeo.chmod(skopeo.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/socket")
    with _Server(f"{folder}/socket", _Daemon) as server:
        server.folder = folder
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield World(folder, store)
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("transport", PLACES)
def test_a_base_from_a_place_is_taken_in_once_until_it_changes(world: World, store: Store, transport: str) -> None:
    value = world.put(transport, "one")
    moved: list[BlobState] = []
    said: list[str] = []

    def look() -> tuple[str, int]:
        here = resolver(store, named={"base": value}, notify=said.append, report=moved.append)
        found = here.resolve("docker.io/library/base:latest", AMD64)
        return str(found.config.platform), len(here.layers(found.manifest_digest))

    assert look() == ("linux/amd64", 2)
    assert {blob.digest for blob in moved} == {layer.digest for layer in _manifest(IMAGE.manifest).layers}
    assert len(said) == 1
    assert said[0].startswith("pull ")
    asked = len(world.calls())
    moved.clear()
    assert look() == ("linux/amd64", 2)
    assert (moved, len(said)) == ([], 1), "nothing is fetched again"
    assert not [call for call in world.calls()[asked:] if call.startswith("copy") or call.endswith("/get")]
    if transport == "containers-storage":
        (world.folder / "storage/index.json").unlink()  # a store has one image of a name
    world.put(transport, OTHER.digest)
    assert look() == ("linux/arm64", 1)


def _manifest(data: bytes) -> Manifest:
    found = parse_manifest(data, "", "a test's")
    assert isinstance(found, Manifest)
    return found


@pytest.mark.parametrize("transport", ["oci", "oci-archive", "dir"])
def test_an_index_gives_the_image_of_each_platform(world: World, store: Store, transport: str) -> None:
    value = world.put(transport, "all")
    for platform, image in (("amd64", IMAGE), ("arm64", OTHER), ("amd64", IMAGE)):
        here = resolver(store)
        found = here.resolve(value, AMD64._replace(architecture=platform))
        assert found.manifest_digest == image.digest
        assert len(here.layers(found.manifest_digest)) == len(_manifest(image.manifest).layers)
    with pytest.raises(PybuildError) as caught:
        resolver(store).resolve(value, AMD64._replace(architecture="s390x"))
    assert value in caught.value.message
    assert "s390x" in caught.value.message
    assert "linux/arm64" in caught.value.message + caught.value.hint


@pytest.mark.parametrize("transport", ["oci", "oci-archive", "dir", "docker-archive"])
def test_a_damaged_place_is_refused(world: World, store: Store, transport: str) -> None:
    value = world.put(transport, "one")
    (layer, *_) = _manifest(IMAGE.manifest).layers
    data = IMAGE.blobs[layer.digest]
    for path in (path for path in world.folder.rglob("*") if path.is_file()):
        path.write_bytes(path.read_bytes().replace(data, b"x" * len(data)))
    here = resolver(store)
    with pytest.raises(PybuildError) as caught:
        here.layers(here.resolve(value, AMD64).manifest_digest)
    assert str(layer.digest) in caught.value.message
    assert not store.blobs.has(layer.digest)


def test_what_is_not_there_is_said_with_its_place(world: World, store: Store) -> None:
    world.put("oci", "one")
    world.put("docker-archive", "one")
    assert "has no image 'v2'" in failing(store, f"oci:{world.folder}/layout:v2").message
    assert (
        "has no image 'docker.io/library/x:latest'"
        in failing(store, f"docker-archive:{world.folder}/docker.tar:x").message
    )
    (world.folder / "socket").unlink()
    assert f"no docker daemon answers at unix://{world.folder}/socket" in failing(store, "docker-daemon:demo").message
    (world.folder / "bin/skopeo").write_text("#!/bin/sh\necho no such image >&2; exit 1\n")
    said = failing(store, "containers-storage:demo").message
    assert said == "containers-storage:docker.io/library/demo:latest: skopeo says: no such image"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("oci:{}/gone:x", "gone does not exist"),
        ("oci:{}", "is no image layout"),
        ("dir:{}", "holds no image as dir: has them"),
        ("dir:{}/file", "file is not a directory"),
        ("docker-archive:{}/gone.tar:x", "gone.tar does not exist"),
        ("oci-archive:{}", "is not a file"),
        ("docker-archive:-", "standard input can be read once"),
        ("dir:", "names no path"),
        ("oci::x", "names no path"),
    ],
)
def test_what_is_not_there_is_said_before_anything_is_built(tmp_path: Path, value: str, reason: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PybuildError) as caught:
        check_named_contexts({"base": value.format(tmp_path)}, lambda text: False)
    assert reason in caught.value.message
    assert "base" in caught.value.message


def test_a_relative_place_is_not_taken_for_a_registry(
    world: World, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put("oci", "one")
    (world.folder / "5000").mkdir()
    (world.folder / "layout").rename(world.folder / "5000/x")
    monkeypatch.chdir(world.folder)
    here = resolver(store, named={"base": "oci:5000/x:v1"})
    assert here.resolve("docker.io/library/base:latest", AMD64).manifest_digest == IMAGE.digest
