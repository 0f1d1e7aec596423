"""Images for a scripted registry, in memory: layers of names and contents → manifest, config and blobs."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from typing import Any

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def make_tar(files: dict[str, bytes]) -> bytes:
    """Return an uncompressed tar of regular files; names ending in / are directories."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name.rstrip("/"))
            if name.endswith("/"):
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@dataclass
class FakeImage:
    """An image in memory: blobs by digest, and its manifest."""

    manifest: bytes
    media_type: str
    blobs: dict[str, bytes]
    config: dict[str, Any]

    @property
    def digest(self) -> str:
        return sha256(self.manifest)


def make_image(
    layers: list[dict[str, bytes]] | None = None,
    *,
    architecture: str = "amd64",
    variant: str = "",
    media_type: str = OCI_MANIFEST,
    compress: bool = True,
    config: dict[str, Any] | None = None,
    history: bool = True,
) -> FakeImage:
    """Make an image of `layers` (name → content), gzip compressed unless told otherwise."""
    blobs: dict[str, bytes] = {}
    descriptors, diff_ids = [], []
    for files in layers if layers is not None else [{"etc/": b"", "etc/hello": b"hello\n"}]:
        tar = make_tar(files)
        blob = gzip.compress(tar, mtime=0) if compress else tar
        blobs[sha256(blob)] = blob
        kind = OCI_LAYER + ("+gzip" if compress else "")
        if media_type == DOCKER_MANIFEST:
            kind = "application/vnd.docker.image.rootfs.diff.tar" + (".gzip" if compress else "")
        descriptors.append({"mediaType": kind, "digest": sha256(blob), "size": len(blob)})
        diff_ids.append(sha256(tar))
    document: dict[str, Any] = {
        "architecture": architecture,
        "os": "linux",
        "created": "2020-01-01T00:00:00Z",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"], **(config or {})},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    if variant:
        document["variant"] = variant
    if history:
        document["history"] = [
            {"created": "2020-01-01T00:00:00Z", "created_by": f"layer {n}"} for n in range(len(diff_ids))
        ]
    config_bytes = json.dumps(document).encode()
    blobs[sha256(config_bytes)] = config_bytes
    config_type = OCI_CONFIG if media_type == OCI_MANIFEST else "application/vnd.docker.container.image.v1+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {"mediaType": config_type, "digest": sha256(config_bytes), "size": len(config_bytes)},
        "layers": descriptors,
    }
    return FakeImage(json.dumps(manifest).encode(), media_type, blobs, document)


def make_index(images: list[FakeImage], extra: list[dict[str, Any]] | None = None) -> FakeImage:
    """Make an index of images, each with its platform; `extra` entries come first."""
    entries = list(extra or [])
    blobs: dict[str, bytes] = {}
    for image in images:
        platform = {key: image.config[key] for key in ("architecture", "os", "variant") if key in image.config}
        entries.append(
            {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest), "platform": platform}
        )
        blobs |= image.blobs
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return FakeImage(json.dumps(document).encode(), OCI_INDEX, blobs, {})
