"""Blobs to a registry: bytes that can be read again from anywhere → a blob there (distribution-spec v1.1, Push).

    POST  /v2/<repository>/blobs/uploads/[?mount=<digest>&from=<repository>]   201 mounted; 202 and a Location
    PUT   <Location>?digest=…       all at once, or nothing more: 201
    PATCH <Location>                one chunk, Content-Range: first-last: 202, a new Location, Range: 0-last
    GET   <Location>                204, Range: what has arrived          DELETE <Location>    forget it

A blob goes with one PUT when its size is known and nothing asks for chunks. After a connection that broke the registry
is asked what it has, and gets the rest. It checks the digest itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from typing import Protocol, runtime_checkable
from urllib.parse import urlencode

from builder.errors import DigestMismatch, PybuildError, RegistryError
from builder.oci.descriptor import Descriptor
from builder.oci.digest import digest_or_none
from builder.registry.access import Access
from builder.registry.connection import TRANSIENT_STATUSES, Block, read_error_body
from builder.registry.download import LEAST_PROGRESS_BYTES, Progress
from builder.registry.endpoint import Endpoint
from builder.registry.failure import BrokenConnection, failure
from builder.registry.scope import Scopes, repository_scopes
from builder.web.answers import Response, discard, parse_number
from builder.web.stretch import FileStretch

CHUNK_BYTES = 16 << 20
"""What one request carries of a blob whose size is not known, or whose upload broke off; more if the registry asks."""
_BLOCK_BYTES = 256 << 10
_STRETCH_BYTES = 1 << 20
"""What is sent unread between two looks whether anybody still wants it."""
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})")
_UNDECIDED = TRANSIENT_STATUSES | {404, 408, 416}
"""Answers to a chunk after which the registry is asked how much it has."""


class Reader(Protocol):
    """An open file, or what reads like one: at most `size` bytes, none at the end."""

    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


@runtime_checkable
class FileReader(Reader, Protocol):
    """One that says where in an open file its bytes lie."""

    def stretch(self, size: int, /) -> FileStretch:
        """Go on by at most `size` bytes, which are sent without being read; by none at the end. Raises OSError."""
        ...


OpenAt = Callable[[int], Reader]
"""Opens the bytes of a blob at an offset. They must be the same each time."""


def has_blob(access: Access, endpoint: Endpoint, descriptor: Descriptor) -> bool:
    """Ask whether a repository has a blob. Raises RegistryError when it does not say."""
    scopes = repository_scopes(endpoint.repository, "pull,push")
    response = access.send("HEAD", endpoint.path(f"blobs/{descriptor.digest}"), endpoint, scopes)
    discard(response)
    if response.status not in (200, 404):
        raise failure(f"blob {descriptor.digest}", response.status, b"", "push")
    return response.status == 200


class BlobUpload:
    """One blob on its way into one repository."""

    def __init__(
        self, access: Access, endpoint: Endpoint, open_at: OpenAt, progress: Progress | None = None,
        chunk_bytes: int | None = None, what: str = "a blob",
    ) -> None:  # fmt: skip
        """`chunk_bytes` None: as few requests as possible; `what` it is called in errors."""
        self._access, self._connection, self._endpoint = access, access.connection, endpoint
        self._open_at, self._progress = open_at, progress
        self._chunk_bytes = chunk_bytes
        self._least_chunk = 0
        self._url = ""
        """Where the upload goes on, always the latest Location; empty while there is none."""
        self._offset = 0
        """How many bytes the registry has."""
        self._told = 0
        """How many bytes `progress` knows of."""
        self._is_read = False
        """Whether the last byte was read: now `finish` can say what they are."""
        self._what = what

    def run(self, finish: Callable[[], Descriptor], size: int | None, mount_from: str = "") -> bool:
        """Send all bytes, or mount the blob from another repository of this registry; return whether it was mounted.

        `finish` is called after the last byte was read, and says what they are; `size` None: only it knows. Raises
        RegistryError, and what reading raises; the upload is cancelled then.
        """
        try:
            if mount_from and self._mount(finish(), mount_from):
                return True
            self._send(finish, size)
        except BaseException:
            self._cancel()
            raise
        return False

    def _mount(self, descriptor: Descriptor, source: str) -> bool:
        """Ask for a blob of another repository. Otherwise there may be an upload session now, which serves as well."""
        query = urlencode({"mount": descriptor.digest, "from": source})
        scopes = self._scopes() + repository_scopes(source, "pull")
        try:
            response = self._access.send("POST", self._endpoint.path(f"blobs/uploads/?{query}"), self._endpoint, scopes)
        except BrokenConnection:
            raise
        except RegistryError:  # no token for both repositories: without the other one there may be one
            return False
        if response.status == 202:
            self._take_location(response, self._endpoint.path("blobs/uploads/"))
        discard(response)
        return response.status == 201

    def _send(self, finish: Callable[[], Descriptor], size: int | None) -> None:
        failures = 0
        while True:
            before = self._offset
            try:
                if not self._url:
                    self._begin()
                self._send_rest(finish, size)
                break
            except _Undecided as undecided:
                failures += 1
                if failures >= self._connection.attempts:
                    raise undecided.error from undecided.error.__cause__
                self._connection.pause(failures, undecided.retry_after)
                if self._has_arrived(finish() if size is not None or self._is_read else None):
                    break
                if self._offset - before >= LEAST_PROGRESS_BYTES:
                    failures = 0
        self._url = ""
        self._tell(finish().size)

    def _begin(self) -> None:
        url = self._endpoint.path("blobs/uploads/")
        response = self._access.send("POST", url, self._endpoint, self._scopes())
        if response.status != 202:
            raise failure(f"uploading {self._what}", response.status, read_error_body(response), "push")
        discard(response)
        self._offset = 0
        self._take_location(response, url)

    def _send_rest(self, finish: Callable[[], Descriptor], size: int | None) -> None:
        """Send what the registry has not got. Raises _Undecided when it has to be asked how much that is."""
        if size is not None and self._chunk_bytes is None and not self._offset:
            self._put(finish(), size)
            return
        while count := self._next_count(size):
            self._patch(count)
        self._is_read = True
        self._put(finish(), 0)

    def _next_count(self, size: int | None) -> int:
        """Return how many bytes the next chunk has: of what is still being written as many as there are."""
        if size is not None:
            return min(size - self._offset, max(self._chunk_bytes or size, self._least_chunk))
        wanted = max(self._chunk_bytes or CHUNK_BYTES, self._least_chunk)
        count = 0
        with closing(self._open_at(self._offset)) as reader:  # read twice, so that chunks need no memory
            while count < wanted and (block := reader.read(min(_BLOCK_BYTES, wanted - count))):
                count += len(block)
        return count

    def _patch(self, count: int) -> None:
        start, url = self._offset, self._url
        headers = {"Content-Range": f"{start}-{start + count - 1}"}  # without "bytes=": the specification's own form
        response = self._transfer("PATCH", url, start, count, headers)
        if response.status != 202:
            raise failure(f"uploading {self._what}", response.status, read_error_body(response), "push")
        discard(response)
        self._take_location(response, url)
        stated = _RANGE.fullmatch(response.headers.get("Range", "").strip())
        if stated is not None and int(stated[1]) + 1 != start + count:
            raise _Undecided(RegistryError(f"uploading {self._what}: the registry did not take a whole chunk"))
        self._offset = start + count

    def _put(self, descriptor: Descriptor, count: int) -> None:
        """End the upload: with `count` bytes from here on, and the digest of all."""
        url = f"{self._url}{'&' if '?' in self._url else '?'}{urlencode({'digest': descriptor.digest})}"
        response = self._transfer("PUT", url, self._offset, count, {})
        if response.status not in (200, 201, 204):
            raise failure(f"uploading {self._what}", response.status, read_error_body(response), "push")
        discard(response)
        stated = digest_or_none(response.headers.get("Docker-Content-Digest", ""))
        if stated is not None and stated.algorithm == descriptor.digest.algorithm and stated != descriptor.digest:
            raise DigestMismatch(f"the registry has stored blob {descriptor.digest} as {stated}")

    def _transfer(self, method: str, url: str, start: int, count: int, headers: dict[str, str]) -> Response:
        """Send bytes. Raises _Undecided when nobody knows how many have arrived."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(count), **headers}
        try:
            response = self._access.send(
                method, url, self._endpoint, self._scopes(), headers,
                body=(lambda: self._blocks(start, count)) if count else b"", attempts=1, sent_on=True,
            )  # fmt: skip
        except BrokenConnection as error:
            raise _Undecided(error) from error
        if response.status in _UNDECIDED:
            refusal = failure(f"uploading {self._what}", response.status, read_error_body(response), "push")
            raise _Undecided(refusal, response.headers.get("Retry-After"))
        return response

    def _blocks(self, start: int, count: int) -> Generator[Block]:
        self._tell(start)
        left = count
        with closing(self._open_at(start)) as reader:
            while left:
                block, size = _next_block(reader, left)
                if not size:
                    raise RegistryError(f"uploading {self._what}: {left} bytes of it are missing here")
                yield block
                left -= size
                self._tell(start + count - left)

    def _has_arrived(self, descriptor: Descriptor | None) -> bool:
        """Find out where to go on: from `_offset`, or all over. Say whether the whole blob is there after all."""
        response = self._access.send("GET", self._url, self._endpoint, self._scopes())
        discard(response)
        stated = _RANGE.fullmatch(response.headers.get("Range", "").strip())
        arrived = int(stated[1]) + 1 if stated is not None else 0
        # "0-0" is one byte, and what docker-registry calls none: then nothing is lost by starting again.
        if response.status in (200, 202, 204) and arrived > 1:
            if arrived > (self._told if descriptor is None else descriptor.size):
                raise RegistryError(f"uploading {self._what}: the registry says to have more than was sent")
            if response.headers.get("Location"):
                self._take_location(response, self._url)
            self._offset = arrived
            return False
        if response.status == 404 and descriptor is not None and has_blob(self._access, self._endpoint, descriptor):
            return True  # its answer was lost, and the session has ended with the upload
        if response.status == 404:
            self._url = ""
        self._cancel()
        # docker-registry forgets all of a PUT that breaks off, but keeps whole chunks.
        self._offset, self._chunk_bytes = 0, self._chunk_bytes or CHUNK_BYTES
        return False

    def _cancel(self) -> None:
        """Let the registry forget what it has got. Nobody depends on that: it ends sessions by itself some day."""
        url, self._url = self._url, ""
        if url:
            with suppress(PybuildError):
                self._access.send("DELETE", url, self._endpoint, self._scopes(), attempts=1).close()

    def _take_location(self, response: Response, url: str) -> None:
        location = response.headers.get("Location")
        if not location:
            raise RegistryError(f"uploading {self._what}: {self._endpoint.registry} does not say where to")
        self._url = self._connection.follow(url, location, self._endpoint)
        self._least_chunk = parse_number(response.headers.get("OCI-Chunk-Min-Length", "")) or self._least_chunk

    def _tell(self, position: int) -> None:
        if self._progress is not None and position != self._told:
            self._progress(position - self._told)
        self._told = position

    def _scopes(self) -> Scopes:
        return repository_scopes(self._endpoint.repository, "pull,push")


def _next_block(reader: Reader, left: int) -> tuple[Block, int]:
    """Return what is sent next, and its size."""
    if isinstance(reader, FileReader):
        stretch = reader.stretch(min(_STRETCH_BYTES, left))
        return stretch, stretch.size
    block = reader.read(min(_BLOCK_BYTES, left))
    return block, len(block)


class _Undecided(Exception):
    """A request whose bytes may have arrived or not. `error` is what to say if that stays so."""

    def __init__(self, error: RegistryError, retry_after: str | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.retry_after = retry_after
