"""Network namespaces (man 7): a new one, one that somebody else made, and what the machine's own offers.

Whoever enters one needs CAP_SYS_ADMIN in the user namespace that owns it.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress

from builder.linux.libc import call
from builder.linux.process import CLONE_NEWNET, unshare

TUN = "/dev/net/tun"
"""What a program opens that is to move the packets of a namespace."""

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1  # linux/sockios.h, linux/if.h
_RTF_UP = 0x1  # linux/route.h
_ROUTES4, _ROUTES6 = "/proc/net/route", "/proc/net/ipv6_route"


def enter_new_network() -> None:
    """Move this process into a new network namespace, in which only loopback is there, and up. Raises OSError."""
    unshare(CLONE_NEWNET)
    bring_loopback_up()


def join_network(namespace: int) -> None:
    """Move this process into the network namespace that is open at the descriptor. Raises OSError."""
    call("setns", namespace, CLONE_NEWNET)


def bring_loopback_up() -> None:
    """Switch on "lo" of a new network namespace. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh22x", b"lo", 0)
        flags = struct.unpack("16sh22x", fcntl.ioctl(control, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | _IFF_UP))


def why_no_tun() -> str:
    """Why this process may not move packets through /dev/net/tun, or "" when it may."""
    try:
        os.close(os.open(TUN, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{TUN} cannot be opened ({error.strerror})"
    return ""


def has_default_route4() -> bool:
    """Whether IPv4 packets for anywhere leave the network of this process."""
    for name, destination, _, flags, _, _, _, mask in _routes(_ROUTES4, 8):
        if name != "lo" and int(flags, 16) & _RTF_UP and int(destination, 16) == int(mask, 16) == 0:
            return True
    return False


def has_default_route6() -> bool:
    """Whether IPv6 packets for anywhere leave the network of this process."""
    for destination, length, _, _, _, _, _, _, flags, name in _routes(_ROUTES6, 10):
        if name != "lo" and int(flags, 16) & _RTF_UP and int(destination, 16) == int(length, 16) == 0:
            return True
    return False


def is_own_address(address: str) -> bool:
    """Whether an IP address is this machine's: loopback, or of one of its interfaces. False when it is no address."""
    with suppress(OSError, ValueError):
        family, kind, protocol, _, place = socket.getaddrinfo(
            address, 0, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(place)  # only an address of this machine can be bound (man 2 bind, EADDRNOTAVAIL)
            return True
    return False


def _routes(path: str, columns: int) -> Iterator[list[str]]:
    """The lines of a table of routes; none where the kernel has no such protocol."""
    with suppress(OSError), open(path, encoding="ascii") as file:
        for line in file:
            words = line.split()
            if len(words) >= columns and words[0] != "Iface":
                yield words[:columns]
