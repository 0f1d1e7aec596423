"""HTTP with manners: retries, redirects and limits, on urllib3. In: a request. Out: an open response.

Retried, with jitter and within bounds: connection errors, 429 with its Retry-After, 5xx. Never 400, 401, 403, 404.
Redirects are followed here, not by urllib3, so that Authorization goes to no other host (CVE-2020-15157) and nothing
falls from HTTPS to HTTP.
"""

from __future__ import annotations

import os
import random
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import urllib3

from builder.errors import Cancelled, RegistryError
from builder.registry.endpoint import Endpoint, is_loopback
from builder.registry.failure import MAX_BODY_BYTES

_RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 10
_MAX_WAIT_SECONDS = 30.0
_TIMEOUT = urllib3.Timeout(connect=15, read=60)
_CERTIFICATE_DIRECTORIES = ("/etc/docker/certs.d", "/etc/containers/certs.d")

Response = urllib3.BaseHTTPResponse


class Connection:
    """The requests of one client. Safe for threads."""

    def __init__(
        self,
        *,
        attempts: int = 5,
        sleep: Callable[[float], None] = time.sleep,
        cancelled: Callable[[], bool] = lambda: False,
        user_agent: str = "pybuild",
    ) -> None:
        self.attempts = attempts
        self.sleep = sleep
        self.cancelled = cancelled
        self.warnings: list[str] = []
        """Texts of `Warning: 299` headers, each once (distribution-spec, Warnings)."""
        self._user_agent = user_agent
        self._pools: dict[tuple[str, bool], urllib3.PoolManager] = {}
        self._plain: set[str] = set()

    def request(
        self, method: str, url: str, headers: Mapping[str, str], *, endpoint: Endpoint, body: bytes | None = None
    ) -> Response:
        """Send a request and follow redirects; the caller reads the body and must `release_conn`.

        Raises RegistryError when there is no answer. Any status but redirects and transient failures is returned.
        """
        for _ in range(_MAX_REDIRECTS):
            response = self._send(method, url, headers, endpoint, body)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location:
                return response
            response.drain_conn()
            response.release_conn()
            url, headers = _redirected(url, urljoin(url, location), headers)
        raise RegistryError(f"registry {endpoint.registry} redirects more than {_MAX_REDIRECTS} times")

    def pause(self, attempt: int, retry_after: str | None = None) -> None:
        """Wait before attempt number `attempt` + 1: exponentially longer, with jitter, or as long as asked for."""
        self.check_cancelled()
        seconds = min(_MAX_WAIT_SECONDS, 0.25 * 2**attempt) * random.uniform(0.5, 1.0)
        if retry_after and retry_after.strip().isdigit():
            seconds = min(_MAX_WAIT_SECONDS, float(retry_after.strip()))
        self.sleep(seconds)
        self.check_cancelled()

    def check_cancelled(self) -> None:
        """Raise Cancelled once nobody wants what is being fetched."""
        if self.cancelled():
            raise Cancelled("the download was cancelled")

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], endpoint: Endpoint, body: bytes | None
    ) -> Response:
        sent = {"User-Agent": self._user_agent, "Accept-Encoding": "identity", **headers}
        if endpoint.host in self._plain:
            url = _in_plain_http(url, endpoint)
        for attempt in range(self.attempts):
            last = attempt + 1 == self.attempts
            try:
                response = self._pool(url, endpoint).request(
                    method, url, headers=sent, body=body, redirect=False, retries=False, preload_content=False,
                    decode_content=False, timeout=_TIMEOUT,
                )  # fmt: skip
            except urllib3.exceptions.HTTPError as error:
                if endpoint.insecure and url != _in_plain_http(url, endpoint):
                    self._plain.add(endpoint.host)  # registries.conf allows it: no TLS there, so do without
                    return self._send(method, url, headers, endpoint, body)
                if last or not _is_transient(error):
                    raise _unreachable(endpoint, url, error) from error
                self.pause(attempt)
                continue
            self._note_warnings(response)
            if response.status not in _RETRIED_STATUSES or last:
                return response
            retry_after = response.headers.get("Retry-After")
            response.close()
            self.pause(attempt, retry_after)
        raise AssertionError("the last attempt returns or raises")

    def _note_warnings(self, response: Response) -> None:
        for value in response.headers.getlist("Warning"):
            text = value.partition('"')[2].rpartition('"')[0]
            if value.startswith("299") and text and text not in self.warnings and len(self.warnings) < 100:
                self.warnings.append("".join(c for c in text if c.isprintable())[:500])

    def _pool(self, url: str, endpoint: Endpoint) -> urllib3.PoolManager:
        host = urlsplit(url).netloc
        insecure = endpoint.insecure and host == endpoint.host
        proxy = _proxy(url)
        key = (f"{proxy} {host}", insecure)
        if key not in self._pools:
            options = _tls_options(host, insecure)
            self._pools[key] = (
                urllib3.ProxyManager(proxy, maxsize=8, **options)
                if proxy
                else urllib3.PoolManager(maxsize=8, **options)
            )
        return self._pools[key]


