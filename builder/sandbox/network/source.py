"""Where a RUN that asks for no network in particular gets one from: a namespace of the build's own, or the machine.

    OwnNetwork       a network namespace that pasta or slirp4netns connects with the outside, as rootless podman has it:
                     connections out work, this machine's loopback and abstract sockets are not reached
    SharedNetwork    neither program is here, or may not work here: the machine's network, without CAP_NET_RAW

Both programs translate the namespace's packets into sockets of an ordinary process (man 1 pasta, man 1 slirp4netns).
Nothing is started here: whoever wants a network gets the command line (keeper.py).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from builder.linux.network import has_default_route4, has_default_route6, is_own_address, why_no_tun
from builder.sandbox.mounts.etc_files import replace_servers, resolv_conf, split_servers
from builder.sandbox.namespace import BuildNamespace, NoNamespace

INTERFACE = "eth0"
"""The name in the namespace, as docker has it: that of the machine's interface concerns no RUN."""

NAMESPACE = "NAMESPACE"
"""Stands among the arguments where the path of the namespace belongs."""

READY = 3
"""The descriptor at which a program that is given it says that it is ready; the others end their first process."""

_LINK4, _ROUTER4 = "169.254.2.1", "169.254.2.2"  # as pasta's "local mode" of 2024 chooses
_LINK6, _ROUTER6 = "fd00::2", "fd00::1"
_PASTA_DNS4, _PASTA_DNS6 = "169.254.1.1", "fd00::3"  # the first as podman chooses
_SLIRP_DNS4, _SLIRP_DNS6 = "10.0.2.3", "fd00::3"  # as slirp4netns has them
_MAC = "02:00:00:00:00:01"

# No address and no port leads to this machine, and none of its ports into the namespace.
_PASTA = (
    *("--quiet", "--config-net", "--no-map-gw", "--no-netns-quit", "--runas", "0:0", "--ns-ifname", INTERFACE),
    *("--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none"),
)
_SLIRP = (
    *("--configure", "--mtu=65520", "--disable-host-loopback", "--enable-sandbox", "--enable-seccomp"),
    *("--netns-type=path", f"--ready-fd={READY}"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnNetwork:
    program: str
    """Path of pasta or slirp4netns."""

    arguments: tuple[str, ...]
    """What it is given, with NAMESPACE in place of a path that is not known yet."""

    resolv_conf: str
    """The text of /etc/resolv.conf: servers that only this machine reaches are asked through the program."""

    @property
    def name(self) -> str:
        return os.path.basename(self.program)


@dataclass(frozen=True, slots=True)
class SharedNetwork:
    reason: str
    """Why there is no network of its own."""


NetworkSource = OwnNetwork | SharedNetwork


def choose_network(namespace: BuildNamespace, path: str) -> NetworkSource:
    """Find out what there is here; `path` is a PATH. To be asked after `enter_build_namespace`; nothing is tried."""
    if isinstance(namespace, NoNamespace):
        return SharedNetwork(namespace.reason)
    pasta, slirp = find_program("pasta", path), find_program("slirp4netns", path)
    if not (pasta or slirp):
        return SharedNetwork("neither pasta nor slirp4netns is installed (Debian packages passt, slirp4netns)")
    if reason := why_no_tun():
        return SharedNetwork(reason)
    return _pasta(pasta) if pasta else _slirp(slirp)


def find_program(name: str, path: str) -> str:
    """The first file of that name on `path` (as $PATH) that may be executed, or ""."""
    candidates = (os.path.join(folder, name) for folder in path.split(":") if os.path.isabs(folder))
    return next((found for found in candidates if os.path.isfile(found) and os.access(found, os.X_OK)), "")


def _pasta(program: str) -> OwnNetwork:
    forward, text = _resolver(_PASTA_DNS4, _PASTA_DNS6)
    route6 = has_default_route6() or forward == _PASTA_DNS6
    arguments = [*_PASTA]
    if not has_default_route4():
        # Before 2024 it would not start, and it never gives a way to the address of the resolver. Sent to "lo", each
        # packet becomes a connection of this machine's, whose kernel knows what can be reached.
        arguments += ["-i", "lo", "-M", _MAC, "-a", _LINK4, "-n", "16", "-g", _ROUTER4]
        arguments += ["-a", _LINK6, "-g", _ROUTER6] if route6 else ["--ipv4-only"]
    arguments += ["--dns-forward", forward] if forward else []
    return OwnNetwork(program=program, arguments=(*arguments, "--netns", NAMESPACE), resolv_conf=text)


def _slirp(program: str) -> OwnNetwork:
    forward, text = _resolver(_SLIRP_DNS4, _SLIRP_DNS6)
    arguments = [*_SLIRP, *(["--enable-ipv6"] if has_default_route6() or forward == _SLIRP_DNS6 else [])]
    return OwnNetwork(program=program, arguments=(*arguments, NAMESPACE, INTERFACE), resolv_conf=text)


def _resolver(forward4: str, forward6: str) -> tuple[str, str]:
    """The address at which a program must answer for a server of this machine ("" for none), and resolv.conf."""
    text = resolv_conf()
    asked, local = split_servers(text, is_own_address)
    forward = "" if not asked else forward6 if ":" in asked else forward4
    return forward, replace_servers(text, asked, forward, local)
