"""Credentials as values, and the programs that keep them: docker-credential-NAME (docker/docker-credential-helpers).

    get      a server on stdin → {"ServerURL", "Username", "Secret"} on stdout
    store    the same JSON on stdin
    erase    a server on stdin

Secrets go through pipes, never through arguments, which others can see.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

from builder.errors import RegistryError
from builder.oci.reference import DEFAULT_REGISTRY

HUB_KEY = "https://index.docker.io/v1/"
"""What docker calls Docker Hub in its files and to helpers."""
_TOKEN_USER = "<token>"
"""The helpers' way to say that the secret is an identity token."""
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


def server_of(registry: str, key: str) -> str:
    """Return what helpers know a registry as."""
    return HUB_KEY if registry == DEFAULT_REGISTRY else key


def ask_helper(name: str, server: str, environ: Mapping[str, str]) -> Credentials | None:
    """Return what docker-credential-NAME knows of a server, or None. Raises RegistryError."""
    failed, output = _run(name, "get", server.encode(), environ)
    if failed:
        _check_not_known(name, output)
        return None
    try:
        answer = json.loads(output)
        username, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        # What it said is not shown: it may hold the secret.
        raise RegistryError(f"docker-credential-{name} gave no credentials for {server}") from error
    if username == _TOKEN_USER:
        return Credentials(identity_token=secret)
    return Credentials(username, secret)


def tell_helper(name: str, server: str, credentials: Credentials, environ: Mapping[str, str]) -> None:
    """Let docker-credential-NAME keep credentials. Raises RegistryError."""
    user, secret = credentials.username, credentials.password
    if credentials.identity_token:
        user, secret = _TOKEN_USER, credentials.identity_token
    document = json.dumps({"ServerURL": server, "Username": user, "Secret": secret})
    failed, output = _run(name, "store", document.encode(), environ)
    if failed:
        text = _plain(output.replace(secret.encode(), b"***") if secret else output)
        raise RegistryError(f"docker-credential-{name} does not keep the credentials of {server}: {text}")


def erase_from_helper(name: str, server: str, environ: Mapping[str, str]) -> None:
    """Let docker-credential-NAME forget a server, if it knows it. Raises RegistryError."""
    failed, output = _run(name, "erase", server.encode(), environ)
    if failed:
        _check_not_known(name, output)


def _run(name: str, action: str, data: bytes, environ: Mapping[str, str]) -> tuple[bool, bytes]:
    """Run a helper; return whether it failed, and its output, of a failure with what it said on stderr."""
    program = (
        shutil.which(f"docker-credential-{name}", path=environ.get("PATH")) if _HELPER_NAME.fullmatch(name) else ""
    )
    if not program:
        raise RegistryError(
            f"the credential helper docker-credential-{name} is not installed", hint="Install it, or log in without it."
        )
    try:
        result = subprocess.run(
            [program, action], input=data, capture_output=True, timeout=_HELPER_SECONDS, check=False, env=dict(environ)
        )
    except OSError as error:
        raise RegistryError(f"docker-credential-{name} cannot be run: {error.strerror}") from error
    except subprocess.SubprocessError as error:
        raise RegistryError(f"docker-credential-{name} has not answered within {_HELPER_SECONDS} seconds") from error
    failed = result.returncode != 0
    return failed, result.stdout + result.stderr if failed else result.stdout


def _check_not_known(name: str, output: bytes) -> None:
    text = _plain(output)
    if text and "not found" not in text.lower():
        raise RegistryError(f"docker-credential-{name} failed: {text}")


def _plain(output: bytes) -> str:
    text = output.decode("utf-8", "replace").strip()
    return "".join(character if character.isprintable() else " " for character in text)[:200]
