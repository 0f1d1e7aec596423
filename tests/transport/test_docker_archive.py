"""Archives of docker and skopeo, of every generation, and those nobody should read; a daemon that speaks little."""

from __future__ import annotations

import gzip
import io
import json
import socketserver
import tarfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from builder.errors import PybuildError, TransportError
from builder.oci.digest import Digest
from builder.registry.client import RegistryClient
from builder.registry.connection import Connection
from builder.store.store import Store
from builder.transport.copy import copy_image
from builder.transport.places.location import parse_location
from builder.transport.places.opening import open_destination, open_source
from builder.transport.places.store import StoreDestination
from tests.support.peers import run
from tests.support.registry import make_image, sha256
from tests.transport.test_places import Memory, client

IMAGE = make_image([{"a": b"a\n"}, {"b": b"b\n"}], compress=False)
CONFIG = next(data for data in IMAGE.blobs.values() if data.startswith(b"{"))
DIFFS: list[str] = IMAGE.config["rootfs"]["diff_ids"]
Files = dict[str, bytes | str]
"""Content of a file, or the target of a symbolic link."""


def old_docker() -> Files:
    layers = {f"{n}0/layer.tar": IMAGE.blobs[diff] for n, diff in enumerate(DIFFS)}
    return {**layers, f"{sha256(CONFIG)[7:]}.json": CONFIG, "manifest.json": listing(list(layers))}


def skopeo_s() -> Files:
    layers = {f"{diff[7:]}.tar": IMAGE.blobs[diff] for diff in DIFFS}
    links = {f"{n}0/layer.tar": f"../{name}" for n, name in enumerate(layers)}
    return {**layers, **links, f"{sha256(CONFIG)[7:]}.json": CONFIG, "manifest.json": listing(list(links))}


def packed() -> Files:
    layers = {f"{diff[7:]}.tar.gz": gzip.compress(IMAGE.blobs[diff]) for diff in DIFFS}
    return {"manifest.json": listing(list(layers)), **layers, f"{sha256(CONFIG)[7:]}.json": CONFIG}


def listing(layers: list[str], config: str = f"{sha256(CONFIG)[7:]}.json", name: str = "demo:v1") -> bytes:
    return json.dumps([{"Config": config, "RepoTags": [name], "Layers": layers}]).encode()


def write(path: Path, files: Files) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def load(store: Store, text: str) -> str:
    location = parse_location(text)
    client = RegistryClient(Connection(sleep=lambda _: None), {"HOME": "/nonexistent"})
    with open_source(location, store, client) as source:
        return copy_image(source, StoreDestination(store), location.image).manifests[0][1].config.digest


@pytest.mark.parametrize("generation", [old_docker, skopeo_s, packed])
@pytest.mark.parametrize("which", ["", ":demo:v1", ":@0"])
def test_every_generation_is_read(generation: Callable[[], Files], which: str, store: Store, tmp_path: Path) -> None:
    write(tmp_path / "x.tar", generation())
    assert load(store, f"docker-archive:{tmp_path}/x.tar{which}") == sha256(CONFIG)
    assert all(store.blobs.read(Digest(diff), 1 << 20) == IMAGE.blobs[diff] for diff in DIFFS)


def contradicting() -> Files:
    two = [*json.loads(listing([])), *json.loads(listing(["00/layer.tar", "10/layer.tar"]))]
    return {**old_docker(), "manifest.json": json.dumps(two).encode()}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (lambda: {**old_docker(), "manifest.json": listing(["00/layer.tar"])}, "lists 1 layer "),
        (lambda: {**old_docker(), "manifest.json": listing(["00/layer.tar"] * 2)}, "one file for two"),
        (lambda: {**old_docker(), "10/layer.tar": b"x" * 512}, "other bytes"),
        (lambda: {**packed(), f"{DIFFS[0][7:]}.tar.gz": gzip.compress(b"x")}, "is not the layer"),
        (lambda: {**old_docker(), f"{sha256(CONFIG)[7:]}.json": CONFIG + b" "}, "other bytes"),
        (lambda: {**old_docker(), "manifest.json": listing(["/etc/passwd", "x"])}, "is not in it"),
        (lambda: {**old_docker(), "10/layer.tar": "/etc/passwd"}, "is not in it"),
        (lambda: {**old_docker(), "manifest.json": b"{}"}, "lists no image"),
        (lambda: {**old_docker(), "manifest.json": b"["}, "not what docker has"),
        (contradicting, "two different images"),
        (lambda: {**old_docker(), "../x": b"x"}, "leads outside"),
    ],
)
def test_what_contradicts_itself_is_refused(
    files: Callable[[], Files], words: str, store: Store, tmp_path: Path
) -> None:
    write(tmp_path / "x.tar", files())
    with pytest.raises(PybuildError) as caught:
        load(store, f"docker-archive:{tmp_path}/x.tar")
    assert words in caught.value.message


