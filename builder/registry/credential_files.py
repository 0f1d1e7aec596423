"""Logging in and out, on this side: credentials → the file or the program that keeps them.

    {"auths": {"registry.example:5000": {"auth": "<base64 of user:password>", "identitytoken": "…"}},
     "credsStore": "pass", "credHelpers": {"other.example": "ecr-login"}, …}

Files are those of credentials.py, and are written as docker and podman write them (containers-auth.json(5), docker's
config.json): whole, for their owner only, every other member as it was.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from typing import Any

from builder.errors import RegistryError
from builder.filesystem.unfinished import replacing
from builder.oci.reference import DEFAULT_REGISTRY
from builder.registry.credential_helper import HUB_KEY, Credentials, erase_from_helper, server_of, tell_helper
from builder.registry.credentials import HUB_KEYS, bare_host, credential_files, find_helper, read_document

_FILE_MODE = 0o600
_DIRECTORY_MODE = 0o700


def store_credentials(
    key: str, credentials: Credentials, environ: Mapping[str, str] = os.environ, path: str = ""
) -> str:
    """Keep credentials for `key`, a registry or host/namespace, and return where: a path, or a helper's name.

    Without `path` they go to $REGISTRY_AUTH_FILE; else to the file that has some for the key now, so that these are
    found; else to docker's. Helpers that the file names are used. Raises RegistryError.
    """
    if ":" in credentials.username:
        raise RegistryError("a user name with a colon cannot be kept: it ends there (RFC 7617)")
    path = path or _place_for(key, environ)
    document = _read(path)
    helper, server = _helper_for(document, key)
    if helper:
        tell_helper(helper, server, credentials, environ)
        entry: dict[str, str] = {}  # docker's way to note that there are some
        where = f"docker-credential-{helper}"
    else:
        pair = f"{credentials.username}:{credentials.password}".encode()
        entry = {"auth": base64.b64encode(pair).decode("ascii")}
        if credentials.identity_token:
            entry["identitytoken"] = credentials.identity_token
        where = path
    auths = _auths(document, path)
    name = _own_key(key, path)
    for old in [old for old in auths if _is_for(old, key) and old != name]:
        del auths[old]
    auths[name] = entry
    _write(path, document)
    return where


def erase_credentials(key: str, environ: Mapping[str, str] = os.environ, path: str = "") -> tuple[str, ...]:
    """Forget the credentials for `key` wherever they would be found; return where they were. Raises RegistryError.

    With `path`, or $REGISTRY_AUTH_FILE, only there.
    """
    own = path or environ.get("REGISTRY_AUTH_FILE", "")
    places: list[str] = []
    for each in (own,) if own else credential_files(environ):
        document = _read(each)
        auths = _auths(document, each)
        found = [name for name in auths if _is_for(name, key)]
        helper, server = _helper_for(document, key)
        if helper:
            erase_from_helper(helper, server, environ)
            if found:
                places.append(f"docker-credential-{helper}")
        elif found:
            places.append(each)
        for name in found:
            del auths[name]
        if found:
            _write(each, document)
    return tuple(places)


def _place_for(key: str, environ: Mapping[str, str]) -> str:
    if own := environ.get("REGISTRY_AUTH_FILE"):
        return own
    files = list(credential_files(environ))
    for path in files:
        document = _read(path)
        if _helper_for(document, key)[0] or any(_is_for(name, key) for name in _auths(document, path)):
            return path
    return files[-1]


def _read(path: str) -> dict[str, Any]:
    document = read_document(path)
    if document is None and os.path.lexists(path):
        raise RegistryError(f"the credentials file {path} cannot be read, so it is not written either")
    return document or {}


def _auths(document: dict[str, Any], path: str) -> dict[str, Any]:
    auths = document.setdefault("auths", {})
    if not isinstance(auths, dict):
        raise RegistryError(f"`auths` in {path} is not an object", hint="Correct the file.")
    return auths


def _helper_for(document: dict[str, Any], key: str) -> tuple[str, str]:
    """Return the helper that keeps the credentials for `key`, and what it calls the server; or two empty texts."""
    registry, _, repository = key.partition("/")
    everything = document.get("credsStore")
    otherwise = (everything, server_of(key, key)) if isinstance(everything, str) and everything else ("", "")
    return find_helper(document, registry, repository) or otherwise


def _own_key(key: str, path: str) -> str:
    # Docker knows its Hub by this key only, podman by the other one.
    return HUB_KEY if key == DEFAULT_REGISTRY and os.path.basename(path) == "config.json" else key


def _is_for(name: str, key: str) -> bool:
    if key == DEFAULT_REGISTRY:
        return name in (DEFAULT_REGISTRY, *HUB_KEYS)
    return name == key or ("://" in name and bare_host(name) == key)


def _write(path: str, document: dict[str, Any]) -> None:
    target = os.path.realpath(path)  # a link into somebody's collection of dotfiles stays one
    try:
        os.makedirs(os.path.dirname(target), mode=_DIRECTORY_MODE, exist_ok=True)
        with replacing(target) as file:
            os.fchmod(file.fileno(), _FILE_MODE)  # before there is anything in it
            file.write(json.dumps(document, indent="\t", ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
    except OSError as error:
        raise RegistryError(f"cannot write the credentials file {path}: {error.strerror}") from error
