"""A registry to script: plays the distribution protocol well, or as badly as a test wants. Loopback only.

with FakeRegistry() as registry:
    registry.add_image("library/x", "1", image)         real content
    registry.faults.append(Fault("blobs", status=503))   what goes wrong next
    registry.requests                                     what was asked, with headers
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import socket
import tarfile
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def make_tar(files: dict[str, bytes]) -> bytes:
    """Return an uncompressed tar of regular files; names ending in / are directories."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name.rstrip("/"))
            if name.endswith("/"):
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@dataclass
class FakeImage:
    """An image in memory: blobs by digest, and its manifest."""

    manifest: bytes
    media_type: str
    blobs: dict[str, bytes]
    config: dict[str, Any]

    @property
    def digest(self) -> str:
        return sha256(self.manifest)


def make_image(
    layers: list[dict[str, bytes]] | None = None,
    *,
    architecture: str = "amd64",
    variant: str = "",
    media_type: str = OCI_MANIFEST,
    compress: bool = True,
    config: dict[str, Any] | None = None,
    history: bool = True,
) -> FakeImage:
    """Make an image of `layers` (name → content), gzip compressed unless told otherwise."""
    blobs: dict[str, bytes] = {}
    descriptors, diff_ids = [], []
    for files in layers if layers is not None else [{"etc/": b"", "etc/hello": b"hello\n"}]:
        tar = make_tar(files)
        blob = gzip.compress(tar, mtime=0) if compress else tar
        blobs[sha256(blob)] = blob
        kind = OCI_LAYER + ("+gzip" if compress else "")
        if media_type == DOCKER_MANIFEST:
            kind = "application/vnd.docker.image.rootfs.diff.tar" + (".gzip" if compress else "")
        descriptors.append({"mediaType": kind, "digest": sha256(blob), "size": len(blob)})
        diff_ids.append(sha256(tar))
    document: dict[str, Any] = {
        "architecture": architecture,
        "os": "linux",
        "created": "2020-01-01T00:00:00Z",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"], **(config or {})},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    if variant:
        document["variant"] = variant
    if history:
        document["history"] = [
            {"created": "2020-01-01T00:00:00Z", "created_by": f"layer {n}"} for n in range(len(diff_ids))
        ]
    config_bytes = json.dumps(document).encode()
    blobs[sha256(config_bytes)] = config_bytes
    config_type = OCI_CONFIG if media_type == OCI_MANIFEST else "application/vnd.docker.container.image.v1+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {"mediaType": config_type, "digest": sha256(config_bytes), "size": len(config_bytes)},
        "layers": descriptors,
    }
    return FakeImage(json.dumps(manifest).encode(), media_type, blobs, document)


def make_index(images: list[FakeImage], extra: list[dict[str, Any]] | None = None) -> FakeImage:
    """Make an index of images, each with its platform; `extra` entries come first."""
    entries = list(extra or [])
    blobs: dict[str, bytes] = {}
    for image in images:
        platform = {key: image.config[key] for key in ("architecture", "os", "variant") if key in image.config}
        entries.append(
            {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest), "platform": platform}
        )
        blobs |= image.blobs
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return FakeImage(json.dumps(document).encode(), OCI_INDEX, blobs, {})


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
    ignore_range: bool = False
    method: str = ""


