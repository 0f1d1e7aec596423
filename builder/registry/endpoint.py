"""Where a repository answers: a registry name → host and scheme, and what registries.conf says of it.

Loopback names speak plain HTTP, everything else HTTPS, unless registries.conf calls it insecure.
In: `docker.io`, `localhost:5000`, `[::1]:5000`, with a repository. Out: `Endpoint`s, for a pull mirrors first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from builder.errors import RegistryError
from builder.oci.reference import DEFAULT_REGISTRY, Reference
from builder.registry.configuration import Configuration, Mirror, load_configuration
from builder.web.address import is_loopback

_HUB_HOST = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`host` may carry a port. `insecure` allows unverified TLS and, failing that, plain HTTP.

    `registry` and `repository` are those of the place itself, a mirror's for a mirror: credentials are found by them.
    """

    registry: str
    host: str
    scheme: str
    insecure: bool = False
    repository: str = ""
    is_mirror: bool = False

    def url(self, path: str) -> str:
        return f"{self.scheme}://{self.host}{path}"

    def path(self, rest: str) -> str:
        """Return the URL of something of the repository: `manifests/latest`, `blobs/uploads/`."""
        return self.url(f"/v2/{self.repository}/{rest}")


def endpoint_of(
    registry: str,
    repository: str = "",
    environ: Mapping[str, str] = os.environ,
    configuration: Configuration | None = None,
) -> Endpoint:
    """Return where `registry` itself answers, for a push. Raises RegistryError when the configuration blocks it.

    Without the `configuration` it is read.
    """
    rule = (configuration or load_configuration(environ)).rule_for(f"{registry}/{repository}")
    if rule is not None and rule.blocked:
        raise RegistryError(f"registry {registry} is blocked by registries.conf", hint="Use another registry.")
    return _endpoint(registry, repository, rule is not None and rule.insecure)


def pull_endpoints(
    reference: Reference, environ: Mapping[str, str] = os.environ, configuration: Configuration | None = None
) -> tuple[Endpoint, ...]:
    """Return where a reference can be had, in the order to ask: mirrors, then its location. Raises RegistryError."""
    configuration = configuration or load_configuration(environ)
    own = endpoint_of(reference.registry, reference.repository, environ, configuration)
    rule = configuration.rule_for(reference.name)
    if rule is None:
        return (own,)
    rest = reference.name[rule.length_in(reference.name) or 0 :]
    places = [
        _located(mirror.location + rest, mirror.insecure, is_mirror=True)
        for mirror in rule.mirrors
        if _serves(mirror, reference)
    ]
    if rule.location and rule.location != rule.prefix:
        own = _located(rule.location + rest, rule.insecure, is_mirror=False)
    return (*places, own)


def _serves(mirror: Mirror, reference: Reference) -> bool:
    return mirror.pull_from == "all" or (mirror.pull_from == "digest-only") == (reference.digest is not None)


def _located(name: str, insecure: bool, *, is_mirror: bool) -> Endpoint:
    registry, _, repository = name.partition("/")
    if not repository:
        raise RegistryError(f"registries.conf leads to {name!r:.200}, which names no repository")
    return _endpoint(registry, repository, insecure, is_mirror)


def _endpoint(registry: str, repository: str, insecure: bool, is_mirror: bool = False) -> Endpoint:
    if is_loopback(registry):
        return Endpoint(registry, registry, "http", False, repository, is_mirror)
    host = _HUB_HOST if registry == DEFAULT_REGISTRY else registry
    return Endpoint(registry, host, "https", insecure, repository, is_mirror)
