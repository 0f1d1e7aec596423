"""Where a run's packets go: as each kind of user, in each isolation, through each program, in a world of its own."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from builder.linux.capabilities import effective_mask, mask, set_capabilities
from builder.oci.run_options import RunOptions
from builder.sandbox.choose import choose_isolation, open_sandbox
from builder.sandbox.namespace import BuildNamespace, NoNamespace
from builder.sandbox.network import build_network as room
from builder.sandbox.runner import Sandbox
from tests.sandbox.host import Host, Outcome, run_in
from tests.support.small_world import ABSTRACT, PORT, SmallWorld

PROGRAMS = ("pasta", "slirp4netns")
NET_RAW = 1 << 13
ASK = f"timeout 9 wget -qO- http://{{}}:{PORT}/"
OUTSIDE = ASK.format("10.77.0.1")
# Loopback, the machine as slirp4netns and pasta show it when they are allowed to, and its own address on the line.
MACHINE = ("127.0.0.1", "127.0.0.53", "[::1]", "10.0.2.2", "[fd00::2]", "169.254.1.1", "169.254.1.2", "169.254.2.2")


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A PATH that has one of the programs, and a runtime."""
    return path_with(tmp_path, request.param)


def path_with(folder: Path, *programs: str) -> str:
    folder.chmod(0o755)
    for parent in folder.parents[:3]:
        parent.chmod(0o755)
    for name in (*programs, "crun", "runc"):
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
        else:
            assert name not in programs, f"{name} is not installed (.ci/peers does it)"
    return str(folder)


@pytest.fixture
def connected(any_host: Host, program: str) -> Host:
    return replace(any_host, world=SmallWorld(), path=program)


@pytest.fixture
def root_connected(root_host: Host, program: str) -> Host:
    return replace(root_host, world=SmallWorld(), path=program)


def test_connections_out_work(connected: Host) -> None:
    outcome = connected.run(OUTSIDE)
    assert (outcome.out, outcome.error) == ("outside\n", "")


def test_nothing_of_this_machine_is_reached(connected: Host) -> None:
    script = "; ".join(f"timeout 1 wget -qO- http://{address}:{PORT}/" for address in MACHINE)
    assert connected.run(f"{script}; {OUTSIDE}").out == "outside\n"


def test_its_interfaces_are_its_own(root_connected: Host) -> None:
    out = root_connected.run("tail -n +3 /proc/net/dev | cut -d: -f1; ls /sys/class/net").out
    assert out.split() == ["lo", "eth0", "eth0", "lo"]


def test_abstract_sockets_of_this_machine_are_not_there(root_connected: Host) -> None:
    seen = "grep -c @" + ABSTRACT + " /proc/net/unix"
    assert root_connected.run(seen).out == "0\n"
    assert root_connected.run(seen, network="host").out == "1\n"


@pytest.mark.parametrize(
    "servers", ["10.77.0.1", "127.0.0.53", "127.0.0.53 10.77.0.1", "10.77.0.1 127.0.0.53", "10.77.0.2"]
)
def test_names_are_found(root_connected: Host, servers: str) -> None:
    """127.0.0.53 is this machine's loopback (systemd-resolved); 10.77.0.2 its own address, where nobody answers."""
    text = "search x.test\n" + "".join(f"nameserver {server}\n" for server in servers.split())
    host = replace(root_connected, world=SmallWorld(resolv_conf=text))
    outcome = host.run("nslookup db.x.test; cat /etc/resolv.conf")
    assert ("10.77.0.1" in outcome.out.partition("db.x.test")[2]) == (servers != "10.77.0.2"), outcome.out
    assert "search x.test" in outcome.out
    assert "nameserver 127." not in outcome.out
    assert "nameserver 10.77.0.2" not in outcome.out


@pytest.mark.parametrize("isolation", ["native", "oci", "chroot"])
def test_names_are_found_in_every_isolation(root_connected: Host, isolation: str) -> None:
    world = SmallWorld(resolv_conf="nameserver 127.0.0.53\n")
    outcome = replace(root_connected, world=world, isolation=isolation).run("nslookup db.test")
    assert "10.77.0.1" in outcome.out.partition("db.test")[2]


def test_ipv6_goes_out_where_there_is_any(root_connected: Host) -> None:
    wait = f"i=0; while [ $i -lt 40 ] && ! {ASK.format('[fd77::1]')}; do sleep 0.1; i=$((i + 1)); done"
    assert root_connected.run(wait).out == "outside\n"
    assert replace(root_connected, world=SmallWorld(route6=False)).run(OUTSIDE).out == "outside\n"


@pytest.mark.parametrize("route6", [True, False])
def test_what_the_machine_reaches_without_a_default_route_a_run_reaches(root_connected: Host, route6: bool) -> None:
    world = SmallWorld(route4=False, route6=route6, resolv_conf="nameserver 127.0.0.53\n")
    outcome = replace(root_connected, world=world).run(f"{OUTSIDE}; nslookup db.test")
    assert outcome.out.startswith("outside\n"), outcome
    assert "10.77.0.1" in outcome.out.partition("db.test")[2]


