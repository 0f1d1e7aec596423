"""Who we are to a registry: what `docker login` and `podman login` left behind.

Files, first answer wins: $REGISTRY_AUTH_FILE; $XDG_RUNTIME_DIR/containers/auth.json; ~/.config/containers/auth.json;
$DOCKER_CONFIG/config.json or ~/.docker/config.json (containers-auth.json(5)). In each: `credHelpers` for the host, then
`auths` by the most specific key (host/ns/repo, host/ns, host), then `credsStore`. Secrets stay in `Credentials`, whose
repr hides them.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from builder.errors import RegistryError
from builder.oci.reference import DEFAULT_REGISTRY

_HUB_KEY = "https://index.docker.io/v1/"
_MAX_FILE_BYTES = 1 << 20
_HELPER_SECONDS = 30
_HELPER_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name with a password, or an identity (refresh) token."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of an Authorization header (RFC 7617)."""
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")


def find_credentials(registry: str, repository: str, environ: Mapping[str, str] = os.environ) -> Credentials | None:
    """Return the credentials for a repository, or None for anonymous access. Raises RegistryError for broken files."""
    for path in _files(environ):
        document = _read(path)
        if document is None:
            continue
        helpers = document.get("credHelpers")
        if isinstance(helpers, dict):
            for key in _keys(registry, repository):
                if isinstance(helpers.get(key), str):
                    return _ask_helper(helpers[key], _server(registry, key), environ)
        found = _from_auths(document.get("auths"), registry, repository, path)
        if found is not None:
            return found
        if isinstance(document.get("credsStore"), str) and document["credsStore"]:
            found = _ask_helper(document["credsStore"], _server(registry, registry), environ)
            if found is not None:
                return found
    return None


def _files(environ: Mapping[str, str]) -> Iterator[str]:
    home = environ.get("HOME") or os.path.expanduser("~")
    if named := environ.get("REGISTRY_AUTH_FILE"):
        yield named
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        yield f"{runtime}/containers/auth.json"
    yield f"{environ.get('XDG_CONFIG_HOME') or home + '/.config'}/containers/auth.json"
    yield f"{environ.get('DOCKER_CONFIG') or home + '/.docker'}/config.json"


def _read(path: str) -> dict[str, Any] | None:
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
        yield from (_HUB_KEY, "index.docker.io", "registry-1.docker.io")


def _from_auths(auths: Any, registry: str, repository: str, path: str) -> Credentials | None:
    if not isinstance(auths, dict):
        return None
    # Old docker wrote keys with scheme and path: https://host/v1/.
    by_host = {_bare(key): value for key, value in auths.items() if "://" in key}
    for key in _keys(registry, repository):
        entry = auths.get(key, by_host.get(key))
        if isinstance(entry, dict) and (found := _decode(entry, path)):
            return found
    return None


def _bare(key: str) -> str:
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


def _server(registry: str, key: str) -> str:
    return _HUB_KEY if registry == DEFAULT_REGISTRY else key


def _ask_helper(name: str, server: str, environ: Mapping[str, str]) -> Credentials | None:
    """Run docker-credential-NAME get (docker/docker-credential-helpers): server on stdin, JSON on stdout."""
    import shutil
    import subprocess

    program = (
        shutil.which(f"docker-credential-{name}", path=environ.get("PATH")) if _HELPER_NAME.fullmatch(name) else ""
    )
    if not program:
        raise RegistryError(
            f"the credential helper docker-credential-{name} is not installed", hint="Install it, or log in without it."
        )
    try:
        result = subprocess.run(
            [program, "get"], input=server.encode(), capture_output=True, timeout=_HELPER_SECONDS, check=False,
            env=dict(environ),
        )  # fmt: skip
        if result.returncode != 0:
            _check_not_known(name, result.stdout + result.stderr)
            return None
        answer = json.loads(result.stdout)
        username, secret = str(answer["Username"]), str(answer["Secret"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        raise RegistryError(f"docker-credential-{name} gave no credentials for {server}: {error}") from error
    if username == "<token>":  # the helpers' way to say that the secret is an identity token
        return Credentials(identity_token=secret)
    return Credentials(username, secret)


def _check_not_known(name: str, output: bytes) -> None:
    text = output.decode("utf-8", "replace").strip()
    if text and "not found" not in text.lower():
        raise RegistryError(f"docker-credential-{name} failed: {text[:200]}")
