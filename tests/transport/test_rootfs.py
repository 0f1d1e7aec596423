"""Root file systems as a tar and as a directory, the same tree that another program unpacks."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from builder.filesystem.entry import Entry
from builder.image.assemble import assemble
from builder.layer.whiteout import whiteout_entry
from builder.store.store import Store
from tests.image.test_assemble import commit_layer, planned
from tests.support.peers import run
from tests.transport.writing import NAME, build, members, write


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
    base = commit_layer(
        store,
        (Entry("a", "file", size=1), b"1"), (Entry("b", "hardlink", link="a"), None),
        (Entry("c", "hardlink", link="a"), None),
        (Entry("empty", "file"), b""), (Entry("void", "hardlink", link="empty"), None), (Entry("zero", "file"), b""),
    )  # fmt: skip
    top = commit_layer(store, (whiteout_entry("a"), None), (Entry("empty", "file", size=1), b"2"))
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


def test_umoci_unpacks_what_we_wrote_to_the_tree_we_mean(store: Store, tmp_path: Path, umoci: str) -> None:
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
