"""--output: parsed, and what is written read back by ourselves and by the real programs."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import PybuildError, TransportError, UsageError
from builder.filesystem.entry import Entry
from builder.image.image import load_image
from builder.image.multi import assemble_index
from builder.layer.compression import open_decompressed
from builder.layer.whiteout import opaque_entry, whiteout_entry
from builder.oci.config import ImageConfig
from builder.oci.descriptor import Descriptor
from builder.oci.platform import Platform, host_platform
from builder.oci.reference import parse_reference
from builder.plan.step import StepID
from builder.store.store import Store, open_store
from builder.store.verify import verify_store
from builder.transport.output import (
    ArchiveOutput,
    CacheOnlyOutput,
    ImageOutput,
    LocalOutput,
    Packing,
    TarOutput,
    parse_output,
    write_output,
    writes_to_stdout,
)
from builder.transport.resolver import Resolver
from tests.image.test_assemble import T1, assemble, make_layer, planned
from tests.support.peers import docker, peer, run
from tests.support.registry import make_image
from tests.transport.test_resolver import write_layout

NAME = "demo:v1"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(str(tmp_path / "store")) as opened:
        yield opened


def build(store: Store, *, platform: Platform | None = None) -> Descriptor:
    """An image of two layers with one of everything: links, whiteouts, an opaque directory, odd modes and names."""
    base = make_layer(
        store,
        (Entry("bin", "directory", 0o755), None),
        (Entry("bin/tool", "file", 0o4755, size=4), b"tool"),
        (Entry("bin/other", "hardlink", 0o4755, link="bin/tool"), None),
        (Entry("etc", "directory", 0o755, mtime=5), None),
        (Entry("etc/gone", "file", size=1), b"x"),
        (Entry("etc/passwd", "file", 0o600, uid=7, gid=8, mtime=1000, size=5), b"root:"),
        (Entry("full", "directory", 0o700), None),
        (Entry("full/old", "file", size=3), b"old"),
        (Entry("lib", "symlink", 0o777, link="usr/lib"), None),
    )
    top = make_layer(
        store,
        (Entry("etc", "directory", 0o755, mtime=5), None),
        (whiteout_entry("etc/gone"), None),
        (Entry("etc/ünï", "file", 0o644, mtime=2000, size=3), b"new"),
        (Entry("full", "directory", 0o711), None),
        (opaque_entry("full"), None),
        (Entry("full/new", "file", size=3), b"new"),
    )
    config = ImageConfig(platform=platform or host_platform())
    image = planned(config, ("COPY base", 0), ("COPY top", 1), ("CMD", None))
    return assemble(store, image, [base, top], {StepID(0): T1, StepID(1): T1})


def write(store: Store, image: Descriptor, text: str, *names: str, **options: int) -> str:
    return write_output(parse_output(text), store, image, [parse_reference(name) for name in names], **options)


def members(path: Path | io.BytesIO) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(path) if isinstance(path, Path) else tarfile.open(fileobj=path) as tar:
        return {member.name: member for member in tar}


def unpack(archive: Path, directory: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar:
            if (file := tar.extractfile(member)) is not None:
                (directory / member.name).parent.mkdir(parents=True, exist_ok=True)
                (directory / member.name).write_bytes(file.read())


# --- the text


def test_every_type_is_understood() -> None:
    assert parse_output("type=oci,dest=x.tar") == ArchiveOutput(dest="x.tar")
    assert parse_output("type=oci,tar=false,dest=dir") == ArchiveOutput(dest="dir", is_directory=True)
    assert parse_output("type=docker") == ArchiveOutput(dest="-", for_docker=True)
    assert parse_output("type=tar,dest=-") == TarOutput("-")
    assert parse_output("-") == TarOutput("-")
    assert parse_output("out/dir") == LocalOutput("out/dir")
    assert parse_output("type=local,dest=d") == LocalOutput("d")
    assert parse_output("type=cacheonly") == CacheOnlyOutput()
    assert parse_output('type=image,"name=a,b:2"') == ImageOutput(names=(parse_reference("a"), parse_reference("b:2")))


def test_options_of_archives_are_understood() -> None:
    text = "type=oci,dest=x,compression=zstd,compression-level=19,force-compression=true,annotation.a.b=c=d,name=n"
    assert parse_output(text) == ArchiveOutput(
        dest="x", names=(parse_reference("n"),), packing=Packing(compression="zstd", level=19, force=True),
        annotations={"a.b": "c=d"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("type=ocii,dest=x", "unknown type 'ocii'", "Did you mean oci?"),
        ("type=oci,dst=x", "unknown key 'dst'", "Did you mean dest?"),
        ("dest=x", "type is missing", "Known are"),
        ("", "dest is missing", ""),
        ("type=local", "dest is missing", ""),
        ("type=oci,tar=false", "dest is missing", ""),
        ("type=oci,dest=x,tar=perhaps", "tar is true or false", ""),
        ("type=oci,dest=x,compression=gz", "unknown compression 'gz'", "Did you mean gzip?"),
        ("type=oci,dest=x,compression-level=10", "compression-level is 0 to 9", ""),
        ("type=oci,dest=x,compression=zstd,compression-level=x", "compression-level is 0 to 22", ""),
        ("type=oci,dest", "not of the form key=value", ""),
        ("type=registry,name=x", "pushing is not supported yet", "skopeo copy"),
        ("type=image,push=true", "pushing is not supported yet", "skopeo copy"),
        ('type=oci,"dest=x', "unexpected end of data", ""),
    ],
)
def test_what_is_wrong_is_said_with_the_nearest_known_word(text: str, said: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_output(text)
    assert said in caught.value.message
    assert hint in caught.value.hint


@given(st.text(alphabet='typeocidst=,"-. \n\0x', max_size=40) | st.text(max_size=40))
def test_no_text_is_anything_but_an_output_or_a_clear_error(text: str) -> None:
    try:
        parse_output(text)
    except PybuildError as error:
        assert error.message  # noqa: PT017  # any other exception fails the test


def test_standard_output_is_known_to_be_taken() -> None:
    assert writes_to_stdout(parse_output("type=docker"))
    assert not writes_to_stdout(parse_output("type=docker,dest=x"))
    assert not writes_to_stdout(parse_output("type=cacheonly"))


# --- archives and layouts


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


# --- destinations


def test_a_failed_output_leaves_the_old_file(store: Store, tmp_path: Path) -> None:
    image = build(store)
    (tmp_path / "out.tar").write_text("old")
    store.blobs.delete(load_image(store.blobs, image).manifest.layers[1].digest)
    with pytest.raises(PybuildError, match="not in the store"):
        write(store, image, f"type=docker,dest={tmp_path}/out.tar")
    assert (tmp_path / "out.tar").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["out.tar", "store"]


@pytest.mark.parametrize("kind", ["oci", "docker", "tar"])
def test_places_that_cannot_be_written_are_named(store: Store, tmp_path: Path, kind: str) -> None:
    image = build(store)
    with pytest.raises(TransportError, match="is a directory"):
        write(store, image, f"type={kind},dest={tmp_path}")
    with pytest.raises(TransportError, match=r"nowhere/x: no such file"):
        write(store, image, f"type={kind},dest={tmp_path}/nowhere/x")


def test_nothing_is_written_to_a_terminal(store: Store) -> None:
    master, terminal = os.openpty()
    try:
        with pytest.raises(TransportError, match="would go to the terminal"):
            write(store, build(store), "type=tar", stdout=terminal)
    finally:
        os.close(master)
        os.close(terminal)


# --- root file systems


def test_the_tar_is_the_merged_tree(store: Store, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            write(store, build(store), "-", stdout=writing)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading, "rb") as stream:
        data = stream.read()
    assert os.waitpid(child, 0)[1] == 0
    inside = members(io.BytesIO(data))
    assert sorted(inside) == [
        "bin", "bin/other", "bin/tool", "etc", "etc/passwd", "etc/ünï", "full", "full/new", "lib",
    ]  # fmt: skip
    assert (inside["etc/passwd"].mode, inside["etc/passwd"].uid, inside["etc/passwd"].mtime) == (0o600, 7, 1000)
    assert inside["full"].mode == 0o711
    assert inside["lib"].linkname == "usr/lib"
    links = {inside["bin/other"].type, inside["bin/tool"].type}
    assert links == {tarfile.REGTYPE, tarfile.LNKTYPE}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for name in ("bin/tool", "bin/other"):
            file = tar.extractfile(name)
            assert file is not None
            assert file.read() == b"tool"


def test_a_link_whose_first_name_is_hidden_becomes_the_file(store: Store, tmp_path: Path) -> None:
    base = make_layer(
        store,
        (Entry("a", "file", size=1), b"1"), (Entry("b", "hardlink", link="a"), None),
        (Entry("c", "hardlink", link="a"), None),
        (Entry("empty", "file"), b""), (Entry("void", "hardlink", link="empty"), None), (Entry("zero", "file"), b""),
    )  # fmt: skip
    top = make_layer(store, (whiteout_entry("a"), None), (Entry("empty", "file", size=1), b"2"))
    image = assemble(store, planned(None, ("1", 0), ("2", 1)), [base, top], {})
    write(store, image, f"type=tar,dest={tmp_path}/x.tar")
    inside = members(tmp_path / "x.tar")
    kinds = {name: (member.isreg(), member.linkname, member.size) for name, member in inside.items()}
    assert kinds == {
        "b": (True, "", 1), "c": (False, "b", 0), "empty": (True, "", 1), "void": (True, "", 0), "zero": (True, "", 0),
    }  # fmt: skip


def test_an_epoch_is_the_time_of_everything(store: Store, tmp_path: Path) -> None:
    image = build(store)
    write(store, image, f"type=tar,dest={tmp_path}/x.tar", epoch=77)
    assert {member.mtime for member in members(tmp_path / "x.tar").values()} == {77}
    write(store, image, f"type=local,dest={tmp_path}/x", epoch=77)
    assert {int(os.lstat(path).st_mtime) for path in (tmp_path / "x").rglob("*")} == {77}


def test_a_directory_gets_the_files_owned_by_who_asks(store: Store, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("stays")
    write(store, build(store), f"type=local,dest={tmp_path}/out")
    out = tmp_path / "out"
    assert (out / "mine").read_text() == "stays"
    assert (out / "etc/ünï").read_text() == "new"
    assert not (out / "etc/gone").exists()
    assert os.listdir(out / "full") == ["new"]
    assert os.readlink(out / "lib") == "usr/lib"
    status = (out / "etc/passwd").stat()
    assert (status.st_uid, status.st_gid, int(status.st_mtime)) == (os.getuid(), os.getgid(), 1000)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert (out / "bin/tool").stat().st_ino == (out / "bin/other").stat().st_ino


def test_a_link_that_waits_in_the_destination_is_not_followed_out_of_it(store: Store, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/etc").symlink_to(tmp_path / "outside")
    write(store, build(store), f"type=local,dest={tmp_path}/out")
    assert os.listdir(tmp_path / "outside") == []


# --- the real programs


@pytest.fixture
def archive(store: Store, tmp_path: Path) -> Path:
    """The hybrid archive, with a name of this test's own."""
    name = f"pybuild-test-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}:v1"
    write(store, build(store), f"type=docker,dest={tmp_path}/{name.partition(':')[0]}.tar", name)
    return tmp_path / f"{name.partition(':')[0]}.tar"


