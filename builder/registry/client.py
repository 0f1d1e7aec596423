"""The distribution client: names to manifests, descriptors to bytes (distribution-spec v1.1, Pull).

    GET|HEAD /v2/<repository>/manifests/<tag or digest>       GET /v2/<repository>/blobs/<digest>
    GET      /v2/<repository>/tags/list

In: references and descriptors. Out: bytes that have been checked against their digest and size. Nothing is stored here:
blobs are written to a sink. Importing this file imports urllib3; a cached build doesn't.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import urllib3

from builder.errors import DigestMismatch, ReferenceFormatError, RegistryError
from builder.oci import canonical, media_type
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest, digest_of, parse_digest
from builder.oci.reference import Reference
from builder.registry.authorization import Authorizer
from builder.registry.connection import Connection, read_error_body, read_limited
from builder.registry.endpoint import Endpoint, endpoint_of
from builder.registry.failure import failure
from builder.web.answers import Response, discard
from builder.web.reason import reason_of

# Everything we can read must be listed: registries answer 404 for a manifest whose type isn't (docker-registry 2.8).
_ACCEPT = ", ".join(sorted(media_type.INDEX_TYPES | media_type.MANIFEST_TYPES | {media_type.DOCKER_MANIFEST_V1}))
_MANIFEST_TYPES = media_type.INDEX_TYPES | media_type.MANIFEST_TYPES | {media_type.DOCKER_MANIFEST_V1}
_VAGUE_TYPES = frozenset({"", "application/json", "application/octet-stream", "text/plain", "binary/octet-stream"})
_BLOCK_BYTES = 1 << 20
_LEAST_PROGRESS_BYTES = 64 << 10
"""What an answer that breaks off has to bring to count as progress: a byte an answer goes on for ever."""
_MAX_TAGS_BYTES = 4 << 20


class Sink(Protocol):
    """Where a blob goes: `written` bytes so far, and `write`. builder.store.content.Ingest is one."""

    written: int

    def write(self, data: bytes) -> int: ...


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """The exact bytes of a manifest or index, with the type they were delivered as ("" when that says nothing)."""

    data: bytes
    media_type: str
    digest: Digest


class RegistryClient:
    """Pulls from any registry. Safe for threads."""

    def __init__(self, connection: Connection | None = None, environ: Mapping[str, str] = os.environ) -> None:
        self.connection = connection or Connection()
        self._environ = environ
        self._authorizer = Authorizer(self.connection, environ)

    def get_manifest(self, reference: Reference) -> FetchedManifest:
        """Fetch what a tag or digest names. Raises RegistryError; DigestMismatch when the bytes are other ones."""
        endpoint = endpoint_of(reference.registry, reference.repository, self._environ)
        url = endpoint.url(f"/v2/{reference.repository}/manifests/{reference.digest or reference.tag}")
        what = f"manifest {reference}"
        response = self._request("GET", url, endpoint, reference.repository, {"Accept": _ACCEPT})
        if response.status != 200:
            raise failure(str(reference), response.status, read_error_body(response))
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        stated = response.headers.get("Docker-Content-Digest", "")
        data = read_limited(response, canonical.MAX_DOCUMENT_BYTES, what)
        digest = _verified(data, reference.digest, stated, what)
        if kind not in _MANIFEST_TYPES and kind not in _VAGUE_TYPES:
            raise RegistryError(
                f"{reference}: {endpoint.registry} answers with {kind!r:.100}, which is not a manifest",
                hint="Is this address a container registry?",
            )
        return FetchedManifest(data, "" if kind in _VAGUE_TYPES else kind, digest)

    def resolve_tag(self, reference: Reference) -> Digest | None:
        """Ask what a tag names without fetching it; None when the registry doesn't tell. Raises RegistryError."""
        endpoint = endpoint_of(reference.registry, reference.repository, self._environ)
        url = endpoint.url(f"/v2/{reference.repository}/manifests/{reference.digest or reference.tag}")
        response = self._request("HEAD", url, endpoint, reference.repository, {"Accept": _ACCEPT})
        status, stated = response.status, response.headers.get("Docker-Content-Digest", "")
        discard(response)
        if status != 200:
            raise failure(str(reference), status, b"")
        try:
            return parse_digest(stated)
        except ReferenceFormatError:
            return None

    def fetch_blob(
        self, reference: Reference, descriptor: Descriptor, sink: Sink, progress: Callable[[int], None] | None = None
    ) -> None:
        """Write a blob's bytes to `sink`, resuming where the connection breaks. The sink checks digest and size.

        Raises RegistryError when the registry has not got it or keeps breaking off.
        """
        path = f"/v2/{reference.repository}/blobs/{descriptor.digest}"
        endpoint = endpoint_of(reference.registry, reference.repository, self._environ)
        try:
            self._download(endpoint, endpoint.url(path), reference.repository, descriptor, sink, progress)
        except RegistryError as error:
            urls = descriptor.extra.get("urls")
            if error.status != 404 or sink.written or not isinstance(urls, list):
                raise
            self._fetch_foreign([url for url in urls if isinstance(url, str)], descriptor, sink, progress, error)

    def list_tags(self, reference: Reference) -> list[str]:
        """Return the tags of a repository, as many as the first page holds. Raises RegistryError."""
        endpoint = endpoint_of(reference.registry, reference.repository, self._environ)
        url = endpoint.url(f"/v2/{reference.repository}/tags/list")
        response = self._request("GET", url, endpoint, reference.repository, {"Accept": "application/json"})
        if response.status != 200:
            raise failure(reference.name, response.status, read_error_body(response))
        try:
            tags = json.loads(read_limited(response, _MAX_TAGS_BYTES, f"tags of {reference.name}"))["tags"] or []
            return [tag for tag in tags if isinstance(tag, str)]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RegistryError(f"{reference.name}: the list of tags is malformed") from error

    def _fetch_foreign(
        self, urls: list[str], descriptor: Descriptor, sink: Sink, progress: Callable[[int], None] | None,
        error: RegistryError,
    ) -> None:  # fmt: skip
        """Fetch a layer from the addresses its descriptor names: anybody's servers, so never with credentials."""
        for url in urls:
            if url.startswith(("https://", "http://")):
                host = url.split("/")[2]
                self._download(Endpoint(host, host, url.partition(":")[0]), url, None, descriptor, sink, progress)
                return
        raise error

    def _download(
        self, endpoint: Endpoint, url: str, repository: str | None, descriptor: Descriptor, sink: Sink,
        progress: Callable[[int], None] | None,
    ) -> None:  # fmt: skip
        failures = 0
        while sink.written < descriptor.size or (descriptor.size == 0 and failures == 0):
            before = sink.written
            headers = {"Range": f"bytes={before}-"} if before else {}
            response = self._request("GET", url, endpoint, repository, headers)
            if response.status not in (200, 206):
                raise failure(f"blob {descriptor.digest}", response.status, read_error_body(response))
            reason = self._transfer(response, _to_skip(response, before), sink, progress)
            if sink.written >= descriptor.size:
                return
            failures = 1 if sink.written - before >= _LEAST_PROGRESS_BYTES else failures + 1
            if failures >= self.connection.attempts:
                raise RegistryError(
                    f"blob {descriptor.digest}: {endpoint.registry} breaks off after {sink.written} of"
                    f" {descriptor.size} bytes: {reason}",
                    hint="Try again; what was fetched completely is kept.",
                )
            self.connection.pause(failures)

    def _transfer(self, response: Response, skip: int, sink: Sink, progress: Callable[[int], None] | None) -> str:
        """Copy the body; returns why it ended early, if it did."""
        try:
            while block := response.read(_BLOCK_BYTES):
                self.connection.check_cancelled()
                fresh = block[skip:] if skip else block
                skip = max(0, skip - len(block))
                if fresh:
                    sink.write(fresh)
                    if progress is not None:
                        progress(len(fresh))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            response.close()
            return reason_of(error)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return "the answer is too short"

    def _request(
        self, method: str, url: str, endpoint: Endpoint, repository: str | None, headers: dict[str, str]
    ) -> Response:
        """Send a request, with authorization once the registry asks for it. `repository` None: never."""
        if repository is None:
            return self.connection.request(method, url, headers, endpoint=endpoint)
        scope = f"repository:{repository}:pull"
        header = self._authorizer.header(endpoint, scope)
        for _ in range(2):
            sent = {**headers, "Authorization": header} if header else headers
            response = self.connection.request(method, url, sent, endpoint=endpoint)
            if response.status != 401:
                return response
            answer = self._authorizer.answer(endpoint, repository, scope, response)
            if not answer or answer == header:
                return response
            header = answer
            discard(response)
        return self.connection.request(method, url, {**headers, "Authorization": header}, endpoint=endpoint)


def _verified(data: bytes, expected: Digest | None, stated: str, what: str) -> Digest:
    """Return the digest of `data`, having compared it with what was asked for and what the registry states."""
    import hashlib

    for digest in (expected, stated):
        if not digest:
            continue
        claimed = parse_digest(digest)
        actual = Digest(f"{claimed.algorithm}:{hashlib.new(claimed.algorithm, data).hexdigest()}")
        if actual != claimed:
            raise DigestMismatch(
                f"{what} has other bytes than its digest {claimed} says: they are {actual}",
                hint="The registry or something on the way to it is broken or hostile.",
            )
    return expected or digest_of(data)


def _to_skip(response: Response, wanted: int) -> int:
    """Return how many bytes of the answer we already have: all before `wanted` when the registry starts again."""
    if response.status == 200 or not wanted:
        return wanted if response.status == 200 else 0
    start = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0].strip()
    if start != str(wanted):
        response.close()
        raise RegistryError(f"the registry resumes at byte {start or '?'}, not at {wanted} as asked")
    return 0
