"""One file by HTTP(S): streamed, bounded, revalidated when there is an earlier answer (RFC 9110, sections 8.8 and 13).

    fetch(url, write) ──▶ Fetched(etag, last_modified, …), or None when the copy that is known is still good

Redirects are followed, credentials not taken along to other hosts. Errors never show a URL's user and password.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from builder import __version__
from builder.errors import ContextError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

MAX_DOWNLOAD_BYTES = 64 << 30
UNNAMED = "__unnamed__"
"""What ADD calls a file whose URL names none (C-23)."""

_BLOCK_BYTES = 1 << 20
_MAX_REDIRECTS = 10
_RETRIES = 3
_TIMEOUT_SECONDS = 60.0


class Fetched(NamedTuple):
    """What a server said of a file. `modified` is in seconds since 1970, 0 when it did not say."""

    etag: str
    last_modified: str
    modified: int


def file_name(url: str) -> str:
    """Return what a file fetched from `url` is called."""
    name = unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2]
    return name if name not in ("", ".", "..") else UNNAMED


def without_credentials(url: str) -> str:
    """Return `url` without user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def fetch(
    url: str,
    write: Callable[[bytes], object],
    *,
    headers: Mapping[str, str] | None = None,
    known: Fetched | None = None,
    limit: int = MAX_DOWNLOAD_BYTES,
) -> Fetched | None:
    """Write the file at `url` through `write`; return None, nothing written, when it is still what was `known`.

    Raises ContextError when the server cannot be reached, refuses, stops short, or sends more than `limit` bytes.
    """
    import urllib3  # 50 ms, wanted only by builds that fetch

    shown = without_credentials(url)
    try:
        response = _open(url, dict(headers or {}) | _conditions(known))
        try:
            if response.status == 304 and known is not None:
                return None
            if response.status != 200:
                raise ContextError(
                    f"{shown}: the server answered {response.status} {response.reason or ''}".rstrip(),
                    hint="Check the address, and whether it needs credentials." if response.status < 500 else "",
                )
            _copy(response, write, limit, shown)
            return _described(response)
        finally:
            response.close()
    except urllib3.exceptions.HTTPError as error:
        raise ContextError(f"{shown} cannot be fetched: {_reason(error)}") from error


def _open(url: str, headers: dict[str, str]) -> BaseHTTPResponse:
    import urllib3

    parts = urlsplit(url)
    if "@" in parts.netloc:
        user, _, password = unquote(parts.netloc.rpartition("@")[0]).partition(":")
        headers |= urllib3.make_headers(basic_auth=f"{user}:{password}")
        url = without_credentials(url)
    headers.setdefault("User-Agent", f"pybuild/{__version__}")
    # What is stored is what was sent: an archive must not lose its compression on the way.
    headers["Accept-Encoding"] = "identity"
    retries = urllib3.Retry(total=None, connect=_RETRIES, read=0, redirect=_MAX_REDIRECTS, status=0, other=0)
    return _manager(parts.scheme, parts.hostname or "").request(
        "GET", url, headers=headers, preload_content=False, decode_content=False, retries=retries
    )


def _manager(scheme: str, host: str) -> PoolManager:
    from urllib.request import getproxies_environment, proxy_bypass

    import urllib3

    proxies = getproxies_environment()
    proxy = proxies.get(scheme) or proxies.get("all")
    if proxy and not proxy_bypass(host):
        return urllib3.ProxyManager(proxy, timeout=_TIMEOUT_SECONDS)
    return urllib3.PoolManager(timeout=_TIMEOUT_SECONDS)


def _conditions(known: Fetched | None) -> dict[str, str]:
    if known is None:
        return {}
    if known.etag:
        return {"If-None-Match": known.etag}
    return {"If-Modified-Since": known.last_modified} if known.last_modified else {}


def _copy(response: BaseHTTPResponse, write: Callable[[bytes], object], limit: int, shown: str) -> None:
    expected = response.headers.get("Content-Length", "")
    received = 0
    for block in response.stream(_BLOCK_BYTES, decode_content=False):
        received += len(block)
        if received > limit:
            raise ContextError(f"{shown} is longer than {limit} bytes, the most that is accepted")
        write(block)
    if expected.isdigit() and received != int(expected):
        raise ContextError(f"{shown} was cut short after {received} of {expected} bytes")


def _described(response: BaseHTTPResponse) -> Fetched:
    from email.utils import parsedate_to_datetime

    last_modified = response.headers.get("Last-Modified", "")
    try:
        modified = int(parsedate_to_datetime(last_modified).timestamp()) if last_modified else 0
    except (ValueError, OverflowError):
        modified = 0
    return Fetched(response.headers.get("ETag", ""), last_modified, max(modified, 0))


def _reason(error: Exception) -> str:
    """Return the innermost cause: urllib3 wraps it in its own words, the URL among them."""
    cause = getattr(error, "reason", None) or error
    if isinstance(cause, Exception) and cause is not error:
        return _reason(cause)
    reason = str(cause).rpartition(": ")[2]
    return reason.rpartition("] ")[2] or type(cause).__name__  # without "[Errno 111] "
