"""Bases pulled from a real docker-registry: by tag and digest, single and multi-platform, gzip and zstd."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.builds.base_image import architecture, descriptor, digest, to_json
from tests.builds.builders import pybuild_command, run
from tests.builds.images import read_image
from tests.builds.results import result_of
from tests.interop.conftest import Shop, must

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


def push(shop: Shop, registry: str, name: str, *options: str) -> str:
    """Put the base image into the registry; returns its reference."""
    reference = f"{registry}/{name}"
    source = f"oci:{shop.base.layout}:latest"
    must(["skopeo", "copy", "-q", "--dest-tls-verify=false", *options, source, f"docker://{reference}"])
    return reference


def build_from(shop: Shop, reference: str, name: str, *options: str) -> Path:
    """Build two steps on a base from the registry, with an empty store; returns the archive."""
    context = shop.folder / name
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {reference}\nCOPY f /f\nRUN cat /f > /g\n")
    (context / "f").write_text("f\n")
    place = shop.folder / f"{name}.tar"
    store = shop.folder / f"store-{name}"
    output = f"type=oci,dest={place}"
    must([*pybuild_command(), "--root", str(store), "--progress", "plain", *options, "-o", output, str(context)])
    return place


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_base_is_pulled_by_tag(shop: Shop, registry: str, skopeo: str, compression: str) -> None:
    options = ["--dest-compress-format", compression, "--dest-force-compress-format"]
    reference = push(shop, registry, f"library/base-{compression}:v1", *options)
    image = read_image(build_from(shop, reference, f"pull-{compression}"))
    result = result_of(image, shop.base)
    assert result["faults"] == []
    assert result["base"] == "busybox-base"
    assert result["tree"]["g"]["text"] == "f\n"


def test_a_base_is_pulled_by_digest(shop: Shop, registry: str, skopeo: str) -> None:
    reference = push(shop, registry, "deep/path/base:v2", "--preserve-digests")
    pinned = f"{registry}/deep/path/base@{shop.base.manifest_digest}"
    result = result_of(read_image(build_from(shop, pinned, "pull-digest")), shop.base)
    assert reference
    assert result["base"] == "busybox-base"


def test_a_tag_with_a_digest_follows_the_digest(shop: Shop, registry: str, skopeo: str) -> None:
    push(shop, registry, "both/base:v3", "--preserve-digests")
    pinned = f"{registry}/both/base:whatever@{shop.base.manifest_digest}"
    assert result_of(read_image(build_from(shop, pinned, "pull-both")), shop.base)["base"] == "busybox-base"


def test_the_own_platform_is_chosen_from_an_index(shop: Shop, registry: str, skopeo: str) -> None:
    reference = push_index(shop, registry, "multi/base")
    result = result_of(read_image(build_from(shop, reference, "pull-index")), shop.base)
    assert result["base"] == "busybox-base"
    assert result["config"]["architecture"] == "(this machine)"


def test_docker_s_format_is_what_skopeo_makes_of_the_same_image(shop: Shop, registry: str, skopeo: str) -> None:
    def raw(name: str) -> dict[str, object]:
        manifest = must(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{registry}/{name}"])
        return dict(json.loads(manifest))

    shop.pybuild("copy", "-q", "shop/interop:v1", f"docker://{registry}/form/oci:v1")
    shop.pybuild(
        "copy", "-q", "--format=docker", f"docker://{registry}/form/oci:v1", f"docker://{registry}/form/ours:v1"
    )
    # Into a folder: into a registry, skopeo takes another compressed form of a layer where it remembers one there.
    theirs = shop.folder / "theirs"
    must(
        [
            "skopeo",
            "copy",
            "-q",
            "--src-tls-verify=false",
            "--format=v2s2",
            f"docker://{registry}/form/oci:v1",
            f"dir:{theirs}",
        ]
    )
    assert raw("form/ours:v1") == json.loads((theirs / "manifest.json").read_text())
    assert raw("form/ours:v1") != raw("form/oci:v1")
    shop.pybuild("copy", "-q", "--format=oci", f"dir:{theirs}", f"docker://{registry}/form/back:v1")
    assert raw("form/back:v1") == raw("form/oci:v1")


def push_index(shop: Shop, registry: str, name: str) -> str:
    """Push an index that names an attestation and a foreign platform before the base itself."""
    layout = shop.folder / "index-layout"
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for blob in (shop.base.layout / "blobs" / "sha256").iterdir():
        (blobs / blob.name).write_bytes(blob.read_bytes())
    native = json.loads((blobs / shop.base.manifest_digest.removeprefix("sha256:")).read_bytes())
    foreign_config = to_json({"architecture": "s390x", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}})
    foreign = to_json(native | {"config": descriptor(native["config"]["mediaType"], foreign_config), "layers": []})
    entries = [
        descriptor(MANIFEST_TYPE, foreign)
        | {
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
        },
        descriptor(MANIFEST_TYPE, foreign) | {"platform": {"os": "linux", "architecture": "s390x"}},
        descriptor(MANIFEST_TYPE, to_json(native)) | {"platform": {"os": "linux", "architecture": architecture()}},
    ]
    index = to_json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries})
    for document in (foreign_config, foreign, to_json(native), index):
        (blobs / digest(document).removeprefix("sha256:")).write_bytes(document)
    named = descriptor(INDEX_TYPE, index) | {"annotations": {"org.opencontainers.image.ref.name": "v1"}}
    (layout / "index.json").write_bytes(to_json({"schemaVersion": 2, "manifests": [named]}))
    (layout / "oci-layout").write_bytes(to_json({"imageLayoutVersion": "1.0.0"}))
    reference = f"{registry}/{name}:v1"
    must(["skopeo", "copy", "-q", "--all", "--dest-tls-verify=false", f"oci:{layout}:v1", f"docker://{reference}"])
    return reference


def test_layers_that_are_here_are_not_fetched_again(shop: Shop, registry: str, skopeo: str) -> None:
    reference = push(shop, registry, "again/base:v1")
    build_from(shop, reference, "pull-once")
    context, store = shop.folder / "pull-once", shop.folder / "store-pull-once"
    (context / "f").write_text("changed\n")
    run(["skopeo", "delete", "--tls-verify=false", f"docker://{reference}"], {})
    must([*pybuild_command(), "--root", str(store), "--progress", "plain", str(context)])


def test_an_image_that_is_not_there_is_one_clear_error(shop: Shop, registry: str) -> None:
    context = shop.folder / "pull-nothing"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {registry}/no/such:tag\n")
    done = run([*pybuild_command(), "--root", str(shop.folder / "store-nothing"), str(context)], {})
    assert done.returncode == 1
    assert "no/such" in done.stdout
    assert "Traceback" not in done.stdout


def test_an_unreachable_registry_is_one_clear_error(shop: Shop) -> None:
    context = shop.folder / "pull-unreachable"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM 127.0.0.1:1/no/such:tag\n")
    done = run([*pybuild_command(), "--root", str(shop.folder / "store-unreachable"), str(context)], {})
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stdout
    assert "Traceback" not in done.stdout
