"""What is mounted, what is left of it afterwards, and attempts to mount something else."""

from __future__ import annotations

import os
import socket
import threading
from typing import Any

import pytest

from builder.sandbox.spec import (
    BindMount,
    CacheMount,
    DirectoryRoot,
    OverlayRoot,
    SecretMount,
    SshMount,
    TmpfsMount,
)
from tests.sandbox.host import Host, Outcome, in_place, run_in, top, write


def newest_cache(host: Host) -> str:
    """The area of the last run that made a cache."""
    found = [entry for entry in os.scandir(host.folder) if os.path.isdir(entry.path + "/cache")]
    return max(found, key=lambda entry: entry.stat().st_ctime_ns).path


SECRET = SecretMount(content=b"geheim", target="/run/secrets/token")


def test_a_run_that_changes_nothing_leaves_an_empty_upper_directory(host: Host) -> None:
    outcome = host.run("cat /etc/resolv.conf /etc/hosts /run/secrets/token >/dev/null; echo read", mounts=(SECRET,))
    assert outcome.out == "read\n"
    assert outcome.upper == ()


def test_only_what_the_command_changes_is_in_the_upper_directory(host: Host) -> None:
    outcome = host.run("echo x > /etc/new; mkdir /d", mounts=(SECRET,))
    assert outcome.upper == ("d", "etc", "etc/new")


def test_directories_with_mount_points_look_unchanged_inside(host: Host) -> None:
    os.utime(host.base() + "/etc", ns=(10**18, 10**18))
    os.utime(host.base(), ns=(10**18, 10**18))
    assert host.run("stat -c '%Y %a' /etc /").out.split()[::2] == ["1000000000", "1000000000"]


def test_a_secret_is_there_with_its_mode_and_gone_afterwards(any_host: Host) -> None:
    secret = SecretMount(content=b"geheim", target="/run/secrets/token", mode=0o440)
    outcome = any_host.run("cat /run/secrets/token; stat -c %a /run/secrets/token", mounts=(secret,))
    assert outcome.out == "geheim440\n"
    assert outcome.upper == ()


def test_a_secret_cannot_be_changed_or_executed(host: Host) -> None:
    secret = SecretMount(content=b"#!/bin/sh\necho ran\n", target="/s", mode=0o600)
    outcome = host.run("echo x > /s; chmod 777 /s; /s", mounts=(secret,))
    assert "ran" not in outcome.out
    assert "Read-only" in outcome.err
    runnable = SecretMount(content=b"#!/bin/sh\necho ran\n", target="/s", mode=0o500)
    assert host.run("/s", mounts=(runnable,)).out == "ran\n"


def test_a_secret_is_not_in_the_repr() -> None:
    assert "geheim" not in repr(SECRET)


def test_a_cache_keeps_what_is_written(any_host: Host) -> None:
    def prepare(area: str, _: object) -> dict[str, Any]:
        write(area + "/cache/old", "old")
        return {"mounts": (CacheMount(source=area + "/cache", target="/root/.cache/x"),)}

    outcome = in_place(
        any_host, prepare, "cat /root/.cache/x/old; echo new > /root/.cache/x/new; rm /root/.cache/x/old"
    )
    assert outcome.out == "old"
    assert outcome.upper == ()
    newest = newest_cache(any_host)
    assert os.listdir(newest + "/cache") == ["new"]


def test_a_read_only_cache_keeps_nothing(any_host: Host) -> None:
    def prepare(area: str, _: object) -> dict[str, Any]:
        write(area + "/cache/sub/f", "kept")
        return {"mounts": (CacheMount(source=area + "/cache", subpath="sub", target="/c", readonly=True),)}

    outcome = in_place(any_host, prepare, "cat /c/f; echo changed > /c/f; true")
    assert outcome.out == "kept"
    newest = newest_cache(any_host)
    with open(newest + "/cache/sub/f", encoding="utf-8") as file:
        assert file.read() == "kept"


@pytest.mark.parametrize("readonly", [True, False])
def test_a_bind_mount_never_changes_its_source(any_host: Host, readonly: bool) -> None:
    def prepare(area: str, _: object) -> dict[str, Any]:
        write(area + "/source/d/f", "source")
        mount = BindMount(source=DirectoryRoot(area + "/source"), subpath="d", target="/b", readonly=readonly)
        return {"mounts": (mount,)}

    script = "cat /b/f; (echo changed > /b/f; echo more > /b/g) 2>/dev/null && cat /b/f /b/g; true"
    outcome = in_place(any_host, prepare, script)
    if any_host.isolation != "chroot":
        assert outcome.out == ("source" if readonly else "sourcechanged\nmore\n")
    assert outcome.upper == ()
    found = [e.path for e in os.scandir(any_host.folder) if os.path.isdir(e.path + "/source/d")]
    assert found
    assert all(os.listdir(path + "/source/d") == ["f"] for path in found)
    assert all(open(path + "/source/d/f", encoding="utf-8").read() == "source" for path in found)  # noqa: SIM115


