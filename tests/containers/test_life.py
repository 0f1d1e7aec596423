"""A container's life: run, listed, looked at, started again, removed; for every kind of user and of isolation."""

from __future__ import annotations

import io
import json
import re
import tarfile

import pytest

from tests.containers.world import IMAGE, World

CHANGES = "echo new > /new; mkdir /dir; printf 12345 > /dir/five; rm /data/one; chmod 600 /data/two; rm -r /old"
DIFF = {"A /new", "A /dir", "A /dir/five", "C /data", "D /data/one", "C /data/two", "D /old"}
OWN_BYTES = len("new\n") + len("12345") + len("two\n")


def test_a_container_stays_with_what_it_wrote(any_world: World) -> None:
    assert any_world.sh(f"{CHANGES}; exit 3", "--name", "c1").code == 3
    assert any_world("ps", "-q").succeeded().out == ""
    listed = any_world("ps", "-a", "-s", "--format", "{{.Names}} {{.Image}} {{.State}} {{.Size}}").succeeded().out
    virtual = OWN_BYTES + image_bytes(any_world)
    assert listed.startswith(f"c1 {IMAGE} exited {OWN_BYTES}B (virtual "), listed
    assert size_of(listed) == pytest.approx(virtual, rel=0.01)
    assert set(any_world("diff", "c1").succeeded().out.splitlines()) == DIFF
    assert set(any_world("diff", "c1").succeeded().out.splitlines()) == DIFF, "looking changes nothing"


def test_what_diff_shows_is_what_commit_makes(any_world: World) -> None:
    any_world.sh(CHANGES, "--name", "c1", "-e", "A=b", "-w", "/data").succeeded()
    made = any_world(
        "commit", "-a", "me", "-m", "why", "-c", 'CMD ["cat", "/new"]', "-c", "LABEL k=v", "c1", "made:2"
    ).succeeded()
    identifier = made.out.strip()
    assert re.fullmatch("sha256:[0-9a-f]{64}", identifier)
    config = json.loads(any_world("inspect", "--config", "made:2").succeeded().out)
    assert config["author"] == "me"
    assert config["history"][-1]["comment"] == "why"
    assert config["config"]["Cmd"] == ["cat", "/new"]
    assert config["config"]["Labels"] == {"k": "v"}
    assert config["config"]["WorkingDir"] == "/data"
    assert "A=b" in config["config"]["Env"]
    base = json.loads(any_world("inspect", "--config", IMAGE).succeeded().out)
    assert config["rootfs"]["diff_ids"][:-1] == base["rootfs"]["diff_ids"]
    layer = any_world.program.store / "blobs" / "sha256" / config["rootfs"]["diff_ids"][-1].removeprefix("sha256:")
    with tarfile.open(layer) as tar:
        names = {member.name for member in tar}
        two = tar.getmember("data/two")
    assert names == {"new", "dir", "dir/five", "data", "data/.wh.one", "data/two", ".wh.old"}
    assert (two.mode, two.uid) == (0o600, any_world.app)
    assert any_world("run", "--rm", "made:2").succeeded().out == "new\n"
    any_world("info", "--verify").succeeded()


def test_start_goes_on_with_the_same_layer(any_world: World) -> None:
    script = "test -e /n || echo 0 > /n; echo $(($(cat /n) + 1)) > /n; cat /n; exit 5"
    assert (any_world.sh(script, "--name", "c1").out, any_world("start", "-a", "c1").out) == ("1\n", "2\n")
    again = any_world("start", "c1")
    assert (again.code, again.out) == (5, "3\n")
    assert any_world("diff", "c1").succeeded().out == "A /n\n"
    assert any_world("ps", "-a", "--format", "{{.Status}}").out.startswith("Exited (5) ")


def test_create_makes_what_start_runs(any_world: World) -> None:
    identifier = any_world("create", "--name", "c1", IMAGE, "cat").succeeded().out.strip()
    assert re.fullmatch("[0-9a-f]{64}", identifier)
    assert any_world("ps", "-a", "--format", "{{.State}} {{.Command}}").out == 'created "cat"\n'
    assert any_world("diff", "c1").succeeded().out == ""
    assert any_world("start", "-ai", identifier[:12], stdin=b"through\n").succeeded().out == "through\n"
    assert any_world("start", "-a", "c1", stdin=b"not connected\n").succeeded().out == ""


