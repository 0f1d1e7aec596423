"""Where a registry answers: host and scheme for a registry name, and what registries.conf says of it.

Loopback names speak plain HTTP, everything else HTTPS, unless containers-registries.conf(5) calls it insecure.
In: `docker.io`, `localhost:5000`, `[::1]:5000`. Out: `Endpoint`. Mirrors and rewritten locations are left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from builder.errors import RegistryError
from builder.oci.reference import DEFAULT_REGISTRY
from builder.web.address import is_loopback

_HUB_HOST = "registry-1.docker.io"
_MAX_CONFIGURATION_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`host` may carry a port. `insecure` allows unverified TLS and, failing that, plain HTTP."""

    registry: str
    host: str
    scheme: str
    insecure: bool = False

    def url(self, path: str) -> str:
        return f"{self.scheme}://{self.host}{path}"


def endpoint_of(registry: str, repository: str = "", environ: Mapping[str, str] = os.environ) -> Endpoint:
    """Return where `registry` answers. Raises RegistryError when the configuration blocks it."""
    if is_loopback(registry):
        return Endpoint(registry, registry, "http")
    settings = _settings(f"{registry}/{repository}", environ)
    if settings.get("blocked") is True:
        raise RegistryError(f"registry {registry} is blocked by registries.conf", hint="Use another registry.")
    host = _HUB_HOST if registry == DEFAULT_REGISTRY else registry
    return Endpoint(registry, host, "https", settings.get("insecure") is True)


def _settings(name: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the [[registry]] table with the longest prefix of `name`."""
    best: dict[str, Any] = {}
    best_length = -1
    for path in _configuration_files(environ):
        for table in _tables(path):
            prefix = table.get("prefix") or table.get("location")
            if isinstance(prefix, str) and len(prefix) > best_length and _covers(prefix, name):
                best, best_length = table, len(prefix)
    return best


def _covers(prefix: str, name: str) -> bool:
    if prefix.startswith("*."):
        return name.partition("/")[0].endswith(prefix[1:])
    return name == prefix or (name.startswith(prefix) and name[len(prefix)] in "/:@")


def _configuration_files(environ: Mapping[str, str]) -> Iterator[str]:
    if named := environ.get("CONTAINERS_REGISTRIES_CONF"):
        yield named
        return
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME", "/"), ".config")
    own = f"{home}/containers/registries.conf"
    yield own if os.path.exists(own) else "/etc/containers/registries.conf"
    for directory in ("/etc/containers/registries.conf.d", f"{home}/containers/registries.conf.d"):
        if os.path.isdir(directory):
            yield from sorted(f"{directory}/{name}" for name in os.listdir(directory) if name.endswith(".conf"))


def _tables(path: str) -> list[dict[str, Any]]:
    import tomllib  # only who has such a file pays for it

    try:
        with open(path, "rb") as file:
            document = tomllib.loads(file.read(_MAX_CONFIGURATION_BYTES).decode("utf-8", "replace"))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:
        raise RegistryError(f"{path} cannot be read: {error}", hint="Correct the file or unset it.") from error
    tables = document.get("registry")
    return [table for table in tables if isinstance(table, dict)] if isinstance(tables, list) else []
