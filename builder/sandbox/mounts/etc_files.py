"""The files of /etc that belong to the machine and not to the image: resolv.conf and hosts.

They are mounted, read-only, over whatever the image has, as BuildKit does; /etc/hostname is the image's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

RESOLV_CONF = "/etc/resolv.conf"
HOSTS = "/etc/hosts"

_FALLBACK = "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"
"""What BuildKit writes for a machine that names no server."""

_IPV6_NAMES = "::1\tlocalhost ip6-localhost ip6-loopback\n"


_NAMESERVER = re.compile(r"nameserver[ \t]+(\S+)")


def resolv_conf(path: str = RESOLV_CONF) -> str:
    """The machine's resolver configuration, as it is for a run that shares its network."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except OSError:
        return _FALLBACK
    return text if "nameserver" in text else text + _FALLBACK


def split_servers(text: str, is_local: Callable[[str], bool]) -> tuple[str, tuple[str, ...]]:
    """Return the server that is to be asked on behalf of a run with a network of its own, and all local ones.

    A server is local when only this machine reaches it. The one to be asked is the first with an IPv4 address, or else
    the first, as pasta and slirp4netns have it; it is "" where that one is not local, and so reached by the run itself.
    """
    servers = [match[1] for line in text.splitlines() if (match := _NAMESERVER.match(line))]
    local = tuple(server for server in servers if is_local(server))
    first = next((server for server in servers if ":" not in server), servers[0] if servers else "")
    return (first if first in local else ""), local


def replace_servers(text: str, asked: str, forward: str, local: Sequence[str]) -> str:
    """Put the address `forward` in place of the server `asked`, and leave out the others in `local`."""
    lines = []
    for line in text.splitlines(keepends=True):
        server = match[1] if (match := _NAMESERVER.match(line)) else ""
        if server and server == asked:
            lines.append(f"nameserver {forward}\n")
            # Once: further lines that name it would have it asked twice.
            asked = ""
        elif not server or server not in local:
            lines.append(line)
    return "".join(lines)


def hosts(hostname: str, add_hosts: Sequence[tuple[str, str]]) -> str:
    """The text of /etc/hosts, `add_hosts` being (host, address) pairs."""
    extra = "".join(f"{address}\t{host}\n" for host, address in add_hosts)
    return f"127.0.0.1\tlocalhost {hostname}\n{_IPV6_NAMES}{extra}"
