"""HTTP with manners: retries, redirects and limits, on urllib3. In: a request. Out: an open response.

Retried, with jitter and within bounds: connection errors, 429 with its Retry-After, 5xx. Never 400, 401, 403, 404.
Redirects are followed here, not by urllib3, so that Authorization goes to no other host (CVE-2020-15157), nothing
falls from HTTPS to HTTP, and no body is read that nobody wants. What was posted is sent on only where that is said.
"""

from __future__ import annotations

import functools
import json
import os
import random
import ssl
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from threading import Lock
from typing import Any

import urllib3

from builder.errors import Cancelled, RegistryError
from builder.registry.certificates import find_certificates, tls_context
from builder.registry.endpoint import Endpoint
from builder.registry.failure import MAX_BODY_BYTES, BrokenConnection
from builder.web.address import Address, AddressError, is_loopback, parse_address
from builder.web.answers import MAX_REDIRECTS, REDIRECTS, Response, discard, open_pools, parse_wait, redirected
from builder.web.patience import PATIENCE, Patience, watch
from builder.web.reason import reason_of
from builder.web.stretch import FileStretch, UnreadableError

Block = bytes | FileStretch
Body = bytes | Callable[[], Generator[Block]]
"""What is sent: bytes, or what opens them anew for each attempt (their number is in Content-Length)."""

TRANSIENT_STATUSES = frozenset({429, 500, 502, 503, 504})
_KEPT_METHOD = frozenset({307, 308})
"""Redirects after which the same is sent again, body and all (RFC 9110 §15.4.8)."""
_MAX_WAIT_SECONDS = 30
_MAX_PEEK_BYTES = 4096
_BROKEN_TLS = ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError
_UNREACHABLE_HINT = "Check the name, the network and the proxy settings; images already in the store need no registry."