def test_files_go_out_and_in(any_world: World) -> None:
    any_world.sh(
        "mkdir /d; echo x > /d/x; ln -s x /d/link; chmod 640 /d/x; ln -s /etc /out", "--name", "c1"
    ).succeeded()
    folder = any_world.folder
    any_world("cp", "c1:/d", "./got").succeeded()
    assert (folder / "got" / "x").read_text() == "x\n"
    assert (folder / "got" / "x").stat().st_mode & 0o777 == 0o640
    assert (folder / "got" / "x").stat().st_uid == folder.stat().st_uid
    assert (folder / "got" / "link").readlink().as_posix() == "x"
    any_world("cp", "c1:/d", "got").succeeded()
    assert (folder / "got" / "d" / "x").exists(), "into a folder that is there"
    any_world("cp", "c1:/d/x", "got/renamed").succeeded()
    assert (folder / "got" / "renamed").read_text() == "x\n"
    any_world("cp", "got/renamed", "c1:/data/").succeeded()
    any_world("cp", "got/.", "c1:/fresh").succeeded()
    any_world("cp", "got/renamed", "c1:/out/inside").succeeded()
    assert any_world("cp", "c1:/out/inside", "./found").succeeded()
    assert "A /etc/inside" in any_world("diff", "c1").out.splitlines(), "a link means what it means in the container"
    with tarfile.open(fileobj=io.BytesIO(any_world.bytes_of("cp", "c1:/fresh", "-"))) as tar:
        assert {"fresh", "fresh/x", "fresh/d/x", "fresh/renamed"} <= set(tar.getnames())
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo("sub/file")
        member.size = 2
        tar.addfile(member, io.BytesIO(b"ok"))
    any_world("cp", "-", "c1:/tmp", stdin=buffer.getvalue()).succeeded()
    assert any_world("cp", "c1:/tmp/sub/file", "./ok").succeeded()
    assert (folder / "ok").read_text() == "ok"
    any_world("cp", "c1:/nowhere", ".").failed(1, "cannot copy /nowhere: no such file")
    any_world("cp", "got/x", "c1:/nowhere/y").failed(1, "no such directory: /nowhere")
    any_world("cp", "a", "b").failed(2, "between a container and this machine")


def test_export_is_the_whole_tree(any_world: World) -> None:
    any_world.sh(CHANGES, "--name", "c1").succeeded()
    any_world("export", "-o", "all.tar", "c1").succeeded()
    with tarfile.open(any_world.folder / "all.tar") as tar:
        members = {member.name: member for member in tar}
        assert tar.extractfile("dir/five").read() == b"12345"  # type: ignore[union-attr]
    assert {"new", "dir", "data/two", "bin/busybox"} <= members.keys()
    assert not {"old", "data/one"} & members.keys()
    assert (members["data/two"].uid, members["data/two"].mode) == (any_world.app, 0o600)
    assert not [name for name in members if ".wh." in name]


@pytest.mark.parametrize("any_world", ["root", "chroot"], indirect=True)
def test_what_is_called_like_a_whiteout_is_a_file_until_it_would_be_in_a_layer(any_world: World) -> None:
    world = any_world
    act = "rm /data/one; cd /data; touch .wh.one .wh.two .wh..wh..opq; mkdir .wh.d; echo x > .wh.d/x"
    world.sh(act, "--name", "c1").succeeded()
    shown = ["C /data", "A /data/.wh..wh..opq", "A /data/.wh.d", "A /data/.wh.d/x"]
    shown += ["D /data/one", "A /data/.wh.one", "A /data/.wh.two"]
    assert world("diff", "c1").succeeded().out.splitlines() == shown
    assert world("ps", "-as", "--format", "{{.Size}}").succeeded().out.startswith("2B (virtual ")
    world("cp", "c1:/data", "out").succeeded()
    assert (world.folder / "out/.wh.d/x").read_text() == "x\n"
    with tarfile.open(fileobj=io.BytesIO(world.bytes_of("export", "c1"))) as tar:
        assert {"data/two", "data/.wh.two", "data/.wh..wh..opq", "data/.wh.d/x"} <= set(tar.getnames())
        tar.extract("data/.wh.two", world.folder, filter="data")
    world("cp", "data/.wh.two", "c1:/.wh.bin").succeeded()
    before = world("ls", "-q").succeeded().out
    world("commit", "c1", "made:3").failed(1, "'.wh.bin' cannot be put in a layer", "stand for deleted files")
    assert world("ls", "-q").succeeded().out == before
    isolation = "--isolation=chroot" if world.isolation else "--isolation=native"
    failed = world.program.build("FROM base\nRUN mkdir /data && touch /data/.wh..wh..opq\n", isolation)
    failed.failed(1, "Dockerfile:2", "'data/.wh..wh..opq' cannot be put in a layer")


