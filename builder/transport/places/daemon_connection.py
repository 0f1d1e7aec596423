"""One HTTP exchange with a docker daemon, over its socket or over TCP; podman's service answers the same.

DOCKER_HOST          unix:///path (default: /var/run/docker.sock), tcp://host[:port]
DOCKER_TLS_VERIFY    not empty: TLS, with ca.pem, cert.pem and key.pem of
DOCKER_CERT_PATH     (default: ~/.docker)
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from builder.errors import TransportError

_DEFAULT_HOST = "unix:///var/run/docker.sock"
_PORT, _TLS_PORT = 2375, 2376
"""IANA's docker and docker-s."""
_TIMEOUT_SECONDS = 600
"""A daemon says nothing while it unpacks what it was sent."""
_MAX_MESSAGE_BYTES = 1 << 20
_START = "Start the docker daemon, or say with DOCKER_HOST where it listens (unix:///path or tcp://host:port)."


@contextmanager
def open_daemon(environ: Mapping[str, str]) -> Iterator[http.client.HTTPConnection]:
    """Connect to the daemon that the environment names. Raises TransportError, also for what breaks in the `with`."""
    host = environ.get("DOCKER_HOST") or _DEFAULT_HOST
    connection = _connection(host, environ)
    try:
        try:
            connection.connect()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            hint = "Join the group docker, or be root." if isinstance(error, PermissionError) else _START
            raise TransportError(f"no docker daemon answers at {host}: {reason}", hint=hint) from error
        yield connection
    except (http.client.HTTPException, OSError) as error:
        reason = str(error) or type(error).__name__
        raise TransportError(f"the docker daemon at {host}: the connection broke: {reason.lower()}") from error
    finally:
        connection.close()


def message_of(response: http.client.HTTPResponse) -> str:
    """Return what the daemon says in an answer that is an error."""
    data = response.read(_MAX_MESSAGE_BYTES)
    try:
        return str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"{response.status} {response.reason}"


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a socket of this machine."""

    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=_TIMEOUT_SECONDS)  # a name for the header Host, which HTTP/1.1 wants
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_SECONDS)
        self.sock.connect(self._path)


def _connection(host: str, environ: Mapping[str, str]) -> http.client.HTTPConnection:
    scheme, _, rest = host.partition("://")
    if scheme == "unix" and rest:
        return _SocketConnection(rest)
    if scheme == "tcp":
        with_tls = bool(environ.get("DOCKER_TLS_VERIFY"))
        try:
            parts = urlsplit(host)
            name, port = parts.hostname, parts.port or (_TLS_PORT if with_tls else _PORT)
        except ValueError:
            name = None
        if name and with_tls:
            return http.client.HTTPSConnection(name, port, timeout=_TIMEOUT_SECONDS, context=_tls(environ))
        if name:
            return http.client.HTTPConnection(name, port, timeout=_TIMEOUT_SECONDS)
    raise TransportError(
        f"DOCKER_HOST={host} is no place that pybuild can reach a docker daemon at",
        hint="It can be unix:///path or tcp://host:port; an ssh:// host can be reached through `ssh -L`.",
    )


def _tls(environ: Mapping[str, str]) -> ssl.SSLContext:
    directory = environ.get("DOCKER_CERT_PATH") or f"{environ.get('HOME', '')}/.docker"
    try:
        context = ssl.create_default_context(cafile=f"{directory}/ca.pem")
        if os.path.exists(f"{directory}/cert.pem"):
            context.load_cert_chain(f"{directory}/cert.pem", f"{directory}/key.pem")
    except OSError as error:  # ssl.SSLError is one
        raise TransportError(
            f"DOCKER_TLS_VERIFY is set, but ca.pem, cert.pem and key.pem of {directory} cannot be used: {error}"
        ) from error
    return context
