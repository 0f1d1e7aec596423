"""The files of /etc that belong to the machine and not to the image: resolv.conf and hosts.

They are mounted, read-only, over whatever the image has, as BuildKit does; /etc/hostname is the image's own.
"""

from __future__ import annotations

from collections.abc import Sequence

RESOLV_CONF = "/etc/resolv.conf"
HOSTS = "/etc/hosts"

_FALLBACK = "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"
"""What BuildKit writes for a machine that names no server."""

_IPV6_NAMES = "::1\tlocalhost ip6-localhost ip6-loopback\n"


def resolv_conf(path: str = RESOLV_CONF) -> str:
    """The machine's resolver configuration; the run shares its network, so loopback servers work too."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except OSError:
        return _FALLBACK
    return text if "nameserver" in text else text + _FALLBACK


def hosts(hostname: str, add_hosts: Sequence[tuple[str, str]]) -> str:
    """The text of /etc/hosts, `add_hosts` being (host, address) pairs."""
    extra = "".join(f"{address}\t{host}\n" for host, address in add_hosts)
    return f"127.0.0.1\tlocalhost {hostname}\n{_IPV6_NAMES}{extra}"
