"""A registry to script: plays the distribution protocol well, or as badly as a test wants. Loopback only.

with FakeRegistry() as registry:
    registry.add_image("library/x", "1", image)         real content
    registry.faults.append(Fault("blobs", status=503))   what goes wrong next
    registry.requests                                     what was asked, with headers
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from threading import Thread
from typing import Any

from tests.support.registry_handler import Handler
from tests.support.registry_images import (
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    FakeImage,
    make_image,
    make_index,
    make_tar,
    sha256,
)

__all__ = [
    "DOCKER_MANIFEST", "OCI_CONFIG", "OCI_INDEX", "OCI_LAYER", "OCI_MANIFEST", "FakeImage", "FakeRegistry", "Fault",
    "make_image", "make_index", "make_tar", "sha256",
]  # fmt: skip


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose path contains `path`."""

    path: str
    times: int = 1
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """Instead of the real one."""
    cut_after: int | None = None
    """Send only so many bytes, then close the connection."""
    cut_request: int | None = None
    """Read only so many bytes of what is sent, then close the connection."""
    early: bool = False
    """Answer before reading what is sent."""
    lost: bool = False
    """Do what is asked, and close the connection instead of answering."""
    ignore_range: bool = False
    method: str = ""
    after: int = 0
    """How many such requests nothing happens to before."""


class _Server(ThreadingHTTPServer):
    """Leaves no thread behind: other tests enter namespaces, which only a process with one thread may."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, *arguments: Any) -> None:
        self.connections: list[socket.socket] = []
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.append(request)
        super().process_request(request, client_address)

    def hang_up(self) -> None:
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class FakeRegistry:
    """Serves what was added. A context manager; `host` is 127.0.0.1:port."""

    def __init__(
        self, *, auth: str = "", user: str = "", password: str = "", expires_in: int | None = 300,
        tls: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        """`auth`: "" for open, "bearer" or "basic"; with `user`, tokens are given only to who knows the password."""
        self.manifests: dict[tuple[str, str], tuple[bytes, str]] = {}
        self.blobs: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.auth, self.user, self.password, self.expires_in = auth, user, password, expires_in
        self.identity_token = ""
        self.realm = ""
        self.extra_headers: dict[str, str] = {}
        self.strict = False
        """Tokens are good for the scopes that were asked for, not for everything in the repository."""
        self.tokens: dict[str, set[tuple[str, str]]] = {}
        self.allowed: set[tuple[str, str]] | None = None
        """Repositories and actions that tokens are given for; None: all."""
        self.revoke_after = 0
        """After so many requests all tokens have run out."""
        self.owned: set[tuple[str, str]] | None = None
        """Which repository has which blob; None: all have all."""
        self.uploads: dict[str, bytearray] = {}
        self.states: dict[str, int] = {}
        self.upload_server = ""
        """scheme://host that Locations of uploads name; empty: they are relative."""
        self.keeps_parts = True
        """What arrived of a PATCH that broke off counts."""
        self.least_chunk, self.upload_size = 0, 0
        self.mounts = self.deletes = True
        self.knows_referrers = self.filters = False
        self.stated_digest = ""
        self.largest_manifest = 4 << 20
        self.page_size = 0
        self.link_server = ""
        self.search_results: list[dict[str, Any]] = []
        self.scheme = "http" if tls is None else "https"
        self._server = _Server(("127.0.0.1", 0), type("OwnHandler", (Handler,), {"registry": self}))
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients break off: that is the test
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def connections(self) -> int:
        """How many there have been."""
        return len(self._server.connections)

    def add_image(self, repository: str, tag: str, image: FakeImage, children: list[FakeImage] | None = None) -> str:
        """Serve an image under a tag and its digest, with its children if it is an index; returns the reference."""
        for item in [image, *(children or [])]:
            self.manifests[repository, item.digest] = (item.manifest, item.media_type)
            self.blobs |= item.blobs
        self.manifests[repository, tag] = (image.manifest, image.media_type)
        return f"{self.host}/{repository}:{tag}"

    def is_last(self, end: int) -> bool:
        """Say whether a chunk that ends there is the last one, which may be short."""
        return end == self.upload_size

    def paths(self, method: str = "") -> list[str]:
        return [path for verb, path, _ in self.requests if not method or verb == method]

    def __enter__(self) -> FakeRegistry:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()
