"""A layer or an archive that would fill the disk: refused where it comes in, and let in on request."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

from builder.oci.platform import host_platform
from tests.cli.program import Program

MIB = 1 << 20
BOMB = 2200 * MIB
"""More than 2 GiB of zeros, in two megabytes."""


def header(size: int) -> bytes:
    info = tarfile.TarInfo("zeros")
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def packed(size: int) -> bytes:
    """A tar of so many zeros, as gzip streams one after another: quickly made."""
    block = gzip.compress(bytes(20 * MIB), 9, mtime=0)
    return gzip.compress(header(size), mtime=0) + block * (size // (20 * MIB)) + gzip.compress(bytes(1024), mtime=0)


def write_layout(folder: Path, layer: bytes, diff_id: str) -> None:
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    platform = host_platform()
    config = {
        "os": platform.os, "architecture": platform.architecture, "config": {},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }  # fmt: skip
    manifest = {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": put(json.dumps(config).encode(), "config.v1+json"), "layers": [put(layer, "layer.v1.tar+gzip")],
    }  # fmt: skip
    top = put(json.dumps(manifest).encode(), "manifest.v1+json")
    top["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')


def diff_id_of(size: int) -> str:
    digest = hashlib.sha256(header(size))
    for _ in range(size // (20 * MIB)):
        digest.update(bytes(20 * MIB))
    digest.update(bytes(1024))
    return f"sha256:{digest.hexdigest()}"


def test_a_bomb_as_a_base_is_refused_unless_it_is_allowed(pybuild: Program, tmp_path: Path) -> None:
    write_layout(tmp_path / "layout", packed(BOMB), diff_id_of(BOMB))
    program = Program(pybuild.store, pybuild.folder, f"oci-layout://{tmp_path}/layout")
    text = "FROM base\nCOPY Dockerfile /\n"
    program.build(text).failed(1, "Dockerfile:1:", "grows more than 100 times", "--allow-large-layers")
    program.build(text, env={"PYBUILD_ALLOW_LARGE_LAYERS": "1"}).succeeded()
    program.build(text, "--no-cache").succeeded()  # it is here: nothing is decompressed any more
    assert held(pybuild.store) < 20 * MIB


def test_a_bomb_as_an_archive_is_refused_and_leaves_nothing(pybuild: Program) -> None:
    (pybuild.folder / "bomb.tgz").write_bytes(packed(BOMB))
    outcome = pybuild.build("FROM scratch\nADD bomb.tgz /\n")
    outcome.failed(1, "Dockerfile:2:", "bomb.tgz", "grows more than 100 times", "--allow-large-layers")
    assert held(pybuild.store) < 5 * MIB
    pybuild.build("FROM scratch\nCOPY bomb.tgz /\n").succeeded()


def test_a_bomb_as_a_context_is_refused_and_leaves_nothing(pybuild: Program) -> None:
    outcome = pybuild("--progress=plain", "-", stdin=packed(BOMB))
    outcome.failed(1, "grows more than 100 times", "--allow-large-layers")
    assert held(pybuild.store) < 5 * MIB


def test_honest_zeros_need_no_leave(pybuild: Program) -> None:
    (pybuild.folder / "image.tgz").write_bytes(packed(200 * MIB))
    pybuild.build("FROM scratch\nADD image.tgz /\n", "-t", "x").succeeded()
    assert "210MB" in pybuild("history", "x").succeeded().out


def held(store: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in store.rglob("*") if path.is_file())