class Connection:
    """The requests of one client. Safe for threads."""

    def __init__(
        self,
        *,
        attempts: int = 5,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
        cancelled: Callable[[], bool] = lambda: False,
        user_agent: str = "pybuild",
        patience: Patience = PATIENCE,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """`sleep` and `clock` (seconds since 1970) can be replaced where nobody wants to wait."""
        self.attempts = attempts
        self.sleep = sleep
        self.cancelled = cancelled
        self.warnings: list[str] = []
        """Texts of `Warning: 299` headers, each once (distribution-spec, Warnings)."""
        self._clock = clock
        self._environ = environ
        self._user_agent = user_agent
        self._patience = patience
        self._timeout = urllib3.Timeout(connect=patience.connect_seconds, read=patience.silence_seconds)
        self._pools: dict[tuple[str, bool], urllib3.PoolManager] = {}
        self._opening = Lock()
        self._schemes: dict[str, str] = {}
        """What hosts turned out to speak: plain HTTP where HTTPS was not needed, or TLS on loopback."""

    def request(
        self, method: str, url: str, headers: Mapping[str, str], *, endpoint: Endpoint, body: Body | None = None,
        attempts: int = 0, sent_on: bool = False,
    ) -> Response:  # fmt: skip
        """Send a request and follow redirects; the caller reads the body and must `release_conn`.

        `attempts` 0: as many as this connection makes; `sent_on` lets a body follow redirects. Raises RegistryError
        when there is no answer, BrokenConnection when there might be one the next time. Any status but redirects and
        transient failures is returned.
        """
        for _ in range(MAX_REDIRECTS):
            address = _address(url, endpoint)
            response = self._send(method, address, headers, endpoint, body, attempts or self.attempts)
            location = response.headers.get("Location")
            if response.status not in REDIRECTS or not location:
                return response
            if body is not None and not (sent_on and response.status in _KEPT_METHOD):
                return response
            discard(response)
            new, headers = follow(self._as_spoken(address, endpoint), location, headers, endpoint)
            url = new.url
        raise RegistryError(f"registry {endpoint.registry} redirects more than {MAX_REDIRECTS} times")

    def pause(self, attempt: int, retry_after: str | None = None) -> None:
        """Wait before attempt number `attempt` + 1: exponentially longer, with jitter, or as long as asked for."""
        self.check_cancelled()
        seconds = min(_MAX_WAIT_SECONDS, 0.25 * 2**attempt) * random.uniform(0.5, 1.0)
        asked = parse_wait(retry_after or "", self._clock())
        if asked is not None:
            seconds = min(float(_MAX_WAIT_SECONDS), asked)
        self.sleep(seconds)
        self.check_cancelled()

    def check_cancelled(self) -> None:
        """Raise Cancelled once nobody wants what is being transferred."""
        if self.cancelled():
            raise Cancelled("the transfer was cancelled")

    def follow(self, url: str, location: str, endpoint: Endpoint) -> str:
        """Return the URL that the Location of an answer from `url` names. Raises RegistryError for an unsafe one."""
        return follow(self._as_spoken(_address(url, endpoint), endpoint), location, {}, endpoint)[0].url

    def _send(
        self, method: str, address: Address, headers: Mapping[str, str], endpoint: Endpoint, body: Body | None,
        attempts: int,
    ) -> Response:  # fmt: skip
        sent = {"User-Agent": self._user_agent, "Accept-Encoding": "identity", **headers}
        address = self._as_spoken(address, endpoint)
        for attempt in range(attempts):
            last = attempt + 1 == attempts
            try:
                response = self._once(method, address, sent, endpoint, body)
            except urllib3.exceptions.HTTPError as error:
                is_unknown = endpoint.insecure and endpoint.host not in self._schemes
                plain = _with_scheme(address, "http", endpoint)
                # One that broke off may have been TLS all right: it is asked again before it is done without.
                if is_unknown and address != plain and (last or not _broke_off(error)):
                    return self._send(method, plain, headers, endpoint, body, attempts)  # registries.conf allows it
                if last or not _is_transient(error):
                    kind = BrokenConnection if _is_transient(error) else RegistryError
                    raise kind(_unreachable(endpoint, address, error), hint=_UNREACHABLE_HINT) from error
                self.pause(attempt)
                continue
            self._note_warnings(response)
            if is_own(address, endpoint) and (endpoint.insecure or response.status != 400):
                self._schemes.setdefault(endpoint.host, address.scheme)  # what breaks later is no reason to do without
            if self._wants_tls(method, response, address, endpoint):
                self._schemes[endpoint.host] = "https"
                return self._send(method, address, headers, endpoint, body, attempts)
            if response.status not in TRANSIENT_STATUSES or last:
                return response
            retry_after = response.headers.get("Retry-After")
            response.close()
            self.pause(attempt, retry_after)
        raise AssertionError("the last attempt returns or raises")

    def _once(
        self, method: str, address: Address, headers: Mapping[str, str], endpoint: Endpoint, body: Body | None
    ) -> Response:
        sent = body if body is None or isinstance(body, bytes) else _Outgoing(body())
        try:
            return self._pool(address, endpoint).request(
                method, address.url, headers=headers, body=sent, redirect=False,  # type: ignore[arg-type]  # Sending
                retries=False, preload_content=False, decode_content=False, timeout=self._timeout,
            )  # fmt: skip
        except UnreadableError as unreadable:
            raise unreadable.error from None
        finally:
            if isinstance(sent, _Outgoing):
                sent.close()

    def _wants_tls(self, method: str, response: Response, address: Address, endpoint: Endpoint) -> bool:
        """Say whether a server on loopback, where plain HTTP is tried first, answers that it speaks TLS."""
        if response.status != 400 or address.scheme != "http" or "json" in response.headers.get("Content-Type", ""):
            return False
        if endpoint.host in self._schemes or not is_own(address, endpoint) or not is_loopback(endpoint.host):
            return False
        try:
            if method != "GET":  # its answer has no words, or they get lost while we send
                response = self._once("GET", replace(address, target="/v2/"), {}, endpoint, None)
            said = response.read(_MAX_PEEK_BYTES) if response.status == 400 else b""
        except urllib3.exceptions.HTTPError:
            return False
        return b"https" in said.lower()  # Go: "…HTTP request to an HTTPS server"

    def _note_warnings(self, response: Response) -> None:
        for value in response.headers.getlist("Warning"):
            text = value.partition('"')[2].rpartition('"')[0]
            if value.startswith("299") and text and text not in self.warnings and len(self.warnings) < 100:
                self.warnings.append("".join(c for c in text if c.isprintable())[:500])

    def _as_spoken(self, address: Address, endpoint: Endpoint) -> Address:
        return _with_scheme(address, self._schemes.get(endpoint.host, ""), endpoint)

    def _pool(self, address: Address, endpoint: Endpoint) -> urllib3.PoolManager:
        own = is_own(address, endpoint)
        insecure = own and (endpoint.insecure or is_loopback(endpoint.host))
        key = (f"{address.scheme}://{address.netloc}", insecure)
        with self._opening:
            if key not in self._pools:
                self._pools[key] = self._new_pool(address, endpoint, own=own, insecure=insecure)
            return self._pools[key]

    def _new_pool(self, address: Address, endpoint: Endpoint, *, own: bool, insecure: bool) -> urllib3.PoolManager:
        hosts = (endpoint.host, endpoint.registry) if own else (address.netloc,)
        directory = find_certificates(hosts, self._environ) if address.scheme == "https" else ""
        try:
            if insecure and (endpoint.insecure or not directory):  # as docker: loopback needs no certificate
                urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
                pools = open_pools(address, maxsize=8, cert_reqs="CERT_NONE")
            elif directory:
                pools = open_pools(address, maxsize=8, ssl_context=tls_context(directory))
            else:
                pools = open_pools(address, maxsize=8)
        except AddressError as error:
            raise RegistryError(f"cannot reach registry {endpoint.registry}: {error}") from error
        return watch(pools, self._patience, self.check_cancelled)


class _Outgoing:
    """The blocks of one attempt."""

    def __init__(self, blocks: Generator[Block]) -> None:
        self._blocks = blocks
        self.close = blocks.close

    def __iter__(self) -> Iterator[Block]:
        try:
            yield from self._blocks
        except OSError as error:
            raise UnreadableError(error) from error


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


def read_object(response: Response, limit: int, what: str, who: str, meant: str) -> dict[str, Any]:
    """Read a JSON object, the `meant` that `who` is to answer with. Raises RegistryError for anything else."""
    try:
        document = json.loads(read_limited(response, limit, what))
    except (ValueError, RecursionError) as error:
        raise RegistryError(f"{who} answers with something that is not JSON") from error
    if not isinstance(document, dict):
        raise RegistryError(f"{who} answers with something that is not a {meant}")
    return document


def read_error_body(response: Response) -> bytes:
    """Read the body of a refusal, as much of it as is reasonable, and drop the connection."""
    try:
        return response.read(MAX_BODY_BYTES) or b""
    except urllib3.exceptions.HTTPError:
        return b""
    finally:
        response.close()


def follow(
    old: Address, location: str, headers: Mapping[str, str], endpoint: Endpoint
) -> tuple[Address, dict[str, str]]:
    """Return where a Location leads, and the headers to take there. Raises RegistryError for an unsafe one."""
    try:
        new, kept = redirected(old, location, headers)
    except AddressError as error:
        raise RegistryError(f"registry {endpoint.registry} redirects wrongly: {error}") from error
    if (old.scheme, new.scheme) == ("https", "http"):
        raise RegistryError(
            f"the registry redirects from HTTPS to plain HTTP at {new.netloc}, which is refused",
            hint="A proxy before the registry may not tell it of HTTPS (X-Forwarded-Proto).",
        )
    return new, kept


def _address(url: str, endpoint: Endpoint) -> Address:
    try:
        return parse_address(url)
    except AddressError as error:
        raise RegistryError(f"registry {endpoint.registry}: {error}") from error


def _with_scheme(address: Address, scheme: str, endpoint: Endpoint) -> Address:
    return replace(address, scheme=scheme) if scheme and is_own(address, endpoint) else address


def is_own(address: Address, endpoint: Endpoint) -> bool:
    """Say whether an address is the registry's own, and not one that it redirects to."""
    return address.netloc == _netloc(endpoint)


@functools.lru_cache(maxsize=64)  # asked several times a request
def _netloc(endpoint: Endpoint) -> str:
    return _address(endpoint.url("/"), endpoint).netloc


def _broke_off(error: urllib3.exceptions.HTTPError) -> bool:
    """Say whether there was a connection, and then no answer."""
    return _is_transient(error) and not isinstance(error, urllib3.exceptions.ConnectTimeoutError)


def _is_transient(error: urllib3.exceptions.HTTPError) -> bool:
    # A name that does not resolve, a closed port and a bad certificate stay as they are; a reset may not, in TLS too.
    if isinstance(error, urllib3.exceptions.SSLError):
        return any(isinstance(each, _BROKEN_TLS) for each in error.args)
    return not isinstance(error, urllib3.exceptions.NameResolutionError | urllib3.exceptions.NewConnectionError)


def _unreachable(endpoint: Endpoint, address: Address, error: urllib3.exceptions.HTTPError) -> str:
    via = "" if is_own(address, endpoint) else f" (for registry {endpoint.registry})"
    return f"cannot reach registry {address.netloc}{via}: {reason_of(error)}"
