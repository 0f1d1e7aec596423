"""EXPOSE's ports: `80`, `80/udp`, `8000-8010`, and docker run's `ip:host:container`, of which the last part counts."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from builder.errors import Location, PlanError

PROTOCOLS = ("tcp", "udp", "sctp")
_LARGEST_PORT = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSpec:
    """One word of EXPOSE. `first` and `last` are container ports; `protocol` is in lower case."""

    first: int
    last: int
    protocol: str
    written_protocol: str = ""

    def ports(self) -> tuple[str, ...]:
        """Return `port/protocol` for each port of the range, as the image config holds them."""
        return tuple(f"{port}/{self.protocol}" for port in range(self.first, self.last + 1))


def parse_port(text: str, location: Location | None = None) -> PortSpec:
    """Read one expanded word. Raises PlanError with BuildKit's wording."""
    parts = text.split(":")
    address, host, container = ":".join(parts[:-2]), parts[-2] if len(parts) > 1 else "", parts[-1]
    port, _, written_protocol = container.partition("/")
    protocol = written_protocol.lower() or "tcp"
    if not port:
        raise PlanError(
            f'invalid port: "{text}": no port specified', location, hint="Write EXPOSE 80 or EXPOSE 80/udp."
        )
    if protocol not in PROTOCOLS:
        hint = f"The protocol is one of {', '.join(PROTOCOLS)}."
        raise PlanError(f'invalid port: "{text}": invalid proto: {written_protocol}', location, hint=hint)
    _check_address(address, location)
    container_range = _parse_range(port)
    if container_range is None:
        hint = "A port is a number from 0 to 65535, a range is two of them: 8000-8010."
        raise PlanError(f"invalid containerPort: {port}", location, hint=hint)
    _check_host(host, port, container_range, location)
    first, last = container_range
    return PortSpec(first=first, last=last, protocol=protocol, written_protocol=written_protocol)


def _check_address(address: str, location: Location | None) -> None:
    if not address:
        return
    try:
        ipaddress.ip_address(address[1:-1] if address.startswith("[") and address.endswith("]") else address)
    except ValueError:
        raise PlanError(f"invalid IP address: {address}", location) from None


def _check_host(host: str, port: str, container: tuple[int, int], location: Location | None) -> None:
    if not host:
        return
    host_range = _parse_range(host)
    if host_range is None:
        raise PlanError(f"invalid hostPort: {host}", location)
    # A host range may serve one container port: docker picks a free one of it.
    if host_range[1] - host_range[0] != container[1] - container[0] and container[0] != container[1]:
        raise PlanError(f"invalid ranges specified for container and host Ports: {port} and {host}", location)


def _parse_range(text: str) -> tuple[int, int] | None:
    match = re.fullmatch(r"0*([0-9]{1,5})(?:-0*([0-9]{1,5}))?", text, re.ASCII)
    if match is None:
        return None
    first = int(match[1])
    last = int(match[2]) if match[2] is not None else first
    return (first, last) if first <= last <= _LARGEST_PORT else None
