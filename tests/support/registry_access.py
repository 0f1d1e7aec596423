"""Who may ask a scripted registry for what: Basic, or Bearer with a token service; and how answers are written."""

from __future__ import annotations

import base64
import json
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from tests.support.registry import FakeRegistry

_ACTIONS = {"GET": "pull", "HEAD": "pull", "POST": "pull,push", "PUT": "pull,push", "PATCH": "pull,push"}


class Access(BaseHTTPRequestHandler):
    """`registry` is set on a class of its own for each registry; the rest is of the request."""

    protocol_version = "HTTP/1.1"
    registry: FakeRegistry
    repository: str
    kind: str
    name: str
    query: dict[str, str]
    body: bytes

    def log_message(self, format: str, *args: object) -> None:
        return

    def _answer(self, status: int, data: bytes, headers: dict[str, str], cut_after: int | None = None) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(data if cut_after is None else data[:cut_after])
        if cut_after is not None:
            self.wfile.flush()
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(2)

    # --- who may

    def _is_authorised(self) -> bool:
        registry, given = self.registry, self.headers.get("Authorization", "")
        if registry.auth == "bearer" and not registry.strict:
            return given == f"Bearer token-for-{self.repository}"
        if registry.auth == "bearer":
            registry.revoke_after -= 1
            if registry.revoke_after == 0:
                registry.tokens.clear()
            if self.path == "/v2/":
                return given.removeprefix("Bearer ") in registry.tokens
            return all(self._may(self.repository, action) for action in self._needs().split(","))
        return registry.auth != "basic" or given == basic(registry)

    def _needs(self) -> str:
        if self.command == "DELETE" and self.kind != "blobs/uploads":
            return "delete"
        return "pull,push" if self.kind == "blobs/uploads" else _ACTIONS[self.command]

    def _may(self, repository: str, action: str) -> bool:
        if not self.registry.strict:
            return True
        granted = self.registry.tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "), set())
        return (repository, action) in granted

    def _challenge(self) -> None:
        registry = self.registry
        realm = registry.realm or f"{registry.scheme}://{registry.host}/token"
        actions = self._needs() if registry.strict else "pull"
        value = f'Bearer realm="{realm}",service="fake, with a comma"'
        if self.path != "/v2/":
            value += f',scope="repository:{self.repository}:{actions}"'
        if self.headers.get("Authorization", "").removeprefix("Bearer ") in registry.tokens:
            value += ',error="insufficient_scope"'
        body = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}).encode()
        self._answer(401, body, {"WWW-Authenticate": value if registry.auth == "bearer" else 'Basic realm="fake"'})

    def _token(self) -> None:
        registry = self.registry
        if self.command == "POST":
            form = parse_qs(self.body.decode())
            granted = bool(registry.identity_token) and form.get("refresh_token") == [registry.identity_token]
            scopes = form.get("scope", [""])[0].split()
        else:
            granted = not registry.user or self.headers.get("Authorization", "") == basic(registry)
            scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
        if not granted:
            said = self.headers.get("Authorization", "")
            body = {"errors": [{"code": "UNAUTHORIZED", "message": f"wrong password {_password_in(said)}"}]}
            self._answer(401, json.dumps(body).encode(), {})
            return
        pairs = {(scope.split(":")[1], action) for scope in scopes for action in scope.split(":")[2].split(",")}
        repository = scopes[0].split(":")[1] if scopes else ""
        token = f"token-{len(registry.requests)}" if registry.strict else f"token-for-{repository}"
        registry.tokens[token] = {pair for pair in pairs if registry.allowed is None or pair in registry.allowed}
        answer: dict[str, Any] = {"access_token" if self.command == "POST" else "token": token}
        if self.query.get("offline_token") == "true" and registry.identity_token:
            answer["refresh_token"] = registry.identity_token
        if registry.expires_in is not None:
            answer["expires_in"] = registry.expires_in
        self._answer(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})


def basic(registry: FakeRegistry) -> str:
    return "Basic " + base64.b64encode(f"{registry.user}:{registry.password}".encode()).decode()


def _password_in(header: str) -> str:
    return base64.b64decode(header.removeprefix("Basic ") or "").decode().partition(":")[2]
