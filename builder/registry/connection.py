"""HTTP with manners: retries, redirects and limits, on urllib3. In: a request. Out: an open response.

Retried, with jitter and within bounds: connection errors, 429 with its Retry-After, 5xx. Never 400, 401, 403, 404.
Redirects are followed here, not by urllib3, so that Authorization goes to no other host (CVE-2020-15157), nothing
falls from HTTPS to HTTP, and no body is read that nobody wants. What was posted is never sent on.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import urllib3

from builder.errors import Cancelled, RegistryError
from builder.registry.endpoint import Endpoint
from builder.registry.failure import MAX_BODY_BYTES
from builder.web.address import Address, AddressError, parse_address
from builder.web.answers import MAX_REDIRECTS, REDIRECTS, Response, discard, open_pools, parse_number, redirected
from builder.web.patience import PATIENCE, Patience, watch
from builder.web.reason import reason_of

_RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})
_MAX_WAIT_SECONDS = 30
_CERTIFICATE_DIRECTORIES = ("/etc/docker/certs.d", "/etc/containers/certs.d")


class Connection:
    """The requests of one client. Safe for threads."""

    def __init__(
        self,
        *,
        attempts: int = 5,
        sleep: Callable[[float], None] = time.sleep,
        cancelled: Callable[[], bool] = lambda: False,
        user_agent: str = "pybuild",
        patience: Patience = PATIENCE,
    ) -> None:
        self.attempts = attempts
        self.sleep = sleep
        self.cancelled = cancelled
        self.warnings: list[str] = []
        """Texts of `Warning: 299` headers, each once (distribution-spec, Warnings)."""
        self._user_agent = user_agent
        self._patience = patience
        self._timeout = urllib3.Timeout(connect=patience.connect_seconds, read=patience.silence_seconds)
        self._pools: dict[tuple[str, bool], urllib3.PoolManager] = {}
        self._plain: set[str] = set()

    def request(
        self, method: str, url: str, headers: Mapping[str, str], *, endpoint: Endpoint, body: bytes | None = None
    ) -> Response:
        """Send a request and follow redirects; the caller reads the body and must `release_conn`.

        Raises RegistryError when there is no answer. Any status but redirects and transient failures is returned.
        """
        for _ in range(MAX_REDIRECTS):
            address = _address(url, endpoint)
            response = self._send(method, address, headers, endpoint, body)
            location = response.headers.get("Location")
            if response.status not in REDIRECTS or not location or body is not None:
                return response
            discard(response)
            url, headers = _redirected(address, location, headers, endpoint)
        raise RegistryError(f"registry {endpoint.registry} redirects more than {MAX_REDIRECTS} times")

    def pause(self, attempt: int, retry_after: str | None = None) -> None:
        """Wait before attempt number `attempt` + 1: exponentially longer, with jitter, or as long as asked for."""
        self.check_cancelled()
        seconds = min(_MAX_WAIT_SECONDS, 0.25 * 2**attempt) * random.uniform(0.5, 1.0)
        asked = parse_number(retry_after or "")
        if asked is not None:
            seconds = float(min(_MAX_WAIT_SECONDS, asked))
        self.sleep(seconds)
        self.check_cancelled()

    def check_cancelled(self) -> None:
        """Raise Cancelled once nobody wants what is being fetched."""
        if self.cancelled():
            raise Cancelled("the download was cancelled")

    def _send(
        self, method: str, address: Address, headers: Mapping[str, str], endpoint: Endpoint, body: bytes | None
    ) -> Response:
        sent = {"User-Agent": self._user_agent, "Accept-Encoding": "identity", **headers}
        if endpoint.host in self._plain:
            address = _in_plain_http(address, endpoint)
        for attempt in range(self.attempts):
            last = attempt + 1 == self.attempts
            try:
                response = self._pool(address, endpoint).request(
                    method, address.url, headers=sent, body=body, redirect=False, retries=False,
                    preload_content=False, decode_content=False, timeout=self._timeout,
                )  # fmt: skip
            except urllib3.exceptions.HTTPError as error:
                if endpoint.insecure and address != _in_plain_http(address, endpoint):
                    self._plain.add(endpoint.host)  # registries.conf allows it: no TLS there, so do without
                    return self._send(method, address, headers, endpoint, body)
                if last or not _is_transient(error):
                    raise _unreachable(endpoint, address, error) from error
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

    def _pool(self, address: Address, endpoint: Endpoint) -> urllib3.PoolManager:
        own = _is_own(address, endpoint)
        insecure = endpoint.insecure and own
        key = (f"{address.scheme}://{address.netloc}", insecure)
        if key not in self._pools:
            try:
                pools = open_pools(
                    address, maxsize=8, **_tls_options(endpoint.host if own else address.netloc, insecure)
                )
            except AddressError as error:
                raise RegistryError(f"cannot reach registry {endpoint.registry}: {error}") from error
            self._pools[key] = watch(pools, self._patience, self.check_cancelled)
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
        raise RegistryError(f"{what}: {reason_of(error)}", status=response.status) from error
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


def _address(url: str, endpoint: Endpoint) -> Address:
    try:
        return parse_address(url)
    except AddressError as error:
        raise RegistryError(f"registry {endpoint.registry}: {error}") from error


def _redirected(
    old: Address, location: str, headers: Mapping[str, str], endpoint: Endpoint
) -> tuple[str, dict[str, str]]:
    try:
        new, kept = redirected(old, location, headers)
    except AddressError as error:
        raise RegistryError(f"registry {endpoint.registry} redirects wrongly: {error}") from error
    if (old.scheme, new.scheme) == ("https", "http"):
        raise RegistryError(f"the registry redirects from HTTPS to plain HTTP at {new.netloc}, which is refused")
    return new.url, kept


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


def _in_plain_http(address: Address, endpoint: Endpoint) -> Address:
    return replace(address, scheme="http") if _is_own(address, endpoint) else address


def _is_own(address: Address, endpoint: Endpoint) -> bool:
    """Say whether an address is the registry's own, and not one that it redirects to."""
    return address.netloc == _address(endpoint.url("/"), endpoint).netloc


def _is_transient(error: urllib3.exceptions.HTTPError) -> bool:
    # A name that does not resolve, a closed port and a bad certificate stay as they are; a reset may not.
    return not isinstance(
        error,
        urllib3.exceptions.NameResolutionError | urllib3.exceptions.NewConnectionError | urllib3.exceptions.SSLError,
    )


def _unreachable(endpoint: Endpoint, address: Address, error: urllib3.exceptions.HTTPError) -> RegistryError:
    via = "" if _is_own(address, endpoint) else f" (for registry {endpoint.registry})"
    return RegistryError(
        f"cannot reach registry {address.netloc}{via}: {reason_of(error)}",
        hint="Check the name, the network and the proxy settings; images already in the store need no registry.",
    )