@pytest.mark.parametrize("readonly", [True, False])
def test_a_single_file_can_be_bound(any_host: Host, readonly: bool) -> None:
    def prepare(area: str, _: object) -> dict[str, Any]:
        write(area + "/one/f", "content")
        mount = BindMount(source=DirectoryRoot(area + "/one"), subpath="f", target="/etc/deep/f", readonly=readonly)
        return {"mounts": (mount,)}

    assert in_place(any_host, prepare, "cat /etc/deep/f").out == "content"


def test_a_stack_of_layers_can_be_bound(host: Host) -> None:
    def prepare(area: str, _: object) -> dict[str, Any]:
        write(area + "/l1/d/a", "a1")
        write(area + "/l1/d/b", "b1")
        write(area + "/l2/d/a", "a2")
        stack = OverlayRoot((area + "/l2", area + "/l1"), "", "")
        return {"mounts": (BindMount(source=stack, subpath="d", target="/b"),)}

    assert in_place(host, prepare, "cat /b/a /b/b").out == "a2b1"


def test_a_tmpfs_has_its_size_and_leaves_nothing(host: Host) -> None:
    outcome = host.run("df -k /t/u | tail -1; echo x > /t/u/f", mounts=(TmpfsMount(target="/t/u", size=1 << 20),))
    assert outcome.out.split()[1] == "1024"
    assert outcome.upper == ()


def test_mounts_inside_mounts_work_in_any_order(any_host: Host) -> None:
    def prepare(area: str, _: object) -> dict[str, Any]:
        write(area + "/src/f", "inner")
        os.makedirs(area + "/cache")
        inner = BindMount(source=DirectoryRoot(area + "/src"), target="/job/cache/inner")
        return {"mounts": (inner, CacheMount(source=area + "/cache", target="/job/cache"), TmpfsMount(target="/job"))}

    outcome = in_place(any_host, prepare, "cat /job/cache/inner/f; echo x > /job/cache/y")
    assert outcome.out == "inner"
    assert outcome.upper == ()
    newest = newest_cache(any_host)
    if any_host.isolation not in ("oci", "chroot"):
        assert os.listdir(newest + "/cache") == ["y"]


def test_files_are_there_with_their_mode(any_host: Host) -> None:
    script = (("/dev/pipes/EOF", b"#!/bin/sh\necho script\n", 0o755),)
    assert any_host.run("/dev/pipes/EOF; ls /dev/pipes", files=script).out == "script\nEOF\n"


def test_a_file_can_not_be_written_by_the_command(host: Host) -> None:
    assert host.run("echo x > /dev/pipes/EOF", files=(("/dev/pipes/EOF", b"", 0o755),)).code != 0


@pytest.mark.parametrize(
    "link", ["/run/systemd/resolve/stub-resolv.conf", "../run/r", "/../../../../../../tmp/pwned-resolv"]
)
def test_a_dangling_resolv_conf_link_is_followed_inside_the_root(any_host: Host, link: str) -> None:
    def prepare(_: str, rootfs: Any) -> dict[str, Any]:
        os.makedirs(top(rootfs) + "/etc", exist_ok=True)
        os.symlink(link, top(rootfs) + "/etc/resolv.conf")
        return {}

    outcome = in_place(any_host, prepare, "cat /etc/resolv.conf; readlink /etc/resolv.conf")
    assert "nameserver" in outcome.out
    assert outcome.out.endswith(link + "\n")
    assert not os.path.lexists("/tmp/pwned-resolv")
    if outcome.upper:
        assert outcome.upper == ("etc", "etc/resolv.conf")


def test_a_deleted_mount_point_of_a_lower_layer_can_be_mounted_on_again(root_host: Host) -> None:
    def work(sandbox: Any, _: object) -> Outcome:
        area = root_host.folder + "/whiteout"
        write(area + "/old/var/cache/apt/x", "x")
        os.makedirs(area + "/deleted/var/cache")
        os.mknod(area + "/deleted/var/cache/apt", 0o020000, 0)
        for name in ("upper", "work", "cache"):
            os.makedirs(f"{area}/{name}")
        rootfs = OverlayRoot((area + "/deleted", area + "/old", root_host.base()), area + "/upper", area + "/work")
        mount = CacheMount(source=area + "/cache", target="/var/cache/apt")
        return run_in(sandbox, root_host, rootfs=rootfs, argv=("/bin/ls", "/var/cache/apt"), mounts=(mount,))

    outcome = root_host.do(work)
    assert (outcome.code, outcome.out, outcome.upper) == (0, "", ())