def test_docker_loads_the_hybrid_archive(archive: Path) -> None:
    program, name = docker(), f"{archive.stem}:v1"
    try:
        assert name in run(program, "load", "-i", str(archive))
        told = json.loads(run(program, "image", "inspect", name))[0]
        assert len(told["RootFS"]["Layers"]) == 2
    finally:
        run(program, "image", "rm", "-f", name, check=False)


def test_podman_loads_the_hybrid_archive(archive: Path, tmp_path: Path) -> None:
    program = peer("podman")
    place = ("--root", str(tmp_path / "podman"), "--runroot", str(tmp_path / "run"), "--storage-driver", "vfs")
    loaded = run(program, *place, "load", "-i", str(archive))
    assert f"docker.io/library/{archive.stem}:v1" in loaded


def test_skopeo_reads_the_hybrid_archive_both_ways(archive: Path) -> None:
    skopeo = peer("skopeo")
    for place in (f"docker-archive:{archive}", f"oci-archive:{archive}:v1"):
        assert len(json.loads(run(skopeo, "inspect", place))["Layers"]) == 2


def test_umoci_unpacks_what_we_wrote_to_the_tree_we_mean(store: Store, tmp_path: Path) -> None:
    umoci = peer("umoci")
    if os.geteuid() != 0:
        pytest.skip("umoci unpacks owners as root only")
    image = build(store)
    write(store, image, f"type=oci,tar=false,dest={tmp_path}/layout", NAME)
    run(umoci, "unpack", "--image", f"{tmp_path}/layout:v1", str(tmp_path / "bundle"))
    write(store, image, f"type=tar,dest={tmp_path}/x.tar")
    theirs = tmp_path / "bundle/rootfs"
    ours = members(tmp_path / "x.tar")
    assert sorted(str(path.relative_to(theirs)) for path in theirs.rglob("*")) == sorted(ours)
    for name, member in ours.items():
        status = os.lstat(theirs / name)
        if not member.issym():
            assert stat.S_IMODE(status.st_mode) == member.mode, name
        assert (status.st_uid, status.st_gid, int(status.st_mtime)) == (member.uid, member.gid, member.mtime), name
