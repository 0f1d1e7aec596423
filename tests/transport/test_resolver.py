"""Names to images: the store, a registry (scripted and real), image IDs, named contexts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.image.assemble import assemble
from builder.layer.compression import open_decompressed
from builder.oci.media_type import OCI_MANIFEST
from builder.oci.platform import Platform, host_platform, parse_platform
from builder.plan.step import StepID
from builder.store.store import Store
from builder.store.verify import verify_store
from tests.image.test_assemble import T1, file_layer, planned
from tests.support.peers import run
from tests.support.registry import DOCKER_MANIFEST, FakeImage, FakeRegistry, make_image, make_index, sha256
from tests.transport.resolving import AMD64, failing, resolver, write_layout


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


def test_layers_come_from_where_the_name_says_when_the_origins_are_lost(store: Store, registry: FakeRegistry) -> None:
    name = registry.add_image("library/x", "1", make_image())
    resolver(store).resolve(name, AMD64)
    store.database.close()
    Path(store.database.path).write_bytes(b"")
    again = resolver(store)
    digest = again.resolve(name, AMD64).manifest_digest
    assert len(again.layers(digest)) == 1
    store.database.close()
    Path(store.database.path).write_bytes(b"no database" * 1000)
    registry.requests.clear()
    assert len(again.layers(digest)) == 1
    assert registry.requests == [], "the layer is here, and what is known of it is read from it"
    assert verify_store(store, open_decompressed) == ()


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
def test_an_image_of_another_platform_is_used_where_there_is_no_other(store: Store, registry: FakeRegistry) -> None:
    name = registry.add_image("library/x", "1", make_image(architecture="arm64"))
    assert resolver(store).resolve(name, AMD64).config.platform == Platform("linux", "arm64")


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


@pytest.fixture
def pushed(tmp_path: Path, skopeo: str, shared_registry: str) -> str:
    """The name of an image that a real program has put into a real registry: the same bytes in every run."""
    write_layout(tmp_path / "pushed", make_image(architecture=host_platform().architecture))
    name = f"{shared_registry}/pybuild-tests/hello:latest"
    run(skopeo, "copy", "--dest-tls-verify=false", f"oci:{tmp_path}/pushed:latest", f"docker://{name}")
    return name


def test_a_real_registry_gives_what_was_pushed_to_it(store: Store, pushed: str) -> None:
    here = resolver(store)
    found = here.resolve(pushed, host_platform())
    layers = here.layers(found.manifest_digest)
    assert sum(layer.files for layer in layers) > 0
    assert verify_store(store, open_decompressed) == ()
    missing = failing(store, f"{pushed}x")
    assert "not found" in missing.message
    assert missing.hint == f"Did you mean {pushed}?"


def test_skopeo_reads_the_store_as_it_is(store: Store, tmp_path: Path, pushed: str, skopeo: str) -> None:
    here = resolver(store)
    found = here.resolve(pushed, host_platform())
    here.layers(found.manifest_digest)
    told = json.loads(run(skopeo, "inspect", "--no-tags", f"oci:{store.root}:{pushed}"))
    assert told["Digest"] == found.manifest_digest
    run(skopeo, "copy", "--preserve-digests", f"oci:{store.root}:{pushed}", f"oci:{tmp_path}/copy:v1")
    assert (tmp_path / "copy/index.json").exists()
    copied = resolver(store).resolve(f"oci-layout://{tmp_path}/copy:v1", host_platform())
    assert copied.manifest_digest == found.manifest_digest
