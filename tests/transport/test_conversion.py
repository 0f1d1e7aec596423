"""Documents in the other format: the same blobs and the same ID, under other media types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from builder.errors import ImageError
from builder.oci.media_type import (
    DOCKER_CONFIG,
    DOCKER_INDEX,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
)
from builder.transport.conversion import convert
from builder.transport.documents import Documents, read_documents
from builder.transport.places.layout_source import LayoutSource
from tests.support.registry import FakeImage, make_image, make_index
from tests.transport.resolving import write_layout
from tests.transport.test_carried import ARTIFACT, ATTESTED, IMAGE, PROOF, document

ARM = make_image([{"a": b"arm"}], architecture="arm64")


def read(folder: Path, image: FakeImage, *others: FakeImage) -> Documents:
    write_layout(folder, image)
    for one in others:
        (folder / "blobs/sha256" / one.digest[7:]).write_bytes(one.manifest)
    return read_documents(LayoutSource(str(folder)), "latest")


def content(documents: Documents) -> dict[str, Any]:
    return dict(json.loads(documents.top.data))


def changed(image: FakeImage, **members: Any) -> FakeImage:
    manifest = json.loads(image.manifest) | members
    return FakeImage(json.dumps(manifest).encode(), image.media_type, image.blobs, image.config)


def test_an_image_goes_to_docker_s_format_and_back(tmp_path: Path) -> None:
    before = read(tmp_path, IMAGE)
    docker, lost = convert(before, "docker")
    found = content(docker)
    assert (found["mediaType"], found["config"]["mediaType"]) == (DOCKER_MANIFEST, DOCKER_CONFIG)
    assert {layer["mediaType"] for layer in found["layers"]} == {DOCKER_LAYER_GZIP}
    assert docker.top.descriptor.media_type == DOCKER_MANIFEST
    assert [blob.digest for blob in docker.blobs()] == [blob.digest for blob in before.blobs()]
    back = content(convert(docker, "oci").documents)
    assert (back["mediaType"], back["config"]["mediaType"]) == (OCI_MANIFEST, OCI_CONFIG)
    assert {layer["mediaType"] for layer in back["layers"]} == {OCI_LAYER_GZIP}
    assert lost == ()
    for documents, form in ((before, "oci"), (docker, "docker")):
        assert convert(documents, form).documents is documents, "exact bytes"  # type: ignore[arg-type]


def test_all_images_of_an_index_are_converted_and_attestations_stay_with_oci(tmp_path: Path) -> None:
    attested = [entry for entry in json.loads(ATTESTED.manifest)["manifests"] if entry["digest"] == PROOF.digest]
    index = make_index([IMAGE, ARM], attested)
    before = read(tmp_path, index, IMAGE, ARM, PROOF)
    docker, _ = convert(before, "docker")
    found = content(docker)
    assert found["mediaType"] == DOCKER_INDEX
    assert [entry["mediaType"] for entry in found["manifests"]] == [DOCKER_MANIFEST] * 2
    assert [entry["platform"]["architecture"] for entry in found["manifests"]] == ["amd64", "arm64"]
    assert [entry["digest"] for entry in found["manifests"]] == [one.digest for one, _ in docker.manifests]
    assert docker.left_out == (f"{PROOF.digest}, which is no image",)
    assert convert(before, "oci").documents is before
    # A list of docker's that BuildKit has attested: what is attested has another digest then.
    amd = docker.all[0]
    proofs = [entry for entry in content(before)["manifests"] if entry["digest"] == PROOF.digest]
    proofs[0]["annotations"]["vnd.docker.reference.digest"] = amd.descriptor.digest
    image = FakeImage(amd.data, DOCKER_MANIFEST, {}, IMAGE.config)
    mixed = document(OCI_INDEX, manifests=[*found["manifests"][:1], *proofs])
    oci = content(convert(read(tmp_path / "mixed", mixed, image, PROOF), "oci").documents)
    assert [entry["mediaType"] for entry in oci["manifests"]] == [OCI_MANIFEST] * 2
    assert oci["manifests"][1]["digest"] == PROOF.digest
    assert oci["manifests"][1]["annotations"]["vnd.docker.reference.digest"] == oci["manifests"][0]["digest"]


def test_what_docker_s_format_has_no_place_for_is_said(tmp_path: Path) -> None:
    noted = changed(IMAGE, annotations={"a": "b"}, subject=json.loads(ARTIFACT.manifest)["subject"])
    docker, lost = convert(read(tmp_path / "noted", noted), "docker")
    assert lost == ("annotations", "subject")
    assert content(docker).keys() == {"schemaVersion", "mediaType", "config", "layers"}
    layers = [layer | {"mediaType": OCI_LAYER_GZIP[:-4] + "zstd"} for layer in json.loads(IMAGE.manifest)["layers"]]
    with pytest.raises(ImageError, match="layers of zstd") as zstd:
        convert(read(tmp_path / "zstd", changed(IMAGE, layers=layers)), "docker")
    assert "store" in zstd.value.hint
    artifact = read(tmp_path / "artifact", ARTIFACT)
    with pytest.raises(ImageError, match="is no image"):
        convert(artifact, "docker")
    assert convert(artifact, "oci").documents is artifact
