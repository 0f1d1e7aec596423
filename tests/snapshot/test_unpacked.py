"""Layers are unpacked once, whole or not at all, whoever is at it and however it ends."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from builder.errors import DigestMismatch, LayerError
from builder.layer.view import MergedView
from builder.snapshot import unpacked
from builder.snapshot.overlay import OverlaySnapshotter
from builder.snapshot.snapshotter import StackLayer
from builder.snapshot.unpacked import UnpackedLayers
from tests.layer.archives import Member, is_mount_allowed
from tests.snapshot.rig import Rig, look_at, view_of

needs_root = pytest.mark.skipif(not is_mount_allowed(), reason="owners and mounts need root (CI has it)")
pytestmark = needs_root


def many_files(count: int) -> list[Member]:
    return [Member("d", "directory", mode=0o755), *(Member(f"d/{n:05}", content=b"%d" % n) for n in range(count))]


def test_processes_that_want_the_same_layer_unpack_it_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    layers = [rig.layer(many_files(3000))]
    log = tmp_path / "log"
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            try:
                place = rig.place
                inner = UnpackedLayers(place)
                unpack = inner._unpack

                def counted(layer: StackLayer, path: str, below: MergedView | None, do: Any = unpack) -> None:
                    with open(log, "a") as file:
                        file.write("unpacked\n")
                    do(layer, path, below)

                inner._unpack = counted  # type: ignore[method-assign]
                path = inner.directory(layers, 0)
                os._exit(0 if len(os.listdir(f"{path}/d")) == 3000 else 1)
            finally:
                os._exit(2)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0, 0]
    assert log.read_text() == "unpacked\n"


def test_kill_9_in_the_middle_of_unpacking_leaves_nothing_half(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    layers = [rig.layer(many_files(2000))]
    generator = random.Random(7)
    for _ in range(12):
        child = os.fork()
        if child == 0:
            try:
                UnpackedLayers(rig.place).directory(layers, 0)
            finally:
                os._exit(0)
        time.sleep(generator.uniform(0.001, 0.08))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for whole in (tmp_path / "snapshots").glob("*.root"):
            assert len(os.listdir(whole / "fs/d")) == 2000
    assert len(os.listdir(UnpackedLayers(rig.place).directory(layers, 0) + "/d")) == 2000


def test_a_layer_unpacked_before_the_machine_was_started_is_unpacked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path)
    layers = [rig.layer(many_files(3))]
    first = Path(UnpackedLayers(rig.place).directory(layers, 0))
    (first / "d/00001").write_bytes(b"")  # as a crash may leave it
    assert (Path(UnpackedLayers(rig.place).directory(layers, 0)) / "d/00001").read_bytes() == b""
    monkeypatch.setattr(unpacked, "_boot_id", lambda: "another boot")
    assert (Path(UnpackedLayers(rig.place).directory(layers, 0)) / "d/00001").read_bytes() == b"1"


def test_a_damaged_layer_leaves_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    layers = [rig.layer(many_files(3))]
    tar = Path(layers[0].layer.tar_path())
    tar.write_bytes(tar.read_bytes()[:1200])
    with pytest.raises((LayerError, DigestMismatch)):
        UnpackedLayers(rig.place).directory(layers, 0)
    assert not list((tmp_path / "snapshots").glob("*.root"))
    assert not list((tmp_path / "tmp").iterdir())


def test_a_layer_without_its_directories_takes_them_from_the_layers_below(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    snapshotter = OverlaySnapshotter(rig.place)
    base = rig.layer([Member("home", "directory", mode=0o751, uid=7, gid=8), Member("home/a", content=b"a")])
    other = rig.layer([Member("home", "directory", mode=0o700, uid=1, gid=1)])
    bare = rig.layer([Member("home/b", content=b"b"), Member("new/c", content=b"c")])
    for below, look in ((base, (0o751, 7, 8)), (other, (0o700, 1, 1))):
        layers = [below, bare]
        with snapshotter.open_stack(layers, view_of(layers)) as rootfs, rig.mounted(rootfs) as tree:
            seen = look_at(tree)
        assert (seen["home"].mode, seen["home"].uid, seen["home"].gid) == look
        assert seen["new"].mode == 0o755
        assert "home/b" in seen


def test_a_hard_link_to_a_file_of_a_lower_layer_becomes_a_copy(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    snapshotter = OverlaySnapshotter(rig.place)
    base = rig.layer([Member("file", content=b"shared", mode=0o640, uid=9)])
    linked = rig.layer([Member("name", "hardlink", link="file")])
    layers = [base, linked]
    with snapshotter.open_stack(layers, view_of(layers)) as rootfs, rig.mounted(rootfs) as tree:
        assert (Path(tree) / "name").read_bytes() == b"shared"
        assert look_at(tree)["name"] == look_at(tree)["file"]


def test_the_same_layer_twice_in_a_stack_can_be_mounted(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    snapshotter = OverlaySnapshotter(rig.place)
    base = rig.layer([Member("a", content=b"a"), Member("b", content=b"b")])
    twice = rig.layer([Member(".wh.b"), Member("c", content=b"c")])
    between = rig.layer([Member("b", content=b"again"), Member(".wh.c")])
    layers = [base, twice, between, twice]
    with snapshotter.open_stack(layers, view_of(layers)) as rootfs, rig.mounted(rootfs) as tree:
        assert sorted(os.listdir(tree)) == ["a", "c"]


def test_two_stacks_share_the_unpacked_base(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    base = rig.layer(many_files(5))
    tops = [rig.layer([Member(f"top{n}", content=b"x")]) for n in range(2)]
    for top in tops:
        OverlaySnapshotter(rig.place).prepare([base, top], view_of([base, top]))
    assert len(list((tmp_path / "snapshots").glob("*.root"))) == 3


def test_the_root_of_the_tree_looks_as_the_layers_say(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    snapshotter = OverlaySnapshotter(rig.place)
    layers = [rig.layer([Member("./", "directory", mode=0o1711, uid=3, gid=4), Member("a", content=b"a")])]
    active = snapshotter.prepare(layers, view_of(layers))
    with rig.mounted(active.rootfs) as tree:
        status = os.stat(tree)
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o1711, 3, 4)
