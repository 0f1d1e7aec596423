"""Images of a docker daemon: `docker-daemon:NAME`, over its socket (Docker Engine API, images/get and images/load).

Both ways an image travels as an archive: what comes is kept in a temporary file and read like one that `docker save`
wrote; what goes is streamed.
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from urllib.parse import quote

from builder.errors import LayerError, TransportError
from builder.oci.reference import Reference
from builder.transport.places.archive import ArchiveDestination, open_archive_destination
from builder.transport.places.daemon_connection import message_of, open_daemon
from builder.transport.places.docker_archive import DockerArchiveSource
from builder.transport.places.tar_file import Temporary, spool_tar

_BLOCK_BYTES = 1 << 18
_MAX_LINE_BYTES = 1 << 20


@contextmanager
def open_daemon_source(
    image: str, temporary: Temporary, environ: Mapping[str, str] = os.environ
) -> Iterator[DockerArchiveSource]:
    """Give a source of one image, by name or ID; it asks for "@0". Raises TransportError."""
    location = f"docker-daemon:{image}"
    with ExitStack() as stack:
        with open_daemon(environ) as connection:
            connection.request("GET", f"/images/{quote(image, safe='/:@')}/get")
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise TransportError(f"{location}: {message_of(response)}")
            tar = stack.enter_context(spool_tar(_Whole(response), location, temporary))
        yield DockerArchiveSource(location, tar)


def daemon_state(image: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return the ID of an image, by name or ID: a digest of what it is. Raises TransportError."""
    with open_daemon(environ) as connection:
        connection.request("GET", f"/images/{quote(image, safe='/:@')}/json")
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise TransportError(f"docker-daemon:{image}: {message_of(response)}")
        try:
            return str(json.loads(response.read())["Id"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise TransportError(f"docker-daemon:{image}: the daemon's answer makes no sense: {error}") from error


@contextmanager
def open_daemon_destination(name: Reference, environ: Mapping[str, str] = os.environ) -> Iterator[ArchiveDestination]:
    """Give a destination that sends to the daemon, which takes the image at the end or refuses it.

    Raises TransportError.
    """
    location = f"docker-daemon:{name}"
    with open_daemon(environ) as connection:
        connection.putrequest("POST", "/images/load?quiet=1")
        connection.putheader("Content-Type", "application/x-tar")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        body = _Chunks(connection.send)
        try:
            with open_archive_destination(location, body.write, for_docker=True) as destination:
                yield destination
            body.finish()
        except (BrokenPipeError, ConnectionResetError) as error:
            # A daemon that refuses may hang up before it has all; what it says is the reason.
            raise TransportError(f"{location}: {_last_words(connection, error)}") from error
        _check_loaded(connection.getresponse(), location)


class _Chunks:
    """The body of a request whose length is not known before (RFC 9112 §7.1)."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._held = bytearray()

    def write(self, data: bytes) -> None:
        self._held += data
        if len(self._held) >= _BLOCK_BYTES:
            self._pass_on()

    def finish(self) -> None:
        self._pass_on()
        self._send(b"0\r\n\r\n")

    def _pass_on(self) -> None:
        if self._held:
            self._send(b"%x\r\n%b\r\n" % (len(self._held), bytes(self._held)))
            self._held.clear()


class _Whole:
    """The body of an answer, in which an end that comes too early is an error and not an end."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response

    def read(self, size: int, /) -> bytes:
        data = self._response.read(size)
        if not data and self._response.length:
            raise LayerError("the connection broke off")
        return data


def _check_loaded(response: http.client.HTTPResponse, location: str) -> None:
    """Raise TransportError unless an image was loaded: an answer 200 is followed by what became of it."""
    if response.status != http.client.OK:
        raise TransportError(f"{location}: {message_of(response)}")
    while line := response.readline(_MAX_LINE_BYTES):
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            continue  # progress in a form of its own; errors are always JSON
        if isinstance(said, dict) and (said.get("errorDetail") or said.get("error")):
            detail = said.get("errorDetail")
            text = detail.get("message") if isinstance(detail, dict) else None
            raise TransportError(f"{location}: the docker daemon refused the image: {text or said.get('error')}")


def _last_words(connection: http.client.HTTPConnection, error: OSError) -> str:
    try:
        return f"the docker daemon refused the image: {message_of(connection.getresponse())}"
    except (http.client.HTTPException, OSError):
        return f"the docker daemon hung up: {(error.strerror or str(error)).lower()}"