def test_a_stack_of_two_hundred_layers_can_be_run_in(host: Host) -> None:
    def work(sandbox: Any, _: object) -> Outcome:
        area = f"{host.folder}/many"
        lower = []
        for number in range(200):
            write(f"{area}/{number}/layers/{number}", "")
            lower.append(f"{area}/{number}")
        for name in ("upper", "work"):
            os.makedirs(f"{area}/{name}")
        rootfs = OverlayRoot((*lower, host.base()), area + "/upper", area + "/work")
        return run_in(sandbox, host, rootfs=rootfs, argv=("/bin/sh", "-c", "ls /layers | wc -l"))

    assert host.do(work).out == "200\n"


def test_an_image_without_any_layer_can_be_run_in(host: Host) -> None:
    def work(sandbox: Any, _: object) -> Outcome:
        area = f"{host.folder}/scratch"
        for name in ("upper", "work"):
            os.makedirs(f"{area}/{name}")
        rootfs = OverlayRoot((), area + "/upper", area + "/work")
        mount = BindMount(source=DirectoryRoot(host.base()), subpath="bin", target="/tools")
        return run_in(sandbox, host, rootfs=rootfs, argv=("/tools/busybox", "ls", "/"), mounts=(mount,))

    outcome = host.do(work)
    assert outcome.out.split() == ["dev", "etc", "proc", "sys", "tools"]
    assert outcome.upper == ()


def test_an_ssh_agent_is_reached_through_a_socket_of_its_own(host: Host) -> None:
    client = "import socket; s = socket.socket(1); s.connect('/run/agent.sock'); s.send(b'hello'); print(s.recv(99))"

    def work(sandbox: Any, _: object) -> Outcome:
        path = f"{host.folder}/agent-{os.getpid()}"
        with socket.socket(socket.AF_UNIX) as agent:
            agent.bind(path)
            agent.listen()

            def answer() -> None:
                connection, _ = agent.accept()
                with connection:
                    connection.sendall(b"answer to " + connection.recv(100))

            threading.Thread(target=answer, daemon=True).start()
            mounts = [BindMount(source=DirectoryRoot("/"), subpath=name, target=f"/{name}") for name in ("lib", "usr")]
            if os.path.isdir("/lib64"):
                mounts.append(BindMount(source=DirectoryRoot("/"), subpath="lib64", target="/lib64"))
            ssh = SshMount(socket=path, target="/run/agent.sock", mode=0o666)
            script = f'stat -c %a /run/agent.sock; /usr/bin/python3 -c "{client}"'
            return run_in(sandbox, host, argv=("/bin/sh", "-c", script), mounts=(ssh, *mounts))

    assert host.do(work).out == "666\nb'answer to hello'\n"


def test_root_is_emulated_where_there_is_one_id(hosts: dict[str, Host]) -> None:
    script = "touch /f && chown 33:44 /f && mknod /n c 1 3 && chmod 640 /f && stat -c '%u %g %a' /f"
    outcome = hosts["single"].run(script)
    assert (outcome.code, outcome.out) == (0, "0 0 640\n")


def test_owners_are_real_where_there_are_ids(hosts: dict[str, Host]) -> None:
    assert hosts["ranges"].run("touch /f && chown 33:44 /f && stat -c '%u %g' /f").out == "33 44\n"


def test_apt_is_told_that_there_is_one_user(hosts: dict[str, Host]) -> None:
    def prepare(_: str, rootfs: Any) -> dict[str, Any]:
        os.makedirs(rootfs.upper + "/etc/apt/apt.conf.d")
        return {}

    outcome = in_place(hosts["single"], prepare, "cat /etc/apt/apt.conf.d/*")
    assert "Sandbox::User" in outcome.out
    assert "etc/apt/apt.conf.d/99single-id" not in outcome.upper


def _prepare_context(area: str, rootfs: Any) -> str:
    write(f"{area}/context/sub/file", "seen\n")
    os.chmod(f"{area}/context", 0o711)
    return f"{area}/context"


@pytest.mark.parametrize(
    ("subpath", "script"),
    [
        ("", "cat /b/sub/file; stat -c %a /b"),
        ("sub", "cat /b/file; stat -c %a /b"),
        ("sub/file", "cat /b; stat -c %a /b"),
    ],
)
@pytest.mark.parametrize("kind", ["directory", "layer"])
def test_no_path_of_this_machine_is_told_by_a_read_only_bind(host: Host, kind: str, subpath: str, script: str) -> None:
    def prepare(area: str, rootfs: Any) -> dict[str, Any]:
        context = _prepare_context(area, rootfs)
        source = DirectoryRoot(context) if kind == "directory" else OverlayRoot((context,), "", "")
        return {"mounts": (BindMount(source=source, subpath=subpath, target="/b"),)}

    outcome = in_place(host, prepare, f"{script}; grep ' /b ' /proc/self/mountinfo; touch /b")
    seen, mode, told = outcome.out.splitlines()
    assert (seen, mode) == ("seen", {"": "711", "sub": "755", "sub/file": "644"}[subpath])
    assert "context" not in told
    assert os.path.basename(host.folder) not in told
    assert "Read-only file system" in outcome.err
