"""Device nodes that a run makes or finds in its image: harmless ones can be opened, the machine's cannot."""

from __future__ import annotations

import os
import signal
import stat
from typing import Any

import pytest

from builder.linux import process
from builder.linux.process import clone
from builder.sandbox.process.cgroups import DeviceGuard, new_device_guard
from builder.sandbox.spec import DirectoryRoot
from tests.sandbox.host import Host, Outcome, in_place, run_in, top

HARMLESS = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9)}
DANGEROUS = {
    "memory": ("c", 1, 1), "ports": ("c", 1, 4), "kernel log": ("c", 1, 11), "loop control": ("c", 10, 237),
    "loop": ("b", 7, 0), "disk": ("b", 8, 0), "virtual disk": ("b", 254, 0), "null as a block": ("b", 1, 3),
    "fuse": ("c", 10, 229), "unknown": ("c", 200, 7),
}  # fmt: skip


@pytest.fixture
def guarded(root_host: Host) -> Host:
    guard = new_device_guard()
    if guard is None:
        pytest.skip("no device filter can be had here: nodes are shut off altogether")
    guard.close()
    return root_host


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_node_that_was_made_can_be_opened(guarded: Host, name: str) -> None:
    major, minor = HARMLESS[name]
    script = f"mkdir -p /r/dev; mknod -m 666 /r/dev/x c {major} {minor} && head -c 1 /r/dev/x > /out && echo opened"
    outcome = guarded.run(script)
    assert outcome.out == "opened\n", outcome
    assert outcome.upper == ("out", "r", "r/dev", "r/dev/x")
    assert guarded.run(f"mknod /x c {major} {minor}; chmod 666 /x; echo > /x", uid=0).code == (
        1 if name == "full" else 0
    )


@pytest.mark.parametrize("name", DANGEROUS)
def test_a_dangerous_node_can_be_made_and_not_opened(guarded: Host, name: str) -> None:
    kind, major, minor = DANGEROUS[name]
    outcome = guarded.run(f"mknod /x {kind} {major} {minor} && echo made; head -c 1 /x; echo x > /x")
    assert outcome.out == "made\n"
    assert outcome.err.count("Operation not permitted") == 2, outcome.err


def test_a_node_of_the_image_is_judged_like_one_that_was_made(guarded: Host) -> None:
    def prepare(_: str, rootfs: Any) -> dict[str, Any]:
        os.mknod(f"{top(rootfs)}/disk", stat.S_IFBLK | 0o666, os.makedev(7, 0))
        os.mknod(f"{top(rootfs)}/nothing", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        return {}

    outcome = in_place(guarded, prepare, "head -c 1 /disk; echo x > /nothing && echo written")
    assert outcome.out == "written\n"
    assert "/disk: Operation not permitted" in outcome.err


def test_in_a_plain_directory_it_is_the_same(guarded: Host) -> None:
    def work(sandbox: Any, _: object) -> Outcome:
        area = f"{guarded.folder}/devices"
        os.system(f"cp -a {guarded.base()} {area}")
        argv = ("/bin/sh", "-c", "mknod /n c 1 3 && echo x > /n && echo opened; mknod /b b 7 0; head -c 1 /b")
        outcome = run_in(sandbox, guarded, rootfs=DirectoryRoot(area), argv=argv)
        assert isinstance(outcome, Outcome)
        return outcome

    outcome = guarded.do(work)
    assert outcome.out == "opened\n"
    assert "/b: Operation not permitted" in outcome.err


@pytest.mark.parametrize("kind", ["ranges", "single"])
def test_ordinary_users_make_and_open_none(hosts: dict[str, Host], kind: str) -> None:
    outcome = hosts[kind].run("mknod /x b 7 0; head -c 1 /x && echo read")
    assert "read" not in outcome.out


def test_the_devices_that_a_run_has_anyway_can_be_opened(host: Host) -> None:
    script = "echo x > /dev/null; for n in zero urandom random full; do head -c 1 /dev/$n > /dev/null || echo $n; done"
    assert host.run(script).out == ""


def test_a_closed_sandbox_leaves_no_group(guarded: Host) -> None:
    def work(sandbox: Any, _: object) -> tuple[str, bool]:
        run_in(sandbox, guarded, argv=("/bin/true",))
        return sandbox._guard.path, os.path.isdir(sandbox._guard.path)

    path, was_there = guarded.do(work)
    assert was_there
    assert not os.path.exists(path)


def test_what_a_killed_builder_leaves_is_swept_and_what_lives_is_not(guarded: Host) -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, DeviceGuard().path.encode())
        signal.pause()
    path = os.read(read, 4096).decode()
    try:
        DeviceGuard().close()
        assert os.path.isdir(path), "its owner lives"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)
    DeviceGuard().close()
    assert not os.path.exists(path)


def test_a_run_is_born_in_its_group_since_moving_there_takes_longer_than_all_the_rest(guarded: Host) -> None:
    guard = DeviceGuard()
    read, write = os.pipe()
    try:
        child = clone(0, guard.path)
        if child == 0:
            with open("/proc/self/cgroup", "rb") as file:
                os.write(write, file.read())
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        if not os.read(read, 65536).endswith(f"/{os.path.basename(guard.path)}\n".encode()):
            assert tuple(map(int, os.uname().release.split(".")[:2])) < (5, 7)
    finally:
        os.close(read)
        os.close(write)
        guard.close()


@pytest.mark.parametrize("born_elsewhere", ["no such call", "no such flag"])
def test_a_run_that_cannot_be_born_there_moves_there(
    guarded: Host, monkeypatch: pytest.MonkeyPatch, born_elsewhere: str
) -> None:
    if born_elsewhere == "no such call":
        monkeypatch.setattr(process, "SYS_CLONE3", 0x7FFF)
    else:
        monkeypatch.setattr(process, "_CLONE_INTO_CGROUP", 1 << 62)  # a flag that no kernel has
    outcome = guarded.run("mknod /n c 1 3 && echo x > /n && echo opened; mknod /b b 7 0; head -c 1 /b && echo read")
    assert outcome.out == "opened\n"
    assert "/b: Operation not permitted" in outcome.err


def test_builders_that_start_at_once_do_not_sweep_each_others_groups(guarded: Host) -> None:
    def make_many() -> None:
        for _ in range(40):
            guard = DeviceGuard()
            assert os.path.isdir(guard.path)
            guard.close()
        os._exit(0)

    children = []
    for _ in range(6):
        children.append(os.fork())
        if children[-1] == 0:
            try:
                make_many()
            finally:
                os._exit(1)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 6
