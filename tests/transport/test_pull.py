"""Layers on their way into the store: at once, each one time, and none that is not what the image says."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from builder.errors import DigestMismatch, LayerError, RegistryError
from builder.layer.compression import open_decompressed
from builder.registry.client import RegistryClient
from builder.store.store import Store
from builder.store.verify import verify_store
from tests.support.registry import DOCKER_MANIFEST, FakeRegistry, Fault, make_image, sha256
from tests.transport.resolving import AMD64, resolver


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
