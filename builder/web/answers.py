"""What both kinds of client do with answers: where a redirect leads, what a body may weigh, which proxy is asked."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin

import urllib3

from builder.web.address import Address, AddressError, is_loopback, parse_address

Response = urllib3.BaseHTTPResponse
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 10

_NUMBER = re.compile(r"[0-9]{1,18}")
_CREDENTIAL_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
_READ_TO_REUSE_BYTES = 64 << 10
"""A longer body costs more than the new connection that spares it."""


def redirected(old: Address, location: str, headers: Mapping[str, str]) -> tuple[Address, dict[str, str]]:
    """Return where a redirect leads and the headers to take along: to another server no credentials.

    Raises AddressError for what is not HTTP(S).
    """
    try:  # http.client gives bytes as Latin-1; servers mean UTF-8
        text = urljoin(old.url, location.encode("latin-1", "replace").decode("utf-8", "surrogateescape"))
    except ValueError as error:
        shown = location.partition("?")[0][:200]
        raise AddressError(f"{shown!r} cannot be used as an address: {error}") from error
    try:
        new = parse_address(text)
    except AddressError as error:
        bare = parse_address(text.partition("?")[0])  # says the same without the query, which may carry a signature
        raise AddressError(f"{bare.url[:200]!r} is followed by what is no query") from error
    kept = dict(headers)
    if (old.scheme, old.netloc) != (new.scheme, new.netloc):
        kept = {key: value for key, value in kept.items() if key.lower() not in _CREDENTIAL_HEADERS}
    return new, kept


def discard(response: Response) -> None:
    """Be done with an answer whose body nobody wants: read a short one, so that its connection serves again."""
    length = response.length_remaining  # none of an answer to HEAD, whatever its Content-Length says
    if length is None or length > _READ_TO_REUSE_BYTES:
        response.close()
        return
    with suppress(urllib3.exceptions.HTTPError):
        response.read(_READ_TO_REUSE_BYTES)
    response.release_conn()


def parse_number(text: str) -> int | None:
    """Return a number as headers carry them, None for anything else, what no 64 bits hold included."""
    digits = text.strip()
    return int(digits) if _NUMBER.fullmatch(digits) else None


def parse_wait(text: str, now: float) -> float | None:
    """Return the seconds that a Retry-After asks for, None for what is none. `now` is in seconds since 1970."""
    seconds = parse_number(text)
    if seconds is not None:
        return float(seconds)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def open_pools(address: Address, **options: Any) -> urllib3.PoolManager:
    """Return connections to `address`, through the proxy that the environment names. Raises AddressError."""
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get(address.scheme) or proxies.get("all") or ""
    if not proxy or is_loopback(address.netloc) or urllib.request.proxy_bypass(address.host):
        return urllib3.PoolManager(**options)
    try:
        server = parse_address(proxy if "://" in proxy else f"http://{proxy}")
    except AddressError as error:
        raise AddressError(f"the proxy that the environment names: {error}") from error
    headers = {"Proxy-Authorization": server.authorization} if server.credentials else None
    return urllib3.ProxyManager(server.url, proxy_headers=headers, **options)