def test_all_runs_of_a_build_share_one_and_builds_do_not(root_connected: Host) -> None:
    def work(sandbox: Sandbox, _: BuildNamespace) -> list[str]:
        see = ("/bin/sh", "-c", "readlink /proc/self/ns/net")
        return [run_in(sandbox, root_connected, argv=see).out for _ in range(2)] + [os.readlink("/proc/self/ns/net")]

    first, again, own = root_connected.do(work)
    other = root_connected.do(work)[0]
    assert first == again
    assert len({first.strip(), own, other.strip()}) == 3


def test_root_of_an_entered_user_namespace_has_it_too(hosts: dict[str, Host], program: str) -> None:
    host = replace(hosts["ranges"], world=SmallWorld(), path=program, is_inside=True)
    outcome = host.run(f"{ASK.format('127.0.0.1')}; {OUTSIDE}")
    assert (outcome.out, outcome.error) == ("outside\n", "")


def test_the_programs_end_with_the_sandbox(root_connected: Host) -> None:
    def work(sandbox: Sandbox, _: BuildNamespace) -> tuple[int, int]:
        run_in(sandbox, root_connected, argv=("/bin/true",))
        during = len(list(helpers(os.readlink("/proc/self/ns/net"))))
        sandbox.close()
        return during, len(list(helpers(os.readlink("/proc/self/ns/net"))))

    during, after = root_connected.do(work)
    assert during > 0
    assert after == 0


def test_the_programs_end_when_the_program_is_killed(root_connected: Host) -> None:
    def work(sandbox: Sandbox, _: BuildNamespace) -> tuple[int, bool]:
        pid = os.fork()
        # The child cannot use the fork server of its parent, so that is what is killed, as the kernel does it when the
        # main process goes away (test_fork_server.py).
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        run_in(sandbox, root_connected, argv=("/bin/true",))
        here = os.readlink("/proc/self/ns/net")
        during = len(list(helpers(here)))
        os.kill(sandbox._fork_server.pid, signal.SIGKILL)  # type: ignore[attr-defined]
        deadline = time.monotonic() + 10
        while list(helpers(here)) and time.monotonic() < deadline:
            time.sleep(0.02)
        return during, not list(helpers(here))

    during, gone = root_connected.do(work)
    assert during > 0
    assert gone


def helpers(network: str) -> Iterator[int]:
    """The processes of pasta and slirp4netns in a network namespace."""
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes()
            if os.readlink(f"/proc/{name}/ns/net") == network and b"/ns/net" in words:
                yield int(name)
        except OSError:
            continue


@pytest.mark.parametrize(
    ("programs", "world", "reason"),
    [
        ((), SmallWorld(), "neither pasta nor slirp4netns is installed"),
        (PROGRAMS, SmallWorld(tun_mode=None), "/dev/net/tun cannot be opened (No such file or directory)"),
    ],
)
def test_where_there_is_none_the_machines_is_shared_and_nothing_can_be_listened_to(
    any_host: Host, tmp_path: Path, programs: tuple[str, ...], world: SmallWorld, reason: str
) -> None:
    host = replace(any_host, world=world, path=path_with(tmp_path, *programs))

    def work(sandbox: Sandbox, _: BuildNamespace) -> tuple[str, str, str]:
        reached = run_in(sandbox, host, argv=("/bin/sh", "-c", ASK.format("127.0.0.1"))).out
        listened = run_in(sandbox, host, argv=("/bin/arping", "-c", "1", "-I", "lo", "127.0.0.1"))
        return sandbox.network.shared_reason, reached, listened.err + listened.error

    found, reached, listened = host.do(work)
    assert reason in found
    assert reached == "machine\n"
    assert "Operation not permitted" in listened


def test_an_ordinary_user_who_may_not_open_tun_shares_the_machines(hosts: dict[str, Host], tmp_path: Path) -> None:
    world = SmallWorld(tun_mode=0o600)
    host = replace(hosts["ranges"], world=world, path=path_with(tmp_path, "pasta"))
    reason = host.do(lambda sandbox, _: sandbox.network.shared_reason)
    assert reason == "/dev/net/tun cannot be opened (Permission denied)"
    assert host.run(ASK.format("127.0.0.1")).out == "machine\n"


def test_the_machines_network_can_be_asked_for_with_all_that_docker_gives(root_connected: Host) -> None:
    outcome = root_connected.run(f"{ASK.format('127.0.0.1')}; grep CapEff /proc/self/status", network="host")
    assert outcome.out.startswith("machine\n")
    assert int(outcome.out.split()[-1], 16) & NET_RAW


