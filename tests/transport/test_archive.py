"""Archives and layouts, read back by ourselves and by the programs they are for."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from pathlib import Path

import pytest

from builder.errors import TransportError
from builder.image.assemble import assemble
from builder.image.image import load_image
from builder.image.index import assemble_index
from builder.layer.compression import open_decompressed
from builder.oci.descriptor import Descriptor
from builder.oci.platform import Platform, host_platform
from builder.store.store import Store, open_store
from builder.store.verify import verify_store
from builder.transport.resolver import Resolver
from tests.image.test_assemble import planned
from tests.support.peers import run
from tests.support.registry import make_image
from tests.transport.resolving import write_layout
from tests.transport.writing import NAME, build, members, unpack, write


@pytest.mark.parametrize("kind", ["oci", "docker"])
@pytest.mark.parametrize("compression", ["gzip", "zstd", "uncompressed"])
def test_an_archive_is_sorted_timeless_and_holds_a_valid_image(
    store: Store, tmp_path: Path, kind: str, compression: str
) -> None:
    image = build(store)
    write(store, image, f"type={kind},dest={tmp_path}/a.tar,compression={compression}", NAME)
    inside = members(tmp_path / "a.tar")
    assert list(inside) == sorted(inside)
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in inside.values()} == {(0, 0, 0, "", "")}
    assert ("manifest.json" in inside) == (kind == "docker")
    unpack(tmp_path / "a.tar", tmp_path / "layout")
    (entry,) = json.loads((tmp_path / "layout/index.json").read_bytes())["manifests"]
    assert entry["annotations"] == {
        "io.containerd.image.name": "docker.io/library/demo:v1", "org.opencontainers.image.ref.name": "v1",
    }  # fmt: skip
    with open_store(str(tmp_path / "other")) as other:
        there = Resolver(other)
        found = there.resolve(f"oci-layout://{tmp_path}/layout:v1", host_platform())
        assert [layer.diff_id for layer in there.layers(found.manifest_digest)] == list(
            load_image(store.blobs, image).config.diff_ids
        )
        assert verify_store(other, open_decompressed) == ()


def test_the_same_image_gives_the_same_archive(store: Store, tmp_path: Path) -> None:
    image = build(store)
    for name in ("one", "two"):
        write(store, image, f"type=oci,dest={tmp_path}/{name}", NAME)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    with open_store(str(tmp_path / "fresh")) as fresh:
        write(fresh, build(fresh), f"type=oci,dest={tmp_path}/three", NAME)
    assert (tmp_path / "three").read_bytes() == (tmp_path / "one").read_bytes()


def test_with_an_epoch_gzip_is_zlib_s_and_the_same_on_every_machine(store: Store, tmp_path: Path) -> None:
    image = build(store)
    write(store, image, f"type=oci,tar=false,dest={tmp_path}/out", NAME, epoch=0)
    blobs = [path.read_bytes() for path in (tmp_path / "out/blobs/sha256").iterdir()]
    packed = [blob for blob in blobs if blob[:2] == b"\x1f\x8b"]
    assert len(packed) == 2
    for blob in packed:
        assert gzip.decompress(blob)[257:262] == b"ustar"
        assert blob[4:8] == bytes(4), "a time in the gzip header"


def test_compressing_happens_once(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = build(store)
    write(store, image, f"type=oci,dest={tmp_path}/one")
    monkeypatch.setattr("builder.transport.packing.Compressor", lambda *_, **__: pytest.fail("compressed again"))
    write(store, image, f"type=oci,dest={tmp_path}/two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_layers_that_came_compressed_keep_their_bytes_unless_forced(store: Store, tmp_path: Path) -> None:
    base = make_image([{"a": b"x" * 1000}])
    write_layout(tmp_path / "base", base)
    here = Resolver(store)
    found = here.resolve(f"oci-layout://{tmp_path}/base:latest", Platform("linux", "amd64"))
    here.layers(found.manifest_digest)
    descriptor = Descriptor(media_type=base.media_type, digest=found.manifest_digest, size=len(base.manifest))
    write(store, descriptor, f"type=oci,tar=false,dest={tmp_path}/kept,compression=zstd")
    names = {path.name for path in (tmp_path / "kept/blobs/sha256").iterdir()}
    assert names == {digest.partition(":")[2] for digest in (*base.blobs, base.digest)}
    write(store, descriptor, f"type=oci,tar=false,dest={tmp_path}/forced,compression=zstd,force-compression=true")
    heads = [path.read_bytes()[:4] for path in (tmp_path / "forced/blobs/sha256").iterdir()]
    assert b"\x28\xb5\x2f\xfd" in heads
    assert not any(head.startswith(b"\x1f\x8b") for head in heads)


def test_a_layout_directory_collects_images_and_names_move(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = build(store)
    write(store, first, f"type=oci,tar=false,dest={out}", "demo:v1")
    write(store, first, f"type=oci,tar=false,dest={out}", "demo:v2")
    second = assemble(store, planned(), [], {}, epoch=0)
    write(store, second, f"type=oci,tar=false,dest={out}", "demo:v1")
    entries = json.loads((out / "index.json").read_bytes())["manifests"]
    assert [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in entries] == ["v2", "v1"]
    assert entries[1]["digest"] == second.digest
    assert not [path for path in out.rglob("*") if path.is_file() and os.stat(path).st_nlink > 1]


def test_a_directory_with_other_things_is_not_taken_for_a_layout(store: Store, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("precious")
    with pytest.raises(TransportError, match="neither empty nor an image layout"):
        write(store, build(store), f"type=oci,tar=false,dest={tmp_path}/out")
    assert os.listdir(tmp_path / "out") == ["thesis.txt"]


def test_annotations_reach_the_manifest(store: Store, tmp_path: Path) -> None:
    image = build(store)
    write(store, image, f"type=oci,tar=false,dest={tmp_path}/out,annotation.org.x=y")
    (entry,) = json.loads((tmp_path / "out/index.json").read_bytes())["manifests"]
    assert json.loads((tmp_path / "out/blobs/sha256" / entry["digest"][7:]).read_bytes())["annotations"] == {
        "org.x": "y"
    }
    write(store, image, "type=image,name=noted,annotation.a=b")
    noted = store.names.get("docker.io/library/noted:latest")
    assert b'"annotations":{"a":"b"}' in store.blobs.read(noted.digest, 1 << 20)


def test_several_platforms_leave_as_one_index_but_not_for_docker(store: Store, tmp_path: Path) -> None:
    both = [build(store, platform=Platform("linux", name)) for name in ("amd64", "arm64")]
    index = assemble_index(store, both)
    write(store, index, f"type=oci,tar=false,dest={tmp_path}/out", NAME)
    with open_store(str(tmp_path / "other")) as other:
        for image in both:
            assert image.platform is not None
            found = Resolver(other).resolve(f"oci-layout://{tmp_path}/out:v1", image.platform)
            assert found.config.platform == image.platform
    with pytest.raises(TransportError, match="one platform only"):
        write(store, index, f"type=docker,dest={tmp_path}/x", NAME)
    write(store, index, f"type=local,dest={tmp_path}/local")
    assert sorted(os.listdir(tmp_path / "local")) == ["linux_amd64", "linux_arm64"]
    assert (tmp_path / "local/linux_arm64/bin/other").stat().st_nlink == 2


@pytest.fixture
def archive(store: Store, tmp_path: Path) -> Path:
    """The hybrid archive, with a name of this test's own."""
    name = f"pybuild-test-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}:v1"
    write(store, build(store), f"type=docker,dest={tmp_path}/{name.partition(':')[0]}.tar", name)
    return tmp_path / f"{name.partition(':')[0]}.tar"


def test_docker_loads_the_hybrid_archive(archive: Path, docker: str) -> None:
    name = f"{archive.stem}:v1"
    try:
        assert name in run(docker, "load", "-i", str(archive))
        told = json.loads(run(docker, "image", "inspect", name))[0]
        assert len(told["RootFS"]["Layers"]) == 2
    finally:
        run(docker, "image", "rm", "-f", name, check=False)


def test_podman_loads_the_hybrid_archive(archive: Path, tmp_path: Path, podman: str) -> None:
    place = ("--root", str(tmp_path / "podman"), "--runroot", str(tmp_path / "run"), "--storage-driver", "vfs")
    loaded = run(podman, *place, "load", "-i", str(archive))
    assert f"docker.io/library/{archive.stem}:v1" in loaded


def test_skopeo_reads_the_hybrid_archive_both_ways(archive: Path, skopeo: str) -> None:
    for place in (f"docker-archive:{archive}", f"oci-archive:{archive}:v1"):
        assert len(json.loads(run(skopeo, "inspect", place))["Layers"]) == 2
