"""Image layouts as base images: by tag, by digest, damaged, and hostile."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from builder.errors import DigestMismatch, PybuildError, TransportError
from builder.layer.compression import open_decompressed
from builder.store.store import Store
from builder.store.verify import verify_store
from tests.support.registry import make_image, sha256
from tests.transport.resolving import AMD64, failing, resolver, write_layout


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
