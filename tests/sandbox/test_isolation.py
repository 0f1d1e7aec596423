"""What a RUN can and cannot see and do."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from builder.oci.run_options import RunOptions
from builder.sandbox.runner import Sandbox
from builder.sandbox.spec import DirectoryRoot
from tests.sandbox.host import Host, facts, in_place, run_in, top, write

DOCKER_CAPABILITIES = "00000000a80425fb"


def test_the_command_is_pid_1(host: Host) -> None:
    assert host.run("echo $$").out == "1\n"


def test_only_three_descriptors_are_open(host: Host) -> None:
    os.set_inheritable(os.open("/etc", os.O_RDONLY), True)
    # The shell's glob opens the directory it reads: one more, and only while it reads.
    assert host.run("cd /proc/self/fd && for f in 3 4 5 6 7 8 9 10 11 12 20; do test -e $f && echo $f; done").out == ""


def test_stdin_is_empty(any_host: Host) -> None:
    assert any_host.run("cat; echo end").out == "end\n"


def test_the_environment_is_only_what_was_given(any_host: Host) -> None:
    os.environ["PYBUILD_LEAK"] = "leaked"
    found = any_host.run("env", env=("PATH=/bin", "A=b c", "HOME=/h")).out.split("\n")
    assert sorted(found) == ["", "A=b c", "HOME=/h", "PATH=/bin", "PWD=/", "SHLVL=1"]


def test_cve_2021_3602_no_process_of_the_builder_can_be_read(host: Host) -> None:
    os.environ["PYBUILD_LEAK"] = "leaked"
    outcome = host.run("cat /proc/[0-9]*/environ | tr '\\0' '\\n'; ls -d /proc/[0-9]*")
    assert "leaked" not in outcome.out
    assert "/proc/1\n" in outcome.out
    assert len([line for line in outcome.out.split("\n") if line.startswith("/proc/")]) <= 3


def test_the_fork_server_shows_no_environment_even_outside(root_host: Host) -> None:
    os.environ["PYBUILD_LEAK"] = "leaked"

    def work(sandbox: Sandbox, _: object) -> bytes:
        pid = sandbox._fork_server.pid  # type: ignore[attr-defined]
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().strip(b"\0")

    assert root_host.do(work) == b""


@pytest.mark.parametrize("name", ["CapPrm", "CapEff", "CapBnd"])
def test_the_capabilities_are_dockers(host: Host, name: str) -> None:
    """Of a run whose network is this machine's because there is no other, see test_network.py."""
    assert host.run(f"grep {name} /proc/self/status", network="none").out.split()[1] == DOCKER_CAPABILITIES


@pytest.mark.parametrize("name", ["CapInh", "CapAmb"])
def test_cve_2022_24769_nothing_is_inheritable(host: Host, name: str) -> None:
    assert int(host.run(f"grep {name} /proc/self/status").out.split()[1], 16) == 0


def test_an_ordinary_user_inside_has_no_capabilities(root_host: Host) -> None:
    outcome = root_host.run("grep CapEff /proc/self/status; id -u; id -G", uid=1000, gid=1000, groups=(7, 8))
    assert outcome.out.split() == ["CapEff:", "0000000000000000", "1000", "1000", "7", "8"]


def test_cve_2022_36109_the_primary_group_is_among_the_groups(root_host: Host) -> None:
    outcome = root_host.run("grep ^Groups: /proc/self/status", uid=0, gid=0, groups=(10,))
    assert outcome.out.split() == ["Groups:", "0", "10"]
    assert root_host.run("grep ^Groups: /proc/self/status", uid=7, gid=5).out.split() == ["Groups:", "5"]


@pytest.mark.parametrize(
    "command",
    [
        "mount -t tmpfs none /tmp",
        "umount /proc",
        "unshare -m true",
        "unshare -U true",
        "hostname other",
        "chroot / mount -t proc none /tmp",
        "pivot_root / /tmp",
        "swapoff -a /dev/null",
    ],
)
def test_dangerous_calls_are_refused(host: Host, command: str) -> None:
    outcome = host.run(f"{command} && echo done")
    assert "done" not in outcome.out
    assert outcome.code != 0