def test_mount_shows_the_tree_to_a_command(any_world: World) -> None:
    any_world.sh("echo x > /x", "--name", "c1").succeeded()
    outcome = any_world("mount", "c1", "--", "sh", "-c", 'cat x "$PYBUILD_MOUNT/data/one"; echo more > y; exit 4')
    assert (outcome.code, outcome.out) == (4, "x\none\n")
    assert any_world("diff", "c1").succeeded().out == "A /x\nA /y\n"
    any_world("mount", "c1").failed(2, "needs a command")
    any_world("mount", "c1", "--", "no-such-program").failed(2, "cannot run no-such-program")


def test_rm_takes_it_away_with_all_it_wrote(any_world: World) -> None:
    any_world.sh("mkdir /a; touch /a/b; chown 1000 /a/b; chmod 0 /a", "--name", "c1")
    any_world("rm", "c1", "gone").failed(1, "No such container: gone")
    assert any_world("ps", "-aq").out == ""
    containers = any_world.program.store / "containers"
    assert [path.name for path in containers.iterdir()] == ["names.lock"]
    assert list((any_world.program.store / "trash").iterdir()) == []
    any_world("rm", "-f", "gone").succeeded()


def test_rm_leaves_nothing_of_one_that_runs_once(any_world: World) -> None:
    any_world.sh("echo x > /x; exit 3", "--rm").failed(3)
    assert any_world("ps", "-aq").out == ""
    any_world("run", "--rm", "--name", "c1", IMAGE, "/no-such").failed(127)
    assert any_world("ps", "-aq").out == ""


def test_killed_it_has_ended_and_goes_on(any_world: World) -> None:
    process = any_world.start(
        "run", "--name", "c1", IMAGE, "sh", "-c", "echo more >> /log; echo up; test -e /go || exec sleep 1000"
    )
    assert any_world("ps", "--format", "{{.Names}} {{.State}}").out == "c1 running\n"
    any_world("start", "c1").failed(125, "cannot start container c1: it is running (process ")
    any_world("rm", "c1").failed(1, "it is running")
    any_world("cp", "Dockerfile", "c1:/go").failed(1, "it is running")
    process.kill()
    process.wait(30)
    listed = any_world("ps", "-a", "--format", "{{.State}} {{.Status}}").out
    assert listed.startswith("exited Exited (137)"), listed
    any_world("cp", "Dockerfile", "c1:/go").succeeded()
    assert any_world("start", "c1").succeeded().out == "up\n"
    assert any_world("mount", "c1", "--", "cat", "log").out == "more\nmore\n"
    # A killed run in a chroot cannot give the folders of what was lent to it their times back.
    left = {"C /etc"} if "chroot" in any_world.isolation else set()
    assert set(any_world("diff", "c1").succeeded().out.splitlines()) - left == {"A /go", "A /log"}
    any_world("rm", "c1").succeeded()


def image_bytes(world: World) -> int:
    """Sum of the sizes of the files in the image's layers, read from what `export` has of an untouched container."""
    layers = json.loads(world("inspect", IMAGE).succeeded().out)[0]["RootFS"]["Layers"]
    total = 0
    for layer in layers:
        with tarfile.open(world.program.store / "blobs" / "sha256" / layer.removeprefix("sha256:")) as tar:
            total += sum(member.size for member in tar if member.isreg())
    return total


def size_of(line: str) -> float:
    number, unit = re.findall(r"virtual ([0-9.]+)([kMG]?B)", line)[0]
    return float(number) * {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]
