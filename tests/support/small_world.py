"""A machine with a network of its own, for tests that look where packets go: nothing leaves it.

    this process ("the machine")            10.77.0.2, fd77::2 ── veth ── 10.77.0.1, fd77::1   outside
    http://127.0.0.1:8080, http://[::1]:8080 say "machine",                 port 8080 says "outside",
    "@pybuild-test" is an abstract socket; name server at 127.0.0.53        name server at port 53

Every name is 10.77.0.1. /dev/net/tun may be used by everybody, as udev has it. Everything ends with this process.
Run as a program it goes there and executes its arguments: `python -m tests.support.small_world pybuild …`.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from builder.linux.mount import make_private, mount
from builder.linux.network import bring_loopback_up, enter_new_network
from builder.linux.process import CLONE_NEWNET, CLONE_NEWNS, PR_SET_PDEATHSIG, close_all_except, prctl, unshare
from tests.support.busybox import BUSYBOX

PORT = 8080
ABSTRACT = "pybuild-test"
_MACHINE4, _OUTSIDE4 = "10.77.0.2", "10.77.0.1"
_MACHINE6, _OUTSIDE6 = "fd77::2", "fd77::1"
_MS_BIND = 4096
_IP_FREEBIND = 15  # man 7 ip
_serve_forever: list[socket.socket] = []


@dataclass(frozen=True)
class SmallWorld:
    resolv_conf: str = "nameserver 10.77.0.1\n"
    route4: bool = True
    route6: bool = True
    tun_mode: int | None = 0o666
    """None for a machine without /dev/net/tun."""

    def enter(self) -> None:
        """Go there, as root and for good."""
        unshare(CLONE_NEWNS | CLONE_NEWNET)
        make_private()
        self._furnish()
        bring_loopback_up()
        _set_no_dad()
        there, outside = _fork(_be_outside)
        assert there.recv(1) == b"x", "the outside has no network namespace"
        _ip("link add v0 type veth")
        _ip(f"link set veth0 netns {outside}")
        _ip("link set v0 up")
        there.send(b"x")
        assert there.recv(1) == b"x", "the outside did not come up"
        for address in (f"{_MACHINE4}/24", f"{_MACHINE6}/64"):
            _ip(f"addr add {address} dev v0")
        if self.route4:
            _ip(f"route add default via {_OUTSIDE4} dev v0")
        if self.route6:
            _ip(f"-6 route add default via {_OUTSIDE6} dev v0")
        servers, _ = _fork(_be_servers)
        assert servers.recv(1) == b"x", "the machine's servers did not come up"

    def _furnish(self) -> None:
        mount("tmpfs", "/dev/net", "tmpfs", 0, "mode=755")
        if self.tun_mode is not None:
            os.mknod("/dev/net/tun", stat.S_IFCHR, os.makedev(10, 200))
            os.chmod("/dev/net/tun", self.tun_mode)
        descriptor, path = tempfile.mkstemp()
        os.write(descriptor, self.resolv_conf.encode())
        os.chmod(path, 0o644)
        mount(path, os.path.realpath("/etc/resolv.conf"), "", _MS_BIND, "")
        os.unlink(path)


def _ip(words: str) -> None:
    subprocess.run([BUSYBOX, "ip", *words.split()], check=True, capture_output=True)


def _set_no_dad() -> None:
    """Addresses are there at once: nobody else is on this line."""
    with open("/proc/sys/net/ipv6/conf/default/accept_dad", "w", encoding="ascii") as file:
        file.write("0")


def _fork(work: Callable[[socket.socket], None]) -> tuple[socket.socket, int]:
    """Start a process that does `work` with a socket to this one, and then lives as long as this one."""
    here, there = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            parent = os.pidfd_open(os.getppid())
            close_all_except(frozenset((0, 1, 2, there.fileno(), parent)))
            work(there)
            # A parent that has become another user cannot signal us when it dies (man 2 kill).
            select.select([parent], [], [])
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    there.close()
    return here, pid


def _be_outside(machine: socket.socket) -> None:
    enter_new_network()
    _set_no_dad()
    machine.send(b"x")
    machine.recv(1)
    for address in (f"{_OUTSIDE4}/24", f"{_OUTSIDE6}/64"):
        _ip(f"addr add {address} dev veth0")
    _ip("link set veth0 up")
    for address in (_OUTSIDE4, _OUTSIDE6):
        _serve(address, b"outside\n")
    machine.send(b"x")


def _be_servers(machine: socket.socket) -> None:
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(f"\0{ABSTRACT}")
    abstract.listen()
    _serve_forever.append(abstract)
    for address in ("127.0.0.1", "127.0.0.53", "::1"):
        _serve(address, b"machine\n")
    machine.send(b"x")


def _serve(address: str, text: bytes) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family)
    names = socket.socket(family, socket.SOCK_DGRAM)
    for one, port in ((listener, PORT), (names, 53)):
        one.setsockopt(socket.SOL_IP, _IP_FREEBIND, 1)  # an IPv6 address of a line that just came up is not there yet
        one.bind((address, port))
    listener.listen()
    threading.Thread(target=_answer_connections, args=(listener, text), daemon=True).start()
    threading.Thread(target=_answer_names, args=(names,), daemon=True).start()


def _answer_connections(listener: socket.socket, text: bytes) -> None:
    while True:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(1500)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + text)


def _answer_names(names: socket.socket) -> None:
    """One address for every name (RFC 1035, section 4.1)."""
    while True:
        query, asker = names.recvfrom(1500)
        question_end = query.index(b"\0", 12) + 5
        has_address = query[question_end - 4 : question_end - 2] == b"\0\x01"
        answer = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04" + socket.inet_aton(_OUTSIDE4) if has_address else b""
        counts = b"\0\x01" + (b"\0\x01" if has_address else b"\0\0") + b"\0\0\0\0"
        names.sendto(query[:2] + b"\x81\x80" + counts + query[12:question_end] + answer, asker)


if __name__ == "__main__":
    SmallWorld().enter()
    os.execvp(sys.argv[1], sys.argv[1:])
