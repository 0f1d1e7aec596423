"""Who we are to a registry: what `docker login` and `podman login` left behind.

Files, first answer wins: $REGISTRY_AUTH_FILE; $XDG_RUNTIME_DIR/containers/auth.json; ~/.config/containers/auth.json;
$DOCKER_CONFIG/config.json or ~/.docker/config.json (containers-auth.json(5)). In each: `credHelpers` for the host, then
`auths` by the most specific key (host/ns/repo, host/ns, host), then `credsStore`. Secrets stay in `Credentials`, whose
repr hides them. Written by credential_files.py.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from builder.errors import RegistryError
from builder.oci.reference import DEFAULT_REGISTRY
from builder.registry.credential_helper import HUB_KEY, Credentials, ask_helper, server_of

HUB_KEYS = (HUB_KEY, "index.docker.io", "registry-1.docker.io")
"""What Docker Hub is called beside docker.io."""
_MAX_FILE_BYTES = 1 << 20


def find_credentials(registry: str, repository: str, environ: Mapping[str, str] = os.environ) -> Credentials | None:
    """Return the credentials for a repository, or None for anonymous access. Raises RegistryError for broken files."""
    for path in credential_files(environ):
        document = read_document(path)
        if document is None:
            continue
        if (helper := find_helper(document, registry, repository)) is not None:
            return ask_helper(*helper, environ)
        found = _from_auths(document.get("auths"), registry, repository, path)
        if found is not None:
            return found
        if isinstance(document.get("credsStore"), str) and document["credsStore"]:
            found = ask_helper(document["credsStore"], server_of(registry, registry), environ)
            if found is not None:
                return found
    return None


def find_helper(document: dict[str, Any], registry: str, repository: str) -> tuple[str, str] | None:
    """Return the helper that a file names for a repository, and the server that it knows it as."""
    helpers = document.get("credHelpers")
    if isinstance(helpers, dict):
        for key in _keys(registry, repository):
            if isinstance(helpers.get(key), str):
                return helpers[key], server_of(registry, key)
    return None


def credential_files(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the paths of the files that may hold credentials, in the order in which they are asked."""
    home = environ.get("HOME") or os.path.expanduser("~")
    if named := environ.get("REGISTRY_AUTH_FILE"):
        yield named
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        yield f"{runtime}/containers/auth.json"
    yield f"{environ.get('XDG_CONFIG_HOME') or home + '/.config'}/containers/auth.json"
    yield f"{environ.get('DOCKER_CONFIG') or home + '/.docker'}/config.json"


def read_document(path: str) -> dict[str, Any] | None:
    """Return what a credentials file holds, None when there is none to be read. Raises RegistryError."""
    try:
        with open(path, "rb") as file:
            document = json.loads(file.read(_MAX_FILE_BYTES))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise RegistryError(f"the credentials file {path} cannot be read: {error}", hint="Log in again.") from error
    return document if isinstance(document, dict) else None


def _keys(registry: str, repository: str) -> Iterator[str]:
    """Yield the keys to look under, most specific first."""
    parts = repository.split("/") if repository else []
    for length in range(len(parts), -1, -1):
        yield "/".join([registry, *parts[:length]])
    if registry == DEFAULT_REGISTRY:
        yield from HUB_KEYS


def _from_auths(auths: Any, registry: str, repository: str, path: str) -> Credentials | None:
    if not isinstance(auths, dict):
        return None
    by_host = {bare_host(key): value for key, value in auths.items() if "://" in key}
    for key in _keys(registry, repository):
        entry = auths.get(key, by_host.get(key))
        if isinstance(entry, dict) and (found := _decode(entry, path)):
            return found
    return None


def bare_host(key: str) -> str:
    """Return the host of a key with a scheme, as old docker wrote it: https://host/v1/."""
    return key.partition("://")[2].partition("/")[0]


def _decode(entry: dict[str, Any], path: str) -> Credentials | None:
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if auth := entry.get("auth"):
        try:
            text = base64.b64decode(str(auth).strip(), validate=True).decode("utf-8").rstrip("\0")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise RegistryError(f"{path} holds an `auth` that is not base64", hint="Log in again.") from error
        username, _, password = text.partition(":")
    token = str(entry.get("identitytoken") or "")
    return Credentials(username, password, token) if username or token else None
