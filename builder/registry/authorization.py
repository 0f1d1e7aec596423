"""Getting in: a 401 with its challenge → an Authorization header (distribution: token and oauth specifications).

Tokens are kept per registry and scope and renewed before they end. Credentials go to the registry itself and to the
realm it names, over HTTPS or on loopback, nowhere else.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from threading import Lock
from typing import Any
from urllib.parse import urlencode

from builder.errors import RegistryError
from builder.registry.challenge import Challenge, parse_challenges
from builder.registry.connection import Connection, read_error_body, read_limited
from builder.registry.credentials import Credentials, find_credentials
from builder.registry.endpoint import Endpoint
from builder.registry.failure import failure
from builder.web.address import AddressError, is_loopback, parse_address
from builder.web.answers import Response

_MAX_TOKEN_BYTES = 1 << 20
_DEFAULT_SECONDS = 60
"""How long a token lasts that does not say (distribution token specification)."""
_MAX_TOKEN_SECONDS = 86_400
_MARGIN_SECONDS = 10
_CLIENT = "pybuild"


class Authorizer:
    """Knows the way into registries. Safe for threads."""

    def __init__(self, connection: Connection, environ: Mapping[str, str] = os.environ) -> None:
        self._connection = connection
        self._environ = environ
        self._lock = Lock()
        self._headers: dict[tuple[str, str], tuple[str, float]] = {}

    def header(self, endpoint: Endpoint, scope: str) -> str:
        """Return the header that worked for `scope` before, or an empty text."""
        with self._lock:
            value, until = self._headers.get((endpoint.host, scope), ("", 0.0))
        return value if time.monotonic() < until else ""

    def answer(self, endpoint: Endpoint, repository: str, scope: str, response: Response) -> str:
        """Return the header that answers a 401, or an empty text when there is nothing to answer it with.

        Raises RegistryError when the token service refuses or asks for something unsafe.
        """
        challenges = parse_challenges(response.headers.getlist("WWW-Authenticate"))
        credentials = find_credentials(endpoint.registry, repository, self._environ)
        for challenge in challenges:
            if challenge.scheme == "bearer":
                return self._bearer(endpoint, challenge, scope, credentials)
        if credentials is not None and any(challenge.scheme == "basic" for challenge in challenges):
            return self._keep(endpoint, scope, credentials.basic, seconds=float("inf"))
        return ""

    def _bearer(self, endpoint: Endpoint, challenge: Challenge, scope: str, known: Credentials | None) -> str:
        realm = challenge.parameters.get("realm", "")
        _check_realm(endpoint, realm)
        scopes = list(dict.fromkeys([scope, challenge.parameters.get("scope", "") or scope]))
        service = challenge.parameters.get("service", "")
        document = None
        if known is not None and known.identity_token:
            document = self._refresh(endpoint, realm, service, scopes, known)
        if document is None:
            document = self._ask(endpoint, realm, service, scopes, known)
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str) or not token:
            raise RegistryError(f"the token service of {endpoint.registry} gave no token")
        lasts = document.get("expires_in")
        seconds = float(_DEFAULT_SECONDS)
        if isinstance(lasts, int | float) and lasts > 0:
            seconds = float(min(lasts, _MAX_TOKEN_SECONDS))
        return self._keep(endpoint, scope, f"Bearer {token}", seconds)

    def _ask(
        self, endpoint: Endpoint, realm: str, service: str, scopes: list[str], known: Credentials | None
    ) -> dict[str, Any]:
        query = [("service", service)] if service else []
        query += [("scope", scope) for scope in scopes if scope]
        headers = {}
        if known is not None and known.username:
            query.append(("account", known.username))
            headers["Authorization"] = known.basic
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
        response = self._connection.request("GET", url, headers, endpoint=endpoint)
        if response.status != 200:
            raise self._refused(endpoint, response)
        return _document(response, endpoint)

    def _refresh(
        self, endpoint: Endpoint, realm: str, service: str, scopes: list[str], known: Credentials
    ) -> dict[str, Any] | None:
        """Trade an identity token for an access token; None when the service does not know how."""
        form = {
            "grant_type": "refresh_token", "service": service, "client_id": _CLIENT, "scope": " ".join(scopes),
            "refresh_token": known.identity_token,
        }  # fmt: skip
        response = self._connection.request(
            "POST", realm, {"Content-Type": "application/x-www-form-urlencoded"},
            endpoint=endpoint, body=urlencode(form).encode(),
        )  # fmt: skip
        if response.status in (404, 405):
            response.close()
            return None
        if response.status != 200:
            raise self._refused(endpoint, response)
        return _document(response, endpoint)

    def _refused(self, endpoint: Endpoint, response: Response) -> RegistryError:
        status = response.status
        return failure(f"logging in to {endpoint.registry}", status, read_error_body(response))

    def _keep(self, endpoint: Endpoint, scope: str, value: str, seconds: float) -> str:
        with self._lock:
            self._headers[endpoint.host, scope] = (
                value,
                time.monotonic() + max(seconds - _MARGIN_SECONDS, seconds / 2),
            )
        return value


def _check_realm(endpoint: Endpoint, realm: str) -> None:
    try:
        address = parse_address(realm)
    except AddressError as error:
        raise RegistryError(f"registry {endpoint.registry} sends its users to nowhere for a token: {error}") from error
    local = (
        (endpoint.scheme == "http" or endpoint.insecure)
        and address.scheme == "http"
        and (is_loopback(address.netloc) or address.netloc == endpoint.host.lower())
    )
    if address.scheme != "https" and not local:
        raise RegistryError(
            f"registry {endpoint.registry} sends its users to {realm[:200]!r} for a token, which is not HTTPS",
            hint="This can be an attack; no credentials were sent.",
        )


def _document(response: Response, endpoint: Endpoint) -> dict[str, Any]:
    what = f"the token service of {endpoint.registry}"
    try:
        document = json.loads(read_limited(response, _MAX_TOKEN_BYTES, what))
    except (ValueError, RecursionError) as error:
        raise RegistryError(f"{what} answers with something that is not JSON") from error
    if not isinstance(document, dict):
        raise RegistryError(f"{what} answers with something that is not a token")
    return document
