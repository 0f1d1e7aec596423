"""Trying credentials on a registry, as `docker login` does, before they are kept (distribution-spec, Endpoint end-1).

GET /v2/    200 it lets everybody in; 401 with a challenge; 404 it is not a registry
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from builder.errors import RegistryError
from builder.registry.authorization import Authorizer
from builder.registry.connection import Connection, read_error_body
from builder.registry.credential_helper import Credentials
from builder.registry.endpoint import endpoint_of
from builder.registry.failure import failure
from builder.web.answers import Response, discard


def verify_login(
    registry: str,
    credentials: Credentials,
    connection: Connection | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Credentials:
    """Let a registry check credentials; return those to keep, an identity token for a password where it gives one.

    `registry` may be host/namespace. Raises RegistryError, with status 401 or 403 when they are wrong.
    """
    connection = connection or Connection(environ=environ)
    endpoint = endpoint_of(registry.partition("/")[0], environ=environ)
    response = connection.request("GET", endpoint.url("/v2/"), {}, endpoint=endpoint)
    if response.status == 401:
        discard(response)
        try:
            header, credentials = Authorizer(connection, environ).log_in(endpoint, response, credentials)
        except RegistryError as error:
            if error.status not in (401, 403):
                raise
            raise _wrong(registry, error.status) from error
        response = connection.request("GET", endpoint.url("/v2/"), {"Authorization": header}, endpoint=endpoint)
    _check(registry, response)
    return credentials


def _check(registry: str, response: Response) -> None:
    if response.status == 200:
        discard(response)
        return
    body = read_error_body(response)
    if response.status in (401, 403):
        raise _wrong(registry, response.status)
    if response.status == 404:
        raise RegistryError(
            f"{registry} does not answer as a registry does (version 2 of the protocol)",
            hint="Is this address a container registry?",
            status=404,
        )
    raise failure(f"logging in to {registry}", response.status, body)


def _wrong(registry: str, status: int) -> RegistryError:
    return RegistryError(
        f"registry {registry} does not accept this user name and password [HTTP {status}]",
        hint="Many registries want an access token in place of the password.",
        status=status,
    )
