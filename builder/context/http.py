"""One file by HTTP(S): streamed, bounded, revalidated when there is an earlier answer (RFC 9110, sections 8.8 and 13).

    fetch(url, write) ──▶ Fetched(etag, last_modified, …), or None when the copy that is known is still good

Redirects are followed, credentials not taken along to other servers. Errors never show a URL's user and password.
A body that is gzip on the way is decoded, asked for or not; every other coding stays, as with BuildKit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_tz
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import urllib3

from builder import __version__
from builder.context.gunzip import Gunzip
from builder.errors import ContextError, counted
from builder.web.address import Address, AddressError, parse_address, without_credentials
from builder.web.answers import MAX_REDIRECTS, REDIRECTS, Response, open_pools, parse_number, redirected
from builder.web.patience import PATIENCE, Patience, watch
from builder.web.reason import reason_of

MAX_DOWNLOAD_BYTES = 64 << 30
UNNAMED = "__unnamed__"
"""What ADD calls a file whose URL names none (C-23)."""

_BLOCK_BYTES = 1 << 20
_ATTEMPTS = 3
"""Attempts to make a connection."""
_MAX_HEADER_CHARACTERS = 1000


class Fetched(NamedTuple):
    """What a server said of a file. `modified` is in seconds since 1970, 0 when it did not say."""

    etag: str
    last_modified: str
    modified: int


def file_name(url: str) -> str:
    """Return what a file fetched from `url` is called."""
    name = unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2]
    return name if name not in ("", ".", "..") else UNNAMED


def fetch(
    url: str,
    write: Callable[[bytes], object],
    *,
    headers: Mapping[str, str] | None = None,
    known: Fetched | None = None,
    limit: int = MAX_DOWNLOAD_BYTES,
    patience: Patience | None = None,
    check: Callable[[], None] = lambda: None,
) -> Fetched | None:
    """Write the file at `url` through `write`; return None, nothing written, when it is still what was `known`.

    Raises ContextError when the server cannot be reached, refuses, stops short, or sends more than `limit` bytes; and
    what `check` raises, which is called while it waits.
    """
    shown = without_credentials(url)
    try:
        response = _open(parse_address(url), dict(headers or {}) | _conditions(known), patience, check)
        try:
            if response.status == 304 and known is not None:
                return None
            _check_status(response, shown)
            _copy(response, write, limit, shown)
            return _described(response)
        finally:
            response.close()
    except AddressError as error:
        raise ContextError(str(error)) from error
    except urllib3.exceptions.HTTPError as error:
        raise ContextError(f"{shown} cannot be fetched: {reason_of(error)}") from error


def _open(address: Address, headers: dict[str, str], patience: Patience | None, check: Callable[[], None]) -> Response:
    """Ask for a file and follow redirects, no further than MAX_REDIRECTS."""
    headers.setdefault("User-Agent", f"pybuild/{__version__}")
    # What is stored is what was sent: an archive must not lose its compression on the way.
    headers["Accept-Encoding"] = "identity"
    start = address
    for _ in range(MAX_REDIRECTS + 1):
        if address.credentials:
            headers["Authorization"] = address.authorization
        response = _ask(address, headers, patience, check)
        location = response.headers.get("Location")
        if response.status not in REDIRECTS or not location:
            return response
        response.close()
        address, headers = redirected(address, location, headers)
    raise ContextError(f"{start.url} cannot be fetched: it redirects more than {MAX_REDIRECTS} times")


def _ask(address: Address, headers: dict[str, str], patience: Patience | None, check: Callable[[], None]) -> Response:
    times = patience or PATIENCE
    # Only connections are tried again: of an answer that has begun, a part may have been written.
    return watch(open_pools(address), times, check).request(
        "GET", address.url, headers=headers, preload_content=False, decode_content=False, redirect=False,
        retries=urllib3.Retry(total=None, connect=_ATTEMPTS, read=0, redirect=0, status=0, other=0),
        timeout=urllib3.Timeout(connect=times.connect_seconds, read=times.silence_seconds),
    )  # fmt: skip


def _conditions(known: Fetched | None) -> dict[str, str]:
    if known is None:
        return {}
    if known.etag:  # a server that knows it ignores the date beside it (RFC 9110 §13.1.3)
        return {"If-None-Match": known.etag}
    return {"If-Modified-Since": known.last_modified} if known.last_modified else {}


def _check_status(response: Response, shown: str) -> None:
    """Accept every success (BuildKit does), but no part in place of the whole. Raises ContextError."""
    if not 200 <= response.status < 300:
        reason = _kept(response.reason or "")[:100]
        raise ContextError(
            f"{shown}: the server answered {response.status} {reason}".rstrip(),
            hint="Check the address, and whether it needs credentials." if response.status < 500 else "",
        )
    part = response.headers.get("Content-Range", "").removeprefix("bytes").strip()
    span, _, total = part.partition("/")
    first, _, last = span.partition("-")
    whole = first == "0" and total.isdecimal() and last.isdecimal() and len(total) < 20 and int(last) + 1 == int(total)
    if response.status == 206 and part and not whole:
        raise ContextError(
            f"{shown}: the server gave bytes {_kept(part)[:80]} alone, and nobody asked for a part",
            hint="Something between the server and here answers out of its own memory; try again without it.",
        )


def _copy(response: Response, write: Callable[[bytes], object], limit: int, shown: str) -> None:
    stated = response.headers.get("Content-Length")
    expected = parse_number(stated) if stated is not None else None
    if stated is not None and expected is None:
        raise ContextError(f"{shown} cannot be fetched: its server says that it is {_kept(stated)[:40]!r} bytes long")
    coded = response.headers.get("Content-Encoding", "").lower() == "gzip"
    target = Gunzip(write, limit, shown) if coded else None
    received = 0
    for block in response.stream(_BLOCK_BYTES, decode_content=False):
        received += len(block)
        if received > limit:
            raise ContextError(f"{shown} is longer than {limit} bytes, the most that is accepted")
        (target.write if target is not None else write)(block)
    # Where a body comes in chunks, Content-Length says nothing (RFC 9112 §6.3).
    if expected is not None and received != expected and not response.chunked:
        raise ContextError(f"{shown} was cut short after {received} of {counted(expected, 'byte')}")
    if target is not None:
        target.finish()


def _described(response: Response) -> Fetched:
    last_modified = _kept(response.headers.get("Last-Modified", ""))
    return Fetched(_kept(response.headers.get("ETag", "")), last_modified, _seconds(last_modified))


def _kept(header: str) -> str:
    """Return a header that may be shown and sent back, nothing of one that may not."""
    return header if len(header) <= _MAX_HEADER_CHARACTERS and header.isprintable() else ""


def _seconds(date: str) -> int:
    """Return an HTTP date (RFC 9110 §5.6.7: GMT in each of its three forms) in seconds since 1970, 0 for no date."""
    try:
        parts = parsedate_tz(date)
        if parts is None or parts[9] not in (None, 0):
            return 0
        year, month, day, hour, minute, second = parts[:6]
        return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
    except (ValueError, OverflowError, IndexError, TypeError):
        return 0  # the parser's own answers to what is no date
