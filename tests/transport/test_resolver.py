"""Names to images: the store, a registry (scripted and real), layouts, IDs; and what is said when there is none."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from builder.errors import DigestMismatch, ImageError, LayerError, PybuildError, RegistryError, TransportError
from builder.layer.compression import open_decompressed
from builder.oci.media_type import OCI_MANIFEST
from builder.oci.platform import Platform, host_platform, parse_platform
from builder.plan.step import StepID
from builder.registry.client import RegistryClient
from builder.registry.connection import Connection
from builder.store.store import Store, open_store
from builder.store.verify import verify_store
from builder.transport.resolver import Resolver
from tests.image.test_assemble import T1, assemble, file_layer, planned
from tests.support.peers import peer, real_registry, run
from tests.support.registry import DOCKER_MANIFEST, FakeImage, FakeRegistry, Fault, make_image, make_index, sha256

AMD64 = Platform("linux", "amd64")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(str(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


def resolver(store: Store, **options: object) -> Resolver:
    client = RegistryClient(Connection(sleep=lambda _: None), {"HOME": "/nonexistent"})
    return Resolver(store, client=client, **options)  # type: ignore[arg-type]


def write_layout(directory: Path, image: FakeImage, *, ref: str = "latest", **blobs: bytes) -> None:
    for digest, data in (image.blobs | {image.digest: image.manifest}).items():
        path = directory / "blobs/sha256" / digest.partition(":")[2]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    entry = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest)}
    if ref:
        entry["annotations"] = {"org.opencontainers.image.ref.name": ref}
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
@pytest.mark.parametrize("compress", [True, False])
def test_an_image_is_pulled_indexed_verified_and_kept_under_its_name(
    store: Store, registry: FakeRegistry, media_type: str, compress: bool
) -> None:
    image = make_image([{"a/": b"", "a/b": b"1"}, {"c": b"2" * 5000}], media_type=media_type, compress=compress)
    name = registry.add_image("library/x", "1", image)
    here = resolver(store)
    found = here.resolve(name, AMD64)
    assert found.manifest_digest == image.digest
    assert found.config.runtime.cmd == ("/bin/sh",)
    assert [path for path in registry.paths() if "blobs" in path] == [f"/v2/library/x/blobs/{list(image.blobs)[-1]}"]
    assert here.find_layers(found.manifest_digest) is None
    layers = here.layers(found.manifest_digest)
    assert [(layer.entries, layer.files, layer.bytes) for layer in layers] == [(2, 1, 1), (1, 1, 5000)]
    assert [layer.diff_id for layer in layers] == list(found.config.diff_ids)
    assert here.find_layers(found.manifest_digest) == layers
    assert verify_store(store, open_decompressed) == ()
    assert store.names.get(name).digest == image.digest


@pytest.mark.rule("Q-7")
def test_what_is_in_the_store_needs_no_registry(store: Store, registry: FakeRegistry) -> None:
    name = registry.add_image("library/x", "1", make_image())
    first = resolver(store)
    first.layers(first.resolve(name, AMD64).manifest_digest)
    registry.requests.clear()
    again = resolver(store)
    assert again.find_layers(again.resolve(name, AMD64).manifest_digest) is not None
    assert registry.requests == []


@pytest.mark.rule("Q-9")
def test_pull_asks_with_one_head_and_fetches_only_what_changed(store: Store, registry: FakeRegistry) -> None:
    base = {"base": b"same"}
    name = registry.add_image("library/x", "1", make_image([base]))
    first = resolver(store)
    first.layers(first.resolve(name, AMD64).manifest_digest)
    registry.requests.clear()
    resolver(store, pull=True).resolve(name, AMD64)
    assert [(method, path) for method, path, _ in registry.requests] == [("HEAD", "/v2/library/x/manifests/1")]
    newer = make_image([base, {"new": b"layer"}])
    registry.add_image("library/x", "1", newer)
    assert resolver(store).resolve(name, AMD64).manifest_digest != newer.digest
    puller = resolver(store, pull=True)
    found = puller.resolve(name, AMD64)
    assert found.manifest_digest == newer.digest
    registry.requests.clear()
    puller.layers(found.manifest_digest)
    assert len(registry.paths("GET")) == 1
    assert store.names.get(name).digest == newer.digest


def test_an_index_gives_each_platform_its_image_and_is_kept_whole(store: Store, registry: FakeRegistry) -> None:
    amd, arm = make_image([{"a": b"amd"}]), make_image([{"a": b"arm"}], architecture="arm64")
    proof = {
        "mediaType": OCI_MANIFEST, "digest": sha256(b"proof"), "size": 5,
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
    }  # fmt: skip
    index = make_index([amd, arm], [proof])
    name = registry.add_image("library/x", "1", index, [amd, arm])
    here = resolver(store)
    assert here.resolve(name, AMD64).manifest_digest == amd.digest
    assert here.resolve(name, parse_platform("linux/arm64")).manifest_digest == arm.digest
    assert store.names.get(name).digest == index.digest
    assert registry.paths("GET").count("/v2/library/x/manifests/1") == 1
    with pytest.raises(ImageError, match="no match for platform linux/s390x") as caught:
        resolver(store).resolve(name, Platform("linux", "s390x"))
    assert "linux/amd64, linux/arm64" in caught.value.hint


def test_a_digest_is_resolved_and_kept_without_its_tag(store: Store, registry: FakeRegistry) -> None:
    image = make_image()
    registry.add_image("library/x", "1", image)
    name = f"{registry.host}/library/x:ignored@{image.digest}"
    assert resolver(store).resolve(name, AMD64).manifest_digest == image.digest
    assert [known for known, _ in store.names.items()] == [f"{registry.host}/library/x@{image.digest}"]
    registry.requests.clear()
    assert resolver(store).resolve(f"other.example/y@{image.digest}", AMD64).manifest_digest == image.digest
    assert registry.requests == []


def test_layers_come_in_parallel(store: Store, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    name = registry.add_image("library/x", "1", make_image([{f"f{n}": b"x"} for n in range(4)]))
    here = resolver(store)
    found = here.resolve(name, AMD64)
    together = threading.Barrier(4, timeout=20)
    real = RegistryClient.fetch_blob

    def slow(self: RegistryClient, *arguments: object) -> None:
        together.wait()
        real(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(RegistryClient, "fetch_blob", slow)
    assert len(here.layers(found.manifest_digest)) == 4


def test_a_layer_that_is_there_twice_is_fetched_once(store: Store, registry: FakeRegistry) -> None:
    name = registry.add_image("library/x", "1", make_image([{"a": b"x"}, {"b": b"y"}, {"a": b"x"}]))
    here = resolver(store)
    found = here.resolve(name, AMD64)
    registry.requests.clear()
    layers = here.layers(found.manifest_digest)
    assert layers[0] == layers[2]
    assert len(registry.paths()) == 2


def test_a_layer_that_was_built_here_is_not_fetched(store: Store, registry: FakeRegistry) -> None:
    image = make_image([{"a": b"x"}])
    other = make_image([{"a": b"x"}], compress=False, media_type=DOCKER_MANIFEST)
    here = resolver(store)
    here.layers(here.resolve(registry.add_image("library/y", "1", other), AMD64).manifest_digest)
    found = here.resolve(registry.add_image("library/x", "1", image), AMD64)
    registry.requests.clear()
    assert here.layers(found.manifest_digest)[0].diff_id == found.config.diff_ids[0]
    assert registry.requests == []


def test_a_layer_that_does_not_unpack_to_its_diff_id_is_refused(store: Store, registry: FakeRegistry) -> None:
    image, other = make_image([{"a": b"x"}]), make_image([{"evil": b"y"}])
    layer, wrong = next(iter(image.blobs)), next(iter(other.blobs))
    manifest = json.loads(image.manifest)
    manifest["layers"][0] |= {"digest": wrong, "size": len(other.blobs[wrong])}
    lying = replace(image, manifest=json.dumps(manifest).encode(), blobs=image.blobs | {wrong: other.blobs[wrong]})
    assert layer != wrong
    here = resolver(store)
    found = here.resolve(registry.add_image("library/x", "1", lying), AMD64)
    with pytest.raises(DigestMismatch, match="but the image config says"):
        here.layers(found.manifest_digest)
    assert here.find_layers(found.manifest_digest) is None


def test_a_layer_that_is_no_tar_is_refused(store: Store, registry: FakeRegistry) -> None:
    image = make_image([{"a": b"x"}], compress=False)
    junk = b"\x01" * 2048
    config = {**image.config, "rootfs": {"type": "layers", "diff_ids": [sha256(junk)]}}
    config_bytes = json.dumps(config).encode()
    manifest = json.loads(image.manifest)
    manifest["config"] |= {"digest": sha256(config_bytes), "size": len(config_bytes)}
    manifest["layers"][0] |= {"digest": sha256(junk), "size": len(junk)}
    bad = replace(
        image, manifest=json.dumps(manifest).encode(), blobs={sha256(junk): junk, sha256(config_bytes): config_bytes}
    )
    here = resolver(store)
    with pytest.raises(LayerError):
        here.layers(here.resolve(registry.add_image("library/x", "1", bad), AMD64).manifest_digest)


def test_one_layer_that_fails_fails_the_pull_and_the_rest_is_kept(store: Store, registry: FakeRegistry) -> None:
    image = make_image([{"a": b"x"}, {"b": b"y"}])
    name = registry.add_image("library/x", "1", image)
    here = resolver(store)
    found = here.resolve(name, AMD64)
    registry.faults.append(Fault(f"blobs/{next(iter(image.blobs))}", times=100, status=404))
    with pytest.raises(RegistryError, match="blob"):
        here.layers(found.manifest_digest)
    registry.faults.clear()
    assert len(here.layers(found.manifest_digest)) == 2
    assert verify_store(store, open_decompressed) == ()


def test_schema_one_is_refused_with_advice(store: Store, registry: FakeRegistry) -> None:
    old = FakeImage(
        b'{"schemaVersion": 1, "name": "x"}', "application/vnd.docker.distribution.manifest.v1+prettyjws", {}, {}
    )
    with pytest.raises(ImageError, match="schema 1 manifest") as caught:
        resolver(store).resolve(registry.add_image("library/x", "1", old), AMD64)
    assert "Push the image again" in caught.value.hint


def test_an_artifact_is_no_base_image(store: Store, registry: FakeRegistry) -> None:
    document = {
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "application/x-chart",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2}, "layers": [],
    }  # fmt: skip
    chart = FakeImage(json.dumps(document).encode(), OCI_MANIFEST, {sha256(b"{}"): b"{}"}, {})
    with pytest.raises(ImageError, match="not a container image"):
        resolver(store).resolve(registry.add_image("library/x", "1", chart), AMD64)


@pytest.mark.rule("S-11", "B-14")
def test_an_image_of_another_platform_is_used_and_reported(store: Store, registry: FakeRegistry) -> None:
    name = registry.add_image("library/x", "1", make_image(architecture="arm64"))
    here = resolver(store)
    assert here.resolve(name, AMD64).config.platform == Platform("linux", "arm64")
    ((mismatch),) = here.mismatches
    assert (mismatch.reference, str(mismatch.wanted), str(mismatch.found)) == (name, "linux/amd64", "linux/arm64")


# --- what is said when there is nothing


def failing(store: Store, name: str, **options: object) -> PybuildError:
    with pytest.raises(PybuildError) as caught:
        resolver(store, **options).resolve(name, AMD64)
    assert "\n" not in caught.value.message
    return caught.value


def test_an_unknown_tag_names_the_nearest_one(store: Store, registry: FakeRegistry) -> None:
    registry.add_image("library/x", "bookworm", make_image())
    error = failing(store, f"{registry.host}/library/x:bokworm")
    assert "not found" in error.message
    assert error.hint == f"Did you mean {registry.host}/library/x:bookworm?"
    assert failing(store, f"{registry.host}/library/x:zzz").hint == "It has the tags: bookworm."


def test_an_unknown_repository_names_a_near_image_of_the_store(store: Store, registry: FakeRegistry) -> None:
    resolver(store).resolve(registry.add_image("team/server", "1", make_image()), AMD64)
    error = failing(store, f"{registry.host}/team/servr:1")
    assert "failed to resolve source metadata" in error.message
    assert error.hint == f"Did you mean {registry.host}/team/server:1?"


def test_a_registry_that_cannot_be_reached_says_what_the_store_has(store: Store, registry: FakeRegistry) -> None:
    resolver(store).resolve(registry.add_image("library/x", "1", make_image()), AMD64)
    error = failing(store, "127.0.0.1:9/library/x:1")
    assert "cannot reach registry 127.0.0.1:9" in error.message
    gone = f"{registry.host}/library/x:2"
    registry.__exit__()
    error = failing(store, gone)
    assert error.hint == f"The store has {registry.host}/library/x:1."
    registry.__exit__ = lambda *_: None  # type: ignore[method-assign]


@pytest.mark.rule("X9")
def test_denied_is_what_docker_calls_it(store: Store) -> None:
    with FakeRegistry(auth="bearer", user="u", password="p") as fake:
        error = failing(store, f"{fake.host}/private/x:1")
    assert "pull access denied, repository does not exist or may require authorization" in error.message


def test_an_unknown_image_id_is_said_to_be_one(store: Store) -> None:
    assert "no image with the ID" in failing(store, "sha256:" + "0" * 64).message
    assert "not found" in failing(store, "0" * 64).message


# --- IDs and layouts


def test_a_base_can_be_an_image_id_or_its_beginning(store: Store) -> None:
    layer = file_layer(store, "a")
    descriptor = assemble(store, planned(None, ("COPY", 0)), [layer], {StepID(0): T1})
    store.names.add(descriptor)
    here = resolver(store)
    from builder.image.image import load_image

    identifier = load_image(store.blobs, descriptor).id
    for text in (identifier, identifier[7:], identifier[7:19], f"docker.io/library/{identifier[7:19]}:latest"):
        assert here.resolve(text, host_platform()).manifest_digest == descriptor.digest


def test_a_layout_is_read_by_tag_by_digest_and_alone(store: Store, tmp_path: Path) -> None:
    image = make_image()
    write_layout(tmp_path / "layout", image, ref="v1")
    here = resolver(store)
    for text in (
        f"{tmp_path}/layout:v1",
        f"{tmp_path}/layout@{image.digest}",
        f"{tmp_path}/layout",
        f"{tmp_path}/layout:v1@{image.digest}",
    ):
        assert here.resolve(f"oci-layout://{text}", AMD64).manifest_digest == image.digest
    assert len(here.layers(image.digest)) == 1
    assert verify_store(store, open_decompressed) == ()
    assert "names: v1" in failing(store, f"oci-layout://{tmp_path}/layout:v2").hint
    assert "not found" in failing(store, f"oci-layout://{tmp_path}/layout@{sha256(b'none')}").message
    assert "not an OCI image layout" in failing(store, f"oci-layout://{tmp_path}/nowhere").message


def test_a_layout_with_wrong_bytes_is_refused(store: Store, tmp_path: Path) -> None:
    image = make_image()
    write_layout(tmp_path / "layout", image)
    here = resolver(store)
    found = here.resolve(f"oci-layout://{tmp_path}/layout:latest", AMD64)
    layer = tmp_path / "layout/blobs/sha256" / next(iter(image.blobs)).partition(":")[2]
    layer.write_bytes(b"x" * layer.stat().st_size)
    with pytest.raises(DigestMismatch):
        here.layers(found.manifest_digest)
    (tmp_path / "layout/blobs/sha256" / image.digest[7:]).write_bytes(image.manifest + b" ")
    with pytest.raises(TransportError, match="other bytes"):
        resolver(store).resolve(f"oci-layout://{tmp_path}/layout:latest", AMD64)


def test_a_fifo_in_a_blob_s_place_keeps_nobody_waiting(store: Store, tmp_path: Path) -> None:
    image = make_image()
    write_layout(tmp_path / "layout", image)
    here = resolver(store)
    found = here.resolve(f"oci-layout://{tmp_path}/layout:latest", AMD64)
    layer = tmp_path / "layout/blobs/sha256" / next(iter(image.blobs)).partition(":")[2]
    layer.unlink()
    os.mkfifo(layer)
    with pytest.raises(TransportError, match="not a regular file"):
        here.layers(found.manifest_digest)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"manifests": 1}', '{"manifests": [1]}', "[" * 100_000])
def test_a_damaged_layout_is_an_error(store: Store, tmp_path: Path, text: str) -> None:
    write_layout(tmp_path / "layout", make_image())
    (tmp_path / "layout/index.json").write_text(text)
    assert "layout" in failing(store, f"oci-layout://{tmp_path}/layout:latest").message


@pytest.mark.parametrize("digest", ["sha256:../../../../etc/passwd", "sha256:" + "A" * 64])
def test_a_digest_that_is_a_path_goes_nowhere_cve_2024_3727(store: Store, tmp_path: Path, digest: str) -> None:
    write_layout(tmp_path / "layout", make_image())
    index = json.loads((tmp_path / "layout/index.json").read_text())
    index["manifests"][0]["digest"] = digest
    (tmp_path / "layout/index.json").write_text(json.dumps(index))
    with pytest.raises(PybuildError, match="not a digest"):
        resolver(store).resolve(f"oci-layout://{tmp_path}/layout:latest", AMD64)


def test_named_contexts_stand_in_for_images(store: Store, registry: FakeRegistry, tmp_path: Path) -> None:
    image, other = make_image([{"a": b"1"}]), make_image([{"a": b"2"}])
    name = registry.add_image("library/x", "1", image)
    write_layout(tmp_path / "layout", other)
    named = {"base": f"docker-image://{name}", "alpine": f"oci-layout://{tmp_path}/layout:latest", "dir": str(tmp_path)}
    here = resolver(store, named=named)
    assert here.resolve("docker.io/library/base:latest", AMD64).manifest_digest == image.digest
    assert here.resolve("docker.io/library/alpine:latest", AMD64).manifest_digest == other.digest
    assert here.resolve(f"docker-image://{name}", AMD64).manifest_digest == image.digest
    circle = {"a": "docker-image://b", "b": "docker-image://a"}
    assert "refer to each other" in failing(store, "a", named=circle).message


# --- the real one


def test_a_real_registry_gives_busybox(store: Store) -> None:
    name = f"{real_registry()}/library/busybox:latest"
    here = resolver(store)
    found = here.resolve(name, host_platform())
    layers = here.layers(found.manifest_digest)
    assert sum(layer.files for layer in layers) > 0
    assert verify_store(store, open_decompressed) == ()
    missing = failing(store, f"{name}x")
    assert "not found" in missing.message
    assert missing.hint == f"Did you mean {name}?"


def test_skopeo_reads_the_store_as_it_is(store: Store, tmp_path: Path) -> None:
    skopeo, name = peer("skopeo"), f"{real_registry()}/library/busybox:latest"
    here = resolver(store)
    found = here.resolve(name, host_platform())
    here.layers(found.manifest_digest)
    told = json.loads(run(skopeo, "inspect", "--no-tags", f"oci:{store.root}:{name}"))
    assert told["Digest"] == found.manifest_digest
    run(skopeo, "copy", "--preserve-digests", f"oci:{store.root}:{name}", f"oci:{tmp_path}/copy:v1")
    assert (tmp_path / "copy/index.json").exists()
    copied = resolver(store).resolve(f"oci-layout://{tmp_path}/copy:v1", host_platform())
    assert copied.manifest_digest == found.manifest_digest