@pytest.mark.parametrize("isolation", ["native", "oci", "chroot"])
def test_none_is_none(root_connected: Host, isolation: str) -> None:
    host = replace(root_connected, isolation=isolation)
    script = f"{ASK.format('127.0.0.1')}; {OUTSIDE}; readlink /proc/self/ns/net; ip -o link | cut -d: -f2; echo end"
    outcome = host.run(script, network="none")
    assert (outcome.out.split()[-2:], "outside" in outcome.out, "machine" in outcome.out) == (
        ["lo", "end"],
        False,
        False,
    )


def test_none_is_refused_where_it_cannot_be_had(root_host: Host) -> None:
    """As root of a plain container; a filter of system calls would leave abstract sockets and io_uring."""
    host = replace(root_host, isolation="chroot")

    def work(_: Sandbox, namespace: BuildNamespace) -> tuple[Outcome, Outcome]:
        set_capabilities(effective_mask() & ~mask(frozenset({"SYS_ADMIN"})))
        chroot, _choice = open_sandbox("chroot", namespace=NoNamespace("a plain container"), store=host.folder)
        try:
            return tuple(  # type: ignore[return-value]
                run_in(chroot, host, argv=("/bin/echo", "ran"), network=network) for network in ("none", "default")
            )
        finally:
            chroot.close()

    none, default = host.do(work)
    assert (none.out, none.error) == ("", "a network without connections cannot be had here: Operation not permitted")
    assert default.out == "ran\n"


FAULTS = {
    "ends": ("echo 'Failed to send 5 bytes to syslog'; echo no way >&2; exit 1", "(exit code 1): no way"),
    "is killed": ("kill -9 $$", "killed by signal 9"),
    "cannot be executed": (None, "Exec format error"),
    "does not get ready": ("sleep 100", "it was not ready after 1 seconds"),
    "ends at once": ("exit 0", "has ended"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("isolation", ["native", "oci", "chroot"])
def test_a_program_that_fails_is_an_error_and_never_the_machines_network(
    root_host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, isolation: str
) -> None:
    script, words = FAULTS[fault]
    path = path_with(tmp_path)
    pasta = tmp_path / "pasta"
    pasta.write_bytes(b"\x7fELF" if script is None else f"#!/bin/sh\n{script}\n".encode())
    pasta.chmod(0o755)
    monkeypatch.setattr(room, "_LONGEST_SECONDS", 1.0)
    host = replace(root_host, world=SmallWorld(), path=path, isolation=isolation)

    def work(sandbox: Sandbox, _: BuildNamespace) -> list[Outcome]:
        found = []
        for _again in range(3):
            found.append(run_in(sandbox, host, argv=("/bin/echo", "ran")))
            time.sleep(0.1)
        return [*found, run_in(sandbox, host, argv=("/bin/echo", "ran"), network="none")]

    first, again, third, none = host.do(work)
    errors = [one.error for one in (first, again, third) if one.error]
    assert errors, "no run failed"
    assert all("no network for RUN" in error and words in error for error in errors)
    assert "ran" not in third.out
    assert none.out == "ran\n"


def test_a_program_that_ends_later_is_an_error_of_the_next_run(root_connected: Host) -> None:
    def work(sandbox: Sandbox, _: BuildNamespace) -> tuple[Outcome, Outcome]:
        before = run_in(sandbox, root_connected, argv=("/bin/echo", "ran"))
        for pid in helpers(os.readlink("/proc/self/ns/net")):
            os.kill(pid, signal.SIGKILL)
        time.sleep(1)
        return before, run_in(sandbox, root_connected, argv=("/bin/echo", "ran"))

    before, after = root_connected.do(work)
    assert before.out == "ran\n"
    assert after.out == ""
    assert "which connects RUN with the network, has ended" in after.error


def test_info_tries_the_network(root_connected: Host, tmp_path: Path) -> None:
    def work(sandbox: Sandbox, namespace: BuildNamespace) -> str:
        return choose_isolation(None, namespace=namespace, store=root_connected.folder).network

    assert root_connected.do(work) == f"one of the build's own, through {root_connected.path}/" + (
        "pasta" if os.path.exists(f"{root_connected.path}/pasta") else "slirp4netns"
    )
    broken = replace(root_connected, world=SmallWorld(tun_mode=None))
    assert broken.do(work).startswith("this machine's, without CAP_NET_RAW: /dev/net/tun cannot be opened")


def test_the_address_of_this_machine_is_docker_s_word_only_where_there_is_a_way_to_it(root_connected: Host) -> None:
    hosts = (("gate", "host-gateway"),)
    assert (
        "127.0.0.1\tgate\n"
        in root_connected.run("cat /etc/hosts", network="host", options=RunOptions(add_hosts=hosts)).out
    )
    assert root_connected.run("true", options=RunOptions(add_hosts=hosts)).error.startswith(
        "host-gateway has no address"
    )
