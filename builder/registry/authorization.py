"""Getting in: a 401 with its challenge → an Authorization header (distribution: token and oauth specifications).

Tokens are kept by registry and scopes, serve whatever needs no more than they were asked for, and are renewed before
they end. Credentials go to the registry itself and to the realm it names, over HTTPS or on loopback, nowhere else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any
from urllib.parse import urlencode

from builder.errors import RegistryError
from builder.registry.challenge import Challenge, parse_challenges
from builder.registry.connection import Connection, read_error_body, read_object
from builder.registry.credential_helper import Credentials
from builder.registry.credentials import find_credentials
from builder.registry.endpoint import Endpoint
from builder.registry.failure import failure
from builder.registry.scope import Scopes, grants, merged, parse_scopes
from builder.web.address import AddressError, is_loopback, parse_address, without_credentials
from builder.web.answers import Response

_MAX_TOKEN_BYTES = 1 << 20
_DEFAULT_SECONDS = 60
"""How long a token lasts that does not say (distribution token specification)."""
_MAX_TOKEN_SECONDS = 86_400
_MARGIN_SECONDS = 10
_CLIENT = "pybuild"

FindCredentials = Callable[[str, str], Credentials | None]
"""Registry and repository → who we are there."""
_Granted = frozenset[tuple[str, str]]


class Authorizer:
    """Knows the way into registries. Safe for threads."""

    def __init__(
        self, connection: Connection, environ: Mapping[str, str] = os.environ, find: FindCredentials | None = None
    ) -> None:
        """`find` takes the place of credential files."""
        self._connection = connection
        self._find = find or (lambda registry, repository: find_credentials(registry, repository, environ))
        self._lock = Lock()
        self._asking: dict[str, Lock] = {}
        self._basic: dict[tuple[str, str], str] = {}
        self._tokens: dict[tuple[str, _Granted], tuple[str, float]] = {}

    def header(self, endpoint: Endpoint, scopes: Scopes) -> str:
        """Return a header that was given for `scopes`, or for more, before, or an empty text."""
        wanted, now = grants(scopes), time.monotonic()
        with self._lock:
            if basic := self._basic.get((endpoint.host, endpoint.repository)):
                return basic
            exact = self._tokens.get((endpoint.host, wanted))
            if exact is not None and now < exact[1]:
                return exact[0]
            for (host, granted), (value, until) in self._tokens.items():
                if host == endpoint.host and wanted <= granted and now < until:
                    return value
        return ""

    def answer(self, endpoint: Endpoint, scopes: Scopes, response: Response, rejected: str = "") -> str:
        """Return the header that answers a 401, or an empty text when there is nothing to answer it with.

        `rejected` is the header that was sent. Raises RegistryError when the token service refuses or asks for
        something unsafe.
        """
        challenges = parse_challenges(response.headers.getlist("WWW-Authenticate"))
        with self._lock:
            asking = self._asking.setdefault(endpoint.host, Lock())
        with asking:  # of many requests at once that are refused, one fetches the token
            known = self.header(endpoint, scopes)
            if known and known != rejected:
                return known
            self._forget(rejected)
            credentials = self._find(endpoint.registry, endpoint.repository)
            for challenge in challenges:
                if challenge.scheme == "bearer":
                    return self._bearer(endpoint, challenge, scopes, credentials)
            if credentials is not None and any(challenge.scheme == "basic" for challenge in challenges):
                with self._lock:
                    self._basic[endpoint.host, endpoint.repository] = credentials.basic
                return credentials.basic
        return ""

    def log_in(self, endpoint: Endpoint, response: Response, credentials: Credentials) -> tuple[str, Credentials]:
        """Answer the 401 of /v2/ with `credentials`: the header, and what to keep of them, as docker login does.

        A service that gives an identity token makes the password needless. Raises RegistryError.
        """
        for challenge in parse_challenges(response.headers.getlist("WWW-Authenticate")):
            if challenge.scheme == "bearer":
                document = self._fetch(endpoint, challenge, (), credentials, offline=True)
                identity = document.get("refresh_token")
                if isinstance(identity, str) and identity:
                    credentials = Credentials(credentials.username, identity_token=identity)
                return f"Bearer {_token(document, endpoint)}", credentials
            if challenge.scheme == "basic":
                return credentials.basic, credentials
        raise RegistryError(f"registry {endpoint.registry} asks for a kind of login that is not known")

    def _bearer(self, endpoint: Endpoint, challenge: Challenge, scopes: Scopes, known: Credentials | None) -> str:
        asked = merged((*scopes, *parse_scopes(challenge.parameters.get("scope", ""))))
        document = self._fetch(endpoint, challenge, asked, known)
        value = f"Bearer {_token(document, endpoint)}"
        lasts = document.get("expires_in")
        seconds = float(_DEFAULT_SECONDS)
        if isinstance(lasts, int | float) and lasts > 0:
            seconds = float(min(lasts, _MAX_TOKEN_SECONDS))
        until = time.monotonic() + max(seconds - _MARGIN_SECONDS, seconds / 2)
        with self._lock:
            self._tokens[endpoint.host, grants(scopes)] = self._tokens[endpoint.host, grants(asked)] = (value, until)
        return value

    def _fetch(
        self, endpoint: Endpoint, challenge: Challenge, scopes: Scopes, known: Credentials | None, offline: bool = False
    ) -> dict[str, Any]:
        """Ask the service that a challenge names for a token; `offline`: and for an identity token."""
        realm = challenge.parameters.get("realm", "")
        _check_realm(endpoint, realm)
        service = challenge.parameters.get("service", "")
        if known is not None and known.identity_token:
            document = self._refresh(endpoint, realm, service, scopes, known)
            if document is not None:
                return document
        query = [("service", service)] if service else []
        query += [("scope", scope) for scope in scopes]
        query += [("offline_token", "true"), ("client_id", _CLIENT)] if offline else []
        headers = {}
        if known is not None and known.username and not (known.identity_token and not known.password):
            query.append(("account", known.username))
            headers["Authorization"] = known.basic
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
        response = self._connection.request("GET", url, headers, endpoint=endpoint)
        if response.status != 200:
            raise _refused(endpoint, response, known, scopes)
        return _document(response, endpoint)

    def _refresh(
        self, endpoint: Endpoint, realm: str, service: str, scopes: Scopes, known: Credentials
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
            raise _refused(endpoint, response, known, scopes)
        return _document(response, endpoint)

    def _forget(self, rejected: str) -> None:
        with self._lock:
            for key in [key for key, (value, _) in self._tokens.items() if value == rejected]:
                del self._tokens[key]


def _token(document: dict[str, Any], endpoint: Endpoint) -> str:
    token = document.get("token") or document.get("access_token")
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        raise RegistryError(f"the token service of {endpoint.registry} gave no token")
    return token


def _refused(endpoint: Endpoint, response: Response, known: Credentials | None, scopes: Scopes) -> RegistryError:
    wanted = {action for _, action in grants(scopes)}
    action = next((each for each in ("delete", "push") if each in wanted), "pull")
    body = read_error_body(response)
    secrets = () if known is None else (known.password, known.identity_token, known.basic.rpartition(" ")[2])
    return failure(f"logging in to {endpoint.registry}", response.status, body, action, secrets=secrets)


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
        shown = without_credentials(realm)[:200]
        raise RegistryError(
            f"registry {endpoint.registry} sends its users to {shown!r} for a token, which is not HTTPS",
            hint="This can be an attack; no credentials were sent.",
        )


def _document(response: Response, endpoint: Endpoint) -> dict[str, Any]:
    what = f"the token service of {endpoint.registry}"
    return read_object(response, _MAX_TOKEN_BYTES, what, what, "token")