def test_the_two_lists_of_a_hybrid_must_agree(store: Store, tmp_path: Path) -> None:
    with open_destination(parse_location(f"docker-archive:{tmp_path}/x.tar"), store, client()) as destination:
        copy_image(Memory(), destination, "one")
    with tarfile.open(tmp_path / "x.tar") as tar:
        files = {m.name: file.read() for m in tar if (file := tar.extractfile(m)) is not None}
    entry = json.loads(files["manifest.json"])[0]
    entry["Layers"].reverse()
    write(tmp_path / "x.tar", {**files, "manifest.json": json.dumps([entry]).encode()})
    with pytest.raises(TransportError, match="contradict each other"):
        load(store, f"docker-archive:{tmp_path}/x.tar")


def test_an_archive_that_is_cut_short_is_refused(store: Store, tmp_path: Path) -> None:
    write(tmp_path / "x.tar", old_docker())
    (tmp_path / "x.tar").write_bytes((tmp_path / "x.tar").read_bytes()[:1300])
    with pytest.raises(TransportError, match="cut short"):
        load(store, f"docker-archive:{tmp_path}/x.tar")


@pytest.mark.parametrize(
    "answer", [b'{"errorDetail":{"message":"no space"},"error":"no space"}\n', b'{"stream":"ok"}\n']
)
def test_an_answer_200_of_a_daemon_may_be_a_refusal(answer: bytes, store: Store, tmp_path: Path) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def address_string(self) -> str:
            return "socket"

        def log_message(self, *_: object) -> None:
            pass

    environ = {"DOCKER_HOST": f"unix://{tmp_path}/s"}
    with socketserver.UnixStreamServer(f"{tmp_path}/s", Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()

        def send() -> None:
            with open_destination(parse_location("docker-daemon:x"), store, client(), environ=environ) as destination:
                copy_image(Memory(), destination, "one")

        if b"error" in answer:
            with pytest.raises(TransportError, match="refused the image: no space"):
                send()
        else:
            send()


def test_without_daemon_and_without_skopeo_the_error_says_what_to_do(store: Store) -> None:
    for text, words in (("docker-daemon:x", "DOCKER_HOST"), ("containers-storage:x", "apt install skopeo")):
        environ = {"DOCKER_HOST": "unix:///nonexistent", "PATH": "/nonexistent"}
        with (
            pytest.raises(TransportError) as caught,
            open_destination(parse_location(text), store, client(), environ=environ),
        ):
            pytest.fail("nobody is there")
        assert words in caught.value.hint


def test_skopeo_reads_what_we_write_and_we_what_it_writes(store: Store, tmp_path: Path, skopeo: str) -> None:
    with open_destination(parse_location(f"dir:{tmp_path}/d"), store, client()) as destination:
        copied = copy_image(Memory(), destination, "one")
    config = copied.manifests[0][1].config.digest
    for place in (f"oci:{tmp_path}/o:x", f"oci-archive:{tmp_path}/a.tar:x", f"docker-archive:{tmp_path}/b.tar:x:1"):
        run(skopeo, "copy", f"dir:{tmp_path}/d", place)
        assert load(store, place) == config
    run(skopeo, "copy", "--preserve-digests", f"oci:{tmp_path}/o:x", f"dir:{tmp_path}/e")
    assert (tmp_path / "e/manifest.json").read_bytes() == (tmp_path / "d/manifest.json").read_bytes()
    assert load(store, f"dir:{tmp_path}/e") == config


def test_an_image_comes_back_from_a_docker_daemon(store: Store, tmp_path: Path, docker: str) -> None:
    text = f"docker-daemon:pybuild-test-{sha256(str(tmp_path).encode())[7:19]}:v1"
    location = parse_location(text)
    try:
        with open_destination(location, store, client()) as destination:
            config = copy_image(Memory(), destination, "one", names=location.names).manifests[0][1].config.digest
        assert load(store, text) == config
        with pytest.raises(TransportError):
            load(store, f"{text}-nothing")
    finally:
        run(docker, "image", "rm", "-f", text.partition(":")[2], check=False)


def test_an_image_comes_back_from_containers_storage(store: Store, tmp_path: Path, skopeo: str) -> None:
    text = f"containers-storage:[vfs@{tmp_path}/storage+{tmp_path}/run]demo:v1"
    location = parse_location(text)
    with open_destination(location, store, client()) as destination:
        config = copy_image(Memory(), destination, "one", names=location.names).manifests[0][1].config.digest
    assert load(store, text) == config