class _Server(ThreadingHTTPServer):
    """Leaves no thread behind: other tests enter namespaces, which only a process with one thread may."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, *arguments: Any) -> None:
        self._connections: list[socket.socket] = []
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.append(request)
        super().process_request(request, client_address)

    def hang_up(self) -> None:
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class FakeRegistry:
    """Serves what was added. A context manager; `host` is 127.0.0.1:port."""

    def __init__(self, *, auth: str = "", user: str = "", password: str = "", expires_in: int | None = 300) -> None:
        """`auth`: "" for open, "bearer" or "basic"; with `user`, tokens are given only to who knows the password."""
        self.manifests: dict[tuple[str, str], tuple[bytes, str]] = {}
        self.blobs: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.auth, self.user, self.password, self.expires_in = auth, user, password, expires_in
        self.identity_token = ""
        self.realm = ""
        self.extra_headers: dict[str, str] = {}
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients break off: that is the test
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def add_image(self, repository: str, tag: str, image: FakeImage, children: list[FakeImage] | None = None) -> str:
        """Serve an image under a tag and its digest, with its children if it is an index; returns the reference."""
        for item in [image, *(children or [])]:
            self.manifests[repository, item.digest] = (item.manifest, item.media_type)
            self.blobs |= item.blobs
        self.manifests[repository, tag] = (image.manifest, image.media_type)
        return f"{self.host}/{repository}:{tag}"

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


def _handler(registry: FakeRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            return

        def do_GET(self) -> None:
            self._serve()

        def do_HEAD(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self.form = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            self._serve()

        def _serve(self) -> None:
            registry.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
            fault = self._fault()
            if fault is not None and fault.status and fault.cut_after is None:
                self._answer(fault.status, fault.body or b"", fault.headers)
            elif self.path.startswith("/token"):
                self._token()
            elif not self._authorised():
                self._challenge()
            else:
                self._content(fault)

        def _fault(self) -> Fault | None:
            for fault in registry.faults:
                if fault.times and fault.path in self.path and fault.method in ("", self.command):
                    fault.times -= 1
                    return fault
            return None

        def _content(self, fault: Fault | None) -> None:
            parts = urlsplit(self.path).path.split("/")
            repository, kind, name = "/".join(parts[2:-2]), parts[-2], parts[-1]
            if kind == "tags":
                tags = sorted(tag for where, tag in registry.manifests if where == repository and ":" not in tag)
                self._answer(
                    200, json.dumps({"name": repository, "tags": tags}).encode(), {"Content-Type": "application/json"}
                )
            elif kind == "manifests" and (repository, name) in registry.manifests:
                data, media_type = registry.manifests[repository, name]
                headers = {"Content-Type": media_type, "Docker-Content-Digest": sha256(data)}
                self._send(data, headers, fault)
            elif kind == "blobs" and name in registry.blobs:
                self._send(registry.blobs[name], {"Content-Type": "application/octet-stream"}, fault)
            else:
                code = "MANIFEST_UNKNOWN" if kind == "manifests" else "BLOB_UNKNOWN"
                self._answer(404, json.dumps({"errors": [{"code": code, "message": "unknown"}]}).encode(), {})

        def _send(self, data: bytes, headers: dict[str, str], fault: Fault | None) -> None:
            status = 200
            headers = {**headers, **registry.extra_headers, **(fault.headers if fault else {})}
            if fault is not None and fault.body is not None:
                data = fault.body
            wanted = self.headers.get("Range", "")
            if wanted and not (fault and fault.ignore_range):
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                status = 206
                headers.setdefault("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                data = data[start:]
            self._answer(status, data, headers, fault.cut_after if fault else None)

        def _answer(self, status: int, data: bytes, headers: dict[str, str], cut_after: int | None = None) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "HEAD":
                return
            self.wfile.write(data if cut_after is None else data[:cut_after])
            if cut_after is not None:
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(2)

        def _authorised(self) -> bool:
            given = self.headers.get("Authorization", "")
            if registry.auth == "bearer":
                repository = "/".join(urlsplit(self.path).path.split("/")[2:-2])
                return given == f"Bearer token-for-{repository}"
            return registry.auth != "basic" or given == _basic(registry)

        def _challenge(self) -> None:
            realm = registry.realm or f"http://{registry.host}/token"
            repository = "/".join(urlsplit(self.path).path.split("/")[2:-2])
            value = f'Bearer realm="{realm}",service="fake, with a comma",scope="repository:{repository}:pull"'
            body = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}).encode()
            self._answer(401, body, {"WWW-Authenticate": value if registry.auth == "bearer" else 'Basic realm="fake"'})

        def _token(self) -> None:
            if self.command == "POST":
                form = parse_qs(self.form)
                granted = bool(registry.identity_token) and form.get("refresh_token") == [registry.identity_token]
                scopes = form.get("scope", [""])[0].split()
            else:
                granted = not registry.user or self.headers.get("Authorization", "") == _basic(registry)
                scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
            if not granted:
                self._answer(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"wrong password"}]}', {})
                return
            repository = scopes[0].split(":")[1] if scopes else ""
            answer: dict[str, Any] = {"access_token" if self.command == "POST" else "token": f"token-for-{repository}"}
            if registry.expires_in is not None:
                answer["expires_in"] = registry.expires_in
            self._answer(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    return Handler


def _basic(registry: FakeRegistry) -> str:
    return "Basic " + base64.b64encode(f"{registry.user}:{registry.password}".encode()).decode()
