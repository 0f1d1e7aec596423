"""Requests with the authorization that they turn out to need: Connection and Authorizer put together.

Another host than the registry's own, where a redirect or a Location leads, is asked without credentials.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from threading import Lock
from typing import TypeVar

from builder.errors import DigestMismatch, ImageError, PybuildError, RegistryError
from builder.oci.reference import Reference
from builder.registry.authorization import Authorizer, FindCredentials
from builder.registry.configuration import Configuration, load_configuration
from builder.registry.connection import Body, Connection, is_own
from builder.registry.endpoint import Endpoint, endpoint_of, pull_endpoints
from builder.registry.scope import Scopes
from builder.web.address import parse_address
from builder.web.answers import Response, discard

_Answer = TypeVar("_Answer")
_MAX_ROUNDS = 3
"""How often a request is sent: with what is known, after a challenge, after one that asks for more (RFC 6750 §3.1)."""


class Access:
    """The way of one client to any registry. Safe for threads."""

    def __init__(
        self, connection: Connection, environ: Mapping[str, str] = os.environ, find: FindCredentials | None = None,
        notify: Callable[[str], None] = lambda line: None,
    ) -> None:  # fmt: skip
        """`notify` gets a line for each mirror that is given up."""
        self.connection = connection
        self._notify = notify
        self._environ = environ
        self._authorizer = Authorizer(connection, environ, find)
        self._lock = Lock()
        self._endpoints: dict[tuple[str, str], Endpoint] = {}
        self._given_up: set[Endpoint] = set()

    def endpoint(self, registry: str, repository: str) -> Endpoint:
        """Return where a repository itself answers: pushes go there, never to mirrors. Raises RegistryError."""
        with self._lock:
            known = self._endpoints.get((registry, repository))
        if known is None:
            known = endpoint_of(registry, repository, self._environ, self._configuration)
            with self._lock:
                self._endpoints[registry, repository] = known
        return known

    @cached_property
    def _configuration(self) -> Configuration:
        """What registries.conf says, read once. Raises RegistryError."""
        return load_configuration(self._environ)

    def places(self, reference: Reference) -> tuple[Endpoint, ...]:
        """Return where a reference can be had: mirrors not given up, then the registry. Raises RegistryError."""
        found = pull_endpoints(reference, self._environ, self._configuration)
        return tuple(place for place in found if not self._is_given_up(place))

    def from_first(self, reference: Reference, ask: Callable[[Endpoint], _Answer]) -> _Answer:
        """Return what the first place that has it answers: mirrors, then the registry, whose error counts.

        Raises what `ask` raises.
        """
        *mirrors, own = self.places(reference)
        for mirror in mirrors:
            try:
                return ask(mirror)
            except (DigestMismatch, ImageError) as error:
                self.give_up(mirror, error)
            except RegistryError as error:
                self.pass_over(mirror, error)
        return ask(own)

    def pass_over(self, mirror: Endpoint, error: RegistryError) -> None:
        """Give a mirror up, unless it only lacks something."""
        if error.status != 404:
            self.give_up(mirror, error)

    def give_up(self, mirror: Endpoint, error: PybuildError) -> None:
        """Ask a mirror no more, and say why: once."""
        with self._lock:
            is_known = mirror in self._given_up
            self._given_up.add(mirror)
        if not is_known:
            self._notify(f"mirror {mirror.registry} is not asked any more: {error.message}")

    def _is_given_up(self, place: Endpoint) -> bool:
        with self._lock:
            return place.is_mirror and place in self._given_up

    def send(
        self, method: str, url: str, endpoint: Endpoint, scopes: Scopes, headers: Mapping[str, str] | None = None, *,
        body: Body | None = None, attempts: int = 0, sent_on: bool = False,
    ) -> Response:  # fmt: skip
        """Send a request to `url`, and once more when its 401 can be answered; no `scopes`: without credentials.

        The rest is as in Connection.request. Raises RegistryError.
        """
        headers = headers or {}
        if not is_own(parse_address(url), endpoint):
            scopes = ()
        header = self._authorizer.header(endpoint, scopes) if scopes else ""
        for round_ in range(_MAX_ROUNDS):
            sent = {**headers, "Authorization": header} if header else headers
            response = self.connection.request(
                method, url, sent, endpoint=endpoint, body=body, attempts=attempts, sent_on=sent_on
            )
            if response.status != 401 or not scopes or round_ + 1 == _MAX_ROUNDS:
                return response
            answer = self._authorizer.answer(endpoint, scopes, response, header)
            if not answer or answer == header:
                return response
            header = answer
            discard(response)
        raise AssertionError("the last round returns")
