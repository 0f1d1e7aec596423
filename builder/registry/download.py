"""Blobs from a registry: a descriptor → bytes in a sink, going on where a connection broke (distribution-spec, Pull).

    GET /v2/<repository>/blobs/<digest>     Range: bytes=N-

What arrives is counted here and checked against digest and size by the sink, over all answers together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import urllib3

from builder.errors import RegistryError, counted
from builder.oci.descriptor import Descriptor
from builder.registry.access import Access
from builder.registry.connection import read_error_body
from builder.registry.endpoint import Endpoint
from builder.registry.failure import failure
from builder.registry.scope import Scopes, repository_scopes
from builder.web.answers import Response
from builder.web.reason import reason_of

BLOCK_BYTES = 1 << 20
LEAST_PROGRESS_BYTES = 64 << 10
"""What a transfer that breaks off has to bring to count as progress: a byte an answer goes on for ever."""

Progress = Callable[[int], None]
"""Told of each block, in bytes; a negative number takes back what has to be sent again."""


class Sink(Protocol):
    """Where a blob goes: `written` bytes so far, and `write`. builder.store.content.Ingest is one."""

    written: int

    def write(self, data: bytes, /) -> int: ...

    def restart(self) -> bool:
        """Forget what was written, and say so; False where the bytes have gone on to somebody."""
        ...


def fetch_blob(
    access: Access, endpoint: Endpoint, descriptor: Descriptor, sink: Sink, progress: Progress | None = None
) -> None:
    """Write a blob's bytes to `sink`. Raises RegistryError when the registry has not got it or keeps breaking off."""
    scopes = repository_scopes(endpoint.repository, "pull")
    try:
        _download(access, endpoint, endpoint.path(f"blobs/{descriptor.digest}"), scopes, descriptor, sink, progress)
    except RegistryError as error:
        urls = descriptor.extra.get("urls")
        if error.status != 404 or sink.written or not isinstance(urls, list):
            raise
        _fetch_foreign(access, [url for url in urls if isinstance(url, str)], descriptor, sink, progress, error)


def _fetch_foreign(
    access: Access, urls: list[str], descriptor: Descriptor, sink: Sink, progress: Progress | None,
    error: RegistryError,
) -> None:  # fmt: skip
    """Fetch a layer from the addresses its descriptor names: anybody's servers, so never with credentials."""
    for url in urls:
        if url.startswith(("https://", "http://")):
            host = url.split("/")[2]
            try:
                _download(access, Endpoint(host, host, url.partition(":")[0]), url, (), descriptor, sink, progress)
                return
            except RegistryError as failed:
                error = failed
    raise error


def _download(
    access: Access, endpoint: Endpoint, url: str, scopes: Scopes, descriptor: Descriptor, sink: Sink,
    progress: Progress | None,
) -> None:  # fmt: skip
    connection = access.connection
    failures = 0
    while sink.written < descriptor.size or (descriptor.size == 0 and failures == 0):
        before = sink.written
        headers = {"Range": f"bytes={before}-"} if before else {}
        response = access.send("GET", url, endpoint, scopes, headers)
        if response.status not in (200, 206):
            raise failure(f"blob {descriptor.digest}", response.status, read_error_body(response))
        reason = _transfer(access, response, _to_skip(response, before), sink, progress)
        if sink.written >= descriptor.size:
            return
        failures = 1 if sink.written - before >= LEAST_PROGRESS_BYTES else failures + 1
        if failures >= connection.attempts:
            raise RegistryError(
                f"blob {descriptor.digest}: {endpoint.registry} breaks off after {sink.written} of"
                f" {counted(descriptor.size, 'byte')}: {reason}",
                hint="Try again; what was fetched completely is kept.",
            )
        connection.pause(failures)


def _transfer(access: Access, response: Response, skip: int, sink: Sink, progress: Progress | None) -> str:
    """Copy the body; returns why it ended early, if it did."""
    try:
        while True:
            try:
                block = response.read(BLOCK_BYTES)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                response.close()
                return reason_of(error)
            if not block:
                response.release_conn()
                return "the answer is too short"
            access.connection.check_cancelled()
            fresh = block[skip:] if skip else block
            skip = max(0, skip - len(block))
            if fresh:
                sink.write(fresh)  # an OSError of its own is no failure of the network
                if progress is not None:
                    progress(len(fresh))
    except BaseException:
        response.close()
        raise


def _to_skip(response: Response, wanted: int) -> int:
    """Return how many bytes of the answer we already have: all before `wanted` when the registry starts again."""
    if response.status == 200 or not wanted:
        return wanted if response.status == 200 else 0
    start = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0].strip()
    if start != str(wanted):
        response.close()
        raise RegistryError(f"the registry resumes at byte {start or '?'}, not at {wanted} as asked")
    return 0