def read_limited(response: Response, limit: int, what: str) -> bytes:
    """Read the whole body and release the connection. Raises RegistryError beyond `limit` bytes or when it breaks."""
    try:
        data = bytearray()
        while block := response.read(min(1 << 16, limit + 1 - len(data))):
            data += block
            if len(data) > limit:
                response.close()
                raise RegistryError(f"{what}: the answer is longer than {limit} bytes", status=response.status)
        return bytes(data)
    except urllib3.exceptions.HTTPError as error:
        raise RegistryError(f"{what}: the answer broke off: {error}", status=response.status) from error
    finally:
        response.release_conn()


def read_error_body(response: Response) -> bytes:
    """Read the body of a refusal, as much of it as is reasonable, and drop the connection."""
    try:
        return response.read(MAX_BODY_BYTES) or b""
    except urllib3.exceptions.HTTPError:
        return b""
    finally:
        response.close()


def _redirected(old: str, new: str, headers: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    before, after = urlsplit(old), urlsplit(new)
    if after.scheme not in ("http", "https"):
        raise RegistryError(f"the registry redirects to a {after.scheme!r} address")
    if before.scheme == "https" and after.scheme == "http":
        raise RegistryError(f"the registry redirects from HTTPS to plain HTTP at {after.netloc}, which is refused")
    kept = dict(headers)
    if (before.scheme, before.netloc) != (after.scheme, after.netloc):
        kept = {key: value for key, value in kept.items() if key.lower() not in ("authorization", "cookie")}
    return new, kept


def _proxy(url: str) -> str:
    parts = urlsplit(url)
    if is_loopback(parts.netloc) or urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    proxies = urllib.request.getproxies()
    return proxies.get(parts.scheme) or proxies.get("all") or ""


def _tls_options(host: str, insecure: bool) -> dict[str, Any]:
    if insecure:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        return {"cert_reqs": "CERT_NONE"}
    options: dict[str, Any] = {}
    for directory in (f"{parent}/{host}" for parent in _CERTIFICATE_DIRECTORIES):
        for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else ():
            path = f"{directory}/{name}"  # docker's layout: ca.crt, and client.cert with client.key
            if name.endswith(".crt"):
                options["ca_certs"] = path
            elif name.endswith(".cert") and os.path.exists(f"{path[:-5]}.key"):
                options |= {"cert_file": path, "key_file": f"{path[:-5]}.key"}
    return options


def _in_plain_http(url: str, endpoint: Endpoint) -> str:
    prefix = f"https://{endpoint.host}/"
    return f"http://{endpoint.host}/{url[len(prefix) :]}" if url.startswith(prefix) else url


def _is_transient(error: urllib3.exceptions.HTTPError) -> bool:
    # A name that does not resolve, a closed port and a bad certificate stay as they are; a reset may not.
    return not isinstance(
        error,
        urllib3.exceptions.NameResolutionError | urllib3.exceptions.NewConnectionError | urllib3.exceptions.SSLError,
    )


def _unreachable(endpoint: Endpoint, url: str, error: urllib3.exceptions.HTTPError) -> RegistryError:
    host = urlsplit(url).netloc
    reason = (
        str(error).rpartition(": ")[2].rpartition("] ")[2]
        if isinstance(error, urllib3.exceptions.NewConnectionError)
        else str(error)
    )
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        reason = "its name cannot be resolved"
    elif isinstance(error, urllib3.exceptions.TimeoutError) and not isinstance(
        error,
        urllib3.exceptions.NewConnectionError,  # a TimeoutError by inheritance only
    ):
        reason = "it does not answer in time"
    via = "" if host == endpoint.host else f" (for registry {endpoint.registry})"
    return RegistryError(
        f"cannot reach registry {host}{via}: {reason}",
        hint="Check the name, the network and the proxy settings; images already in the store need no registry.",
    )
