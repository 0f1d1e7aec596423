"""Containers where something stands in the way: links that lead out, limits, a full disk, damage."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.test_places import mounted, needs_root
from tests.containers.world import IMAGE, World
from tests.sandbox.test_limited_runs import need


@pytest.fixture
def outside(any_world: World) -> Iterator[Path]:
    """A folder of this machine that everybody may write to, and nothing of a container should get into."""
    folder = any_world.folder.parent / "outside"
    (folder / "sub").mkdir(parents=True)
    (folder / "file").write_text("ours\n")
    subprocess.run(["chmod", "-R", "a+rwX", str(folder)], check=True)
    yield folder
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == ["file", "sub"]
    assert (folder / "file").read_text() == "ours\n"


def test_nothing_leads_out_of_a_container(any_world: World, outside: Path) -> None:
    links = {
        "/folder": outside, "/up": f"../../../../../../..{outside}", "/file": outside / "file",
        "/new": outside / "new", "/proc1": "/proc/1/root", "/loop": "/loop", "/d/sub": outside,
    }  # fmt: skip
    script = "mkdir /d; " + "; ".join(f"ln -s {target} {link}" for link, target in links.items())
    any_world.sh(script, "--name", "c1").succeeded()
    (any_world.folder / "evil/sub").mkdir(parents=True)
    for name in ("one", "evil/sub/file"):
        (any_world.folder / name).write_text("theirs\n")
    for target in ("/folder", "/file", "/new", "/../../../../new"):
        any_world("cp", "one", f"c1:{target}").succeeded()
    any_world("cp", "one", "c1:/up/x").failed(1, "no such directory: /up")
    any_world("cp", "one", f"c1:/../../..{outside}/x").failed(1, f"no such directory: {outside}")
    any_world("cp", "one", f"c1:/proc1{outside}/x").failed(1, "no such directory: /proc1")
    any_world("cp", "one", "c1:/loop").failed(1, "too many levels of symbolic links")
    any_world("cp", "one", "c1:/data/one/x").failed(1, "cannot copy to /data/one/x: no such directory: /data/one")
    any_world("cp", "evil/.", "c1:/d").failed(1, "cannot write sub: it is a folder here and something else there")
    for name, link in (("../../../../../../../tmp/x", ""), ("hard", "../../../../../../etc/passwd")):
        any_world("cp", "-", "c1:/tmp", stdin=tar_of(name, link)).failed(1, "leads outside its root")
    any_world("cp", "-", "c1:/tmp", stdin=tar_of("x")[:700]).failed(1, "cut short")
    any_world("cp", f"c1:/up{outside}/file", "got").failed(1, "no such file or directory")


def tar_of(name: str, link: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname, member.size = (
            tarfile.LNKTYPE if link else tarfile.REGTYPE,
            link,
            0 if link else 900,
        )
        tar.addfile(member, io.BytesIO(bytes(member.size)))
    return buffer.getvalue()


def test_what_is_copied_onto_a_link_is_where_it_leads(world: World) -> None:
    """As with docker cp."""
    world.sh("ln -s /data/one /link", "--name", "c1").succeeded()
    (world.folder / "x").write_text("changed\n")
    world("cp", "x", "c1:/link").succeeded()
    assert set(world("diff", "c1").out.splitlines()) == {"C /data", "C /data/one", "A /link"}
    (world.folder / "here").symlink_to("there")
    (world.folder / "there").touch()
    world("cp", "c1:/data/one", "here").succeeded()
    assert (world.folder / "here").is_symlink()
    assert (world.folder / "there").read_text() == "changed\n"


@needs_root
def test_a_container_that_uses_up_its_memory_is_said_to_have(any_world: World) -> None:
    if any_world.become:
        pytest.skip("control groups are root's here")
    need("memory")
    script = "x=$(dd if=/dev/zero bs=1M count=100 2>/dev/null | tr '\\0' x); echo ${#x}"
    any_world.sh(script, "--rm", "-m", "20m").failed(137, "note: the memory limit of 20 MiB was reached")


@needs_root
def test_export_writes_to_a_device_and_does_not_replace_it(world: World) -> None:
    device = world.folder / "null"
    os.mknod(device, 0o666 | 0o020000, os.makedev(1, 3))
    world("create", "--name", "c1", IMAGE).succeeded()
    world("export", "-o", str(device), "c1").succeeded()
    assert device.is_char_device()
    world("export", "-o", str(world.folder), "c1").failed(1, f"cannot write {world.folder}: is a directory")


@needs_root
@pytest.mark.parametrize("isolation", ["native", "chroot"])
def test_a_full_disk_loses_no_exit_code_and_no_container(world: World, isolation: str) -> None:
    disk = world.folder / "disk"
    with mounted(disk, "-t", "tmpfs", "-o", "size=12m", "none"):
        subprocess.run(["cp", "-a", str(world.program.store), str(disk / "store")], check=True)
        full = replace(
            world, program=replace(world.program, store=disk / "store"), isolation=("--isolation", isolation)
        )
        done = full.sh("cat /dev/zero > /big; exit 7", "--name", "c1")
        assert done.code == 7, done.err
        assert "A /big" in full("diff", "c1").succeeded().out
        full("commit", "c1", "made:1").failed(1, "no space left on device", "hint: ")
        (world.folder / "large").write_bytes(bytes(12 << 20))
        full("cp", "large", "c1:/large").failed(1, "no space left on device")
        full("export", "-o", str(disk / "x.tar"), "c1").failed(1, f"cannot write {disk}/x.tar: no space left")
        assert [path.name for path in disk.iterdir()] == ["store"]
        full("rm", "c1").succeeded()
        full("info", "--verify").succeeded()
        assert full.sh("echo again", "--rm").succeeded().out == "again\n"


def test_containers_whose_image_is_damaged_are_listed_and_go(world: World) -> None:
    for name in ("c1", "c2"):
        world.sh("echo x > /x", "--name", name).succeeded()
    diff_id = json.loads(world("inspect", "--config", IMAGE).out)["rootfs"]["diff_ids"][-1]
    (world.program.store / "blobs/sha256" / diff_id[7:]).unlink()
    for words in (("start", "c1"), ("diff", "c1"), ("commit", "c1"), ("export", "-o", "x.tar", "c1")):
        world(*words).failed(125 if words[0] == "start" else 1, "are missing from the store", "Build or pull the image")
    listed = world("ps", "-a", "-s", "--format", "{{.Names}}").succeeded()
    assert listed.out == "c2\nc1\n"
    assert "the size of container c1 is not known: " in listed.err
    world("rm", "c1", "c2").succeeded()
