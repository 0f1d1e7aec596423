"""Read an image archive, whoever wrote it: config, layers, and what is wrong with it.

Takes an OCI archive or directory (`oci-layout`, `index.json`, `blobs/`) and docker's archive (`manifest.json`); the
OCI side is preferred where both are there, and every digest and size that it states is checked.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, slots=True)
class Image:
    """One image in memory; layers are uncompressed tar bytes, base first."""

    config: dict[str, Any]
    layers: list[bytes]
    faults: list[str]


class Blobs:
    """Files of an archive or a directory by name."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.archive = None if place.is_dir() else tarfile.open(place)  # noqa: SIM115 - lives as long as the object
        self.names = (
            {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
            if self.archive is None
            else {name.removeprefix("./") for name in self.archive.getnames()}
        )

    def read(self, name: str) -> bytes:
        if self.archive is None:
            return (self.place / name).read_bytes()
        member = self.archive.getmember(name)
        if member.issym():  # skopeo writes the legacy names of docker's archive as symlinks
            member = self.archive.getmember(str(Path(name).parent.joinpath(member.linkname)))
        stream = self.archive.extractfile(member)
        assert stream is not None, name
        return stream.read()

    def json(self, name: str) -> Any:
        return json.loads(self.read(name))


def read_image(place: Path, *, platform: str = "") -> Image:
    """Read the only image of an archive, or that of one platform (os/architecture)."""
    blobs = Blobs(place)
    if "index.json" in blobs.names and "manifest.json" not in blobs.names:
        return read_oci(blobs, platform)
    if "index.json" in blobs.names and all("blobs/" in entry["Config"] for entry in blobs.json("manifest.json")):
        return read_oci(blobs, platform)
    entry = blobs.json("manifest.json")[0]
    layers = [decompress(blobs.read(name)) for name in entry["Layers"] or []]
    return checked(json.loads(blobs.read(entry["Config"])), layers, [])


def read_oci(blobs: Blobs, platform: str) -> Image:
    faults: list[str] = []
    if blobs.json("oci-layout").get("imageLayoutVersion") != "1.0.0":
        faults.append("oci-layout without imageLayoutVersion 1.0.0")
    document = blobs.json("index.json")
    while "manifests" in document:
        document = json.loads(described(blobs, choose(document["manifests"], platform), faults))
    config = json.loads(described(blobs, document["config"], faults))
    layers = [decompress(described(blobs, entry, faults)) for entry in document["layers"] or []]
    return checked(config, layers, faults)


def choose(entries: list[dict[str, Any]], platform: str) -> dict[str, Any]:
    for entry in entries:
        annotations = entry.get("annotations") or {}
        if annotations.get("vnd.docker.reference.type") == "attestation-manifest":
            continue
        found = entry.get("platform") or {}
        if not platform or f"{found.get('os')}/{found.get('architecture')}" == platform:
            return entry
    raise ValueError(f"no manifest for {platform or 'any platform'}")


def described(blobs: Blobs, entry: dict[str, Any], faults: list[str]) -> bytes:
    """Read a blob and check it against its descriptor."""
    algorithm, _, encoded = entry["digest"].partition(":")
    content = blobs.read(f"blobs/{algorithm}/{encoded}")
    if hashlib.new(algorithm, content).hexdigest() != encoded:
        faults.append(f"blob {entry['digest']} has another digest")
    if len(content) != entry["size"]:
        faults.append(f"blob {entry['digest']} has {len(content)} bytes, its descriptor says {entry['size']}")
    return content


def checked(config: dict[str, Any], layers: list[bytes], faults: list[str]) -> Image:
    """Check that layers, diff IDs and history agree."""
    diff_ids = (config.get("rootfs") or {}).get("diff_ids") or []
    found = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    if diff_ids != found:
        faults.append(f"diff_ids {diff_ids} but the layers are {found}")
    steps = [entry for entry in config.get("history") or [] if not entry.get("empty_layer")]
    if len(steps) != len(layers):
        faults.append(f"{len(steps)} history entries with a layer, but {len(layers)} layers")
    return Image(config, layers, faults)


def decompress(blob: bytes) -> bytes:
    """Undo gzip or zstd, known by their first bytes."""
    if blob.startswith(GZIP_MAGIC):
        return gzip.decompress(blob)
    if blob.startswith(ZSTD_MAGIC):
        from backports import zstd

        return zstd.decompress(blob)
    return blob


def as_stream(layer: bytes) -> IO[bytes]:
    return io.BytesIO(layer)