@pytest.mark.parametrize("path", ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts"])
def test_masked_files_are_empty(host: Host, path: str) -> None:
    assert host.run(f"test -e {path} && head -c 10 {path}").out == ""


def test_masked_directories_are_empty(host: Host) -> None:
    assert (
        host.run("ls /sys/firmware /proc/acpi").out.replace("/sys/firmware:", "").replace("/proc/acpi:", "").strip()
        == ""
    )


@pytest.mark.parametrize("path", ["/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/sys/kernel/x", "/proc/irq/x"])
def test_cve_2025_31133_kernel_settings_are_read_only(host: Host, path: str) -> None:
    assert host.run(f"echo x > {path}").code != 0


def test_a_device_made_in_the_root_cannot_be_opened(root_host: Host) -> None:
    outcome = root_host.run(
        "mknod /disk b 254 0; head -c 1 /disk && echo read; mknod /dev/disk b 254 0; head -c 1 /dev/disk && echo read"
    )
    assert "read" not in outcome.out
    assert "Permission denied" in outcome.err


def test_the_usual_devices_work(any_host: Host) -> None:
    script = "echo x >/dev/null; head -c 2 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c"
    script += "; echo y >/dev/full || echo full"
    assert any_host.run(script).out.split() == ["2", "3", "full"]


def test_standard_streams_can_be_opened_by_name(host: Host) -> None:
    outcome = host.run("echo one > /dev/stdout; echo two > /dev/stderr")
    assert (outcome.out, outcome.err) == ("one\n", "two\n")


def test_the_host_name_is_buildkits(host: Host) -> None:
    assert host.run("hostname").out == "buildkitsandbox\n"
    assert host.run("hostname", hostname="other").out == "other\n"


@pytest.fixture
def port() -> Iterator[int]:
    """A server of the machine's, on its loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.send(b"reached\n")

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_the_network_can_be_the_machines_own(any_host: Host, port: int) -> None:
    assert any_host.run(f"timeout 5 nc 127.0.0.1 {port} </dev/null", network="host").out == "reached\n"


def test_network_none_reaches_nothing(any_host: Host, port: int) -> None:
    assert any_host.run(f"timeout 5 nc 127.0.0.1 {port} </dev/null", network="none").out == ""


def test_network_none_has_only_loopback(host: Host) -> None:
    assert host.run("tail -n +3 /proc/net/dev | cut -d: -f1", network="none").out.split() == ["lo"]


def test_loopback_is_up_without_a_network(host: Host) -> None:
    script = "(echo hello | timeout 5 nc -l -p 7777) & sleep 0.3; timeout 5 nc 127.0.0.1 7777 </dev/null"
    assert host.run(script, network="none").out == "hello\n"


def test_hosts_has_the_hosts_asked_for(any_host: Host) -> None:
    out = any_host.run("cat /etc/hosts", options=RunOptions(add_hosts=(("db", "10.0.0.7"),))).out
    assert out == "127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.7\tdb\n"


def test_shm_has_the_size_asked_for(host: Host) -> None:
    assert host.run("df -k /dev/shm | tail -1", options=RunOptions(shm_size=1 << 20)).out.split()[1] == "1024"
    assert host.run("df -k /dev/shm | tail -1").out.split()[1] == "65536"


def test_limits_are_set(any_host: Host) -> None:
    assert any_host.run("ulimit -n; ulimit -Hn", options=RunOptions(ulimits=(("nofile", 111, 222),))).out.split() == [
        "111",
        "222",
    ]


def test_the_umask_is_022(any_host: Host) -> None:
    assert any_host.run("umask").out == "0022\n"


def test_home_comes_from_the_images_passwd(any_host: Host) -> None:
    assert any_host.run("echo $HOME").out == "/root\n"


@pytest.mark.parametrize(("uid", "home"), [(0, "/root"), (1000, "/home/alice"), (4242, "/")])
def test_home_is_that_of_the_number_though_only_root_may_read_the_file(any_host: Host, uid: int, home: str) -> None:
    def prepare(area: str, rootfs: Any) -> dict[str, Any]:
        text = "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/second:/bin/sh\nalice:x:1000:1000::/home/alice\n"
        passwd = write(f"{top(rootfs)}/etc/passwd", text)
        os.chmod(passwd, 0o600)
        return {"uid": uid, "gid": uid}

    assert in_place(any_host, prepare, "echo $HOME").out == f"{home}\n"


@pytest.mark.parametrize("target", ["", "/proc/kmsg", "/proc/self/mem", "/dev/zero", "passwd"])
def test_attack_home_of_an_image_whose_passwd_leads_elsewhere(any_host: Host, target: str) -> None:
    def prepare(area: str, rootfs: Any) -> dict[str, Any]:
        passwd = write(f"{top(rootfs)}/etc/passwd", "")
        os.unlink(passwd)
        if target:
            os.symlink(target, passwd)
        else:
            os.mkdir(passwd)
        return {}

    assert in_place(any_host, prepare, "echo $HOME").out == "/\n"


def test_cve_2024_9676_a_pipe_as_passwd_does_not_hang(root_host: Host) -> None:
    def work(sandbox: Sandbox, _: object) -> object:
        rootfs = root_host.new_root()
        os.makedirs(top(rootfs) + "/etc")
        os.mkfifo(top(rootfs) + "/etc/passwd")
        return run_in(sandbox, root_host, rootfs=rootfs, argv=("/bin/sh", "-c", "echo $HOME"))

    assert root_host.do(work).out == "/\n"


def test_cve_2024_21626_a_working_directory_outside_is_refused(host: Host) -> None:
    for number in range(3, 12):
        outcome = host.run("pwd; ls", cwd=f"/proc/self/fd/{number}")
        assert outcome.error or outcome.code != 0
        assert "busybox" not in outcome.out


def test_a_module_in_the_image_is_not_imported(root_host: Host) -> None:
    """The set-up is a Python program that changes its root: what it would import afterwards is the image's."""
    import encodings

    def work(sandbox: Sandbox, _: object) -> object:
        rootfs = root_host.new_root()
        folder = top(rootfs) + os.path.dirname(encodings.__file__)
        os.makedirs(folder)
        for name in ("idna", "ascii", "cp1252", "punycode"):
            with open(f"{folder}/{name}.py", "w", encoding="utf-8") as file:
                file.write("open('/attacked', 'w')")
        return run_in(sandbox, root_host, rootfs=rootfs, argv=("/bin/true",), uid=1000)

    assert not [path for path in root_host.do(work).upper if path == "attacked"]


def test_insecure_has_all_capabilities_and_devices(root_host: Host) -> None:
    outcome = root_host.run(
        "grep CapEff /proc/self/status; mount -t tmpfs none /tmp && echo mounted; ls /dev | wc -l", insecure=True
    )
    words = outcome.out.split()
    assert int(words[1], 16) & (1 << 21)
    assert "mounted" in words
    assert int(words[-1]) > 20


def test_a_directory_root_works_as_well_and_stays_clean(root_host: Host) -> None:
    def work(sandbox: Sandbox, _: object) -> object:
        area = root_host.folder + "/plain"
        os.system(f"cp -a {root_host.base()} {area}")
        before = facts(area)
        outcome = run_in(
            sandbox,
            root_host,
            rootfs=DirectoryRoot(area),
            argv=("/bin/sh", "-c", "cat /etc/hosts; ls -d /proc/1 /sys/kernel"),
        )
        return outcome, before == facts(area)

    outcome, same = root_host.do(work)
    assert outcome.code == 0
    assert "localhost" in outcome.out
    assert same
