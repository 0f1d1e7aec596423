"""A token service for a real docker-registry: signs what is asked for (distribution: token specification, JWT).

with TokenService(folder, "me", "hunter2") as service:
    service.settings       what the registry's configuration says of it
    service.asked          the scopes of each token
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

_NAME = "tests"


class TokenService:
    """Gives a token to whoever knows the password. A context manager; needs openssl."""

    def __init__(self, folder: Path, user: str, password: str) -> None:
        self.asked: list[list[str]] = []
        self._key, certificate = folder / "token.key", folder / "token.crt"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={_NAME}"),
                *("-keyout", str(self._key), "-out", str(certificate)),
            ],
            check=True,
            capture_output=True,
        )
        self._certificate = "".join(certificate.read_text().splitlines()[1:-1])
        self._basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = False
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.settings = (
            f"auth: {{token: {{realm: 'http://127.0.0.1:{self._server.server_port}/token', service: {_NAME},"
            f" issuer: {_NAME}, rootcertbundle: '{certificate}'}}}}\n"
        )

    def token(self, scopes: list[str]) -> str:
        """Return a signed token for scopes."""
        self.asked.append(scopes)
        now = int(time.time())
        access = [
            {"type": kind, "name": name, "actions": actions.split(",")}
            for kind, name, actions in (scope.split(":") for scope in scopes)
        ]
        claims = {
            "iss": _NAME, "aud": _NAME, "sub": "", "jti": str(len(self.asked)),
            "nbf": now - 10, "iat": now, "exp": now + 300, "access": access,
        }  # fmt: skip
        header = {"typ": "JWT", "alg": "RS256", "x5c": [self._certificate]}
        signed = b".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        done = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(self._key)], input=signed, check=True, capture_output=True
        )
        return b".".join((signed, _encoded(done.stdout))).decode()

    def knows(self, header: str | None) -> bool:
        return header == self._basic

    def __enter__(self) -> TokenService:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(service: TokenService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            return

        def do_GET(self) -> None:
            is_known = service.knows(self.headers.get("Authorization"))
            scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
            answer: dict[str, Any] = {"token": service.token(scopes), "expires_in": 300} if is_known else {}
            body = json.dumps(answer).encode()
            self.send_response(200 if is_known else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
