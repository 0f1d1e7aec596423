"""Manifests and indexes: exact bytes from and to a registry (distribution-spec v1.1, Pull and Push).

GET|HEAD|PUT|DELETE /v2/<repository>/manifests/<tag or digest>
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from builder.errors import DigestMismatch, ImageError, RegistryError
from builder.oci import canonical, media_type
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest, digest_of, digest_or_none, parse_digest
from builder.registry.access import Access
from builder.registry.connection import read_error_body, read_limited
from builder.registry.endpoint import Endpoint
from builder.registry.failure import failure
from builder.registry.scope import repository_scopes
from builder.web.answers import Response, discard, parse_number

_MANIFEST_TYPES = media_type.INDEX_TYPES | media_type.MANIFEST_TYPES | {media_type.DOCKER_MANIFEST_V1}
# Everything we can read must be listed: registries answer 404 for a manifest whose type isn't (docker-registry 2.8).
_ACCEPT = ", ".join(sorted(_MANIFEST_TYPES))
_VAGUE_TYPES = frozenset({"", "application/json", "application/octet-stream", "text/plain", "binary/octet-stream"})


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """The exact bytes of a manifest or index, with the type they were delivered as ("" when that says nothing)."""

    data: bytes
    media_type: str
    digest: Digest


def get_manifest(access: Access, endpoint: Endpoint, name: str, expected: Digest | None, what: str) -> FetchedManifest:
    """Fetch the manifest that `name`, a tag or a digest, stands for; `what` it is called in errors.

    Raises RegistryError; DigestMismatch when its bytes are others than `expected` or than the registry says.
    """
    response = _ask(access, "GET", endpoint, name)
    if response.status != 200:
        raise failure(what, response.status, read_error_body(response))
    kind, stated = _kind(response), response.headers.get("Docker-Content-Digest", "")
    data = read_limited(response, canonical.MAX_DOCUMENT_BYTES, f"manifest {what}")
    digest = verified(data, expected, stated, f"manifest {what}")
    if kind not in _MANIFEST_TYPES and kind not in _VAGUE_TYPES:
        raise RegistryError(
            f"{what}: {endpoint.registry} answers with {kind!r:.100}, which is not a manifest",
            hint="Is this address a container registry?",
        )
    return FetchedManifest(data, "" if kind in _VAGUE_TYPES else kind, digest)


def head_manifest(access: Access, endpoint: Endpoint, name: str, what: str) -> tuple[str, Digest | None, int | None]:
    """Ask for media type, digest and size of what is named, as far as the registry says. Raises RegistryError."""
    response = _ask(access, "HEAD", endpoint, name)
    discard(response)
    if response.status != 200:
        raise failure(what, response.status, b"")
    kind = _kind(response)
    size = parse_number(response.headers.get("Content-Length", ""))
    return "" if kind in _VAGUE_TYPES else kind, digest_or_none(response.headers.get("Docker-Content-Digest", "")), size


def describe(access: Access, endpoint: Endpoint, name: str, expected: Digest | None, what: str) -> Descriptor:
    """Return the descriptor of what a tag or digest names; it is fetched only where HEAD does not say enough."""
    kind, digest, size = head_manifest(access, endpoint, name, what)
    if kind and digest and size is not None and expected in (None, digest):
        return Descriptor(kind, digest, size)
    fetched = get_manifest(access, endpoint, name, expected, what)
    return Descriptor(_type_of(fetched.data, fetched.media_type, what), fetched.digest, len(fetched.data))


def put_manifest(
    access: Access, endpoint: Endpoint, name: str, data: bytes, kind: str, what: str
) -> tuple[Digest, bool]:
    """Store exact bytes under a tag or their digest; return the digest, and whether their subject was understood.

    Blobs and, of an index, manifests must be there already. Raises RegistryError; DigestMismatch when `name` is another
    digest than that of the bytes, or the registry says it is; ImageError when they say to be of another type.
    """
    kind = _type_of(data, kind, what)
    named = digest_or_none(name)
    digest = verified(data, named, "", what)
    response = access.send(
        "PUT", endpoint.path(f"manifests/{name}"), endpoint, repository_scopes(endpoint.repository, "pull,push"),
        {"Content-Type": kind, "Accept": "*/*"}, body=data, sent_on=True,
    )  # fmt: skip
    # A page of a proxy's says 200 to everything.
    if response.status not in (200, 201, 202) or response.headers.get("Content-Type", "").startswith("text/html"):
        raise failure(f"pushing {what}", response.status, read_error_body(response), "push")
    discard(response)
    verified(data, None, response.headers.get("Docker-Content-Digest", ""), f"the registry's copy of {what}")
    return digest, bool(response.headers.get("OCI-Subject"))


def delete(access: Access, endpoint: Endpoint, path: str, what: str) -> None:
    """Delete a manifest, a tag or a blob. Raises RegistryError, with status 405 or 400 where that is switched off."""
    scopes = repository_scopes(endpoint.repository, "pull,push,delete")
    response = access.send("DELETE", endpoint.path(path), endpoint, scopes)
    if response.status not in (200, 202, 204):
        raise failure(f"deleting {what}", response.status, read_error_body(response), "delete")
    discard(response)


def verified(data: bytes, expected: Digest | None, stated: str, what: str) -> Digest:
    """Return the digest of `data`, having compared it with what was asked for and what the registry states."""
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


def _ask(access: Access, method: str, endpoint: Endpoint, name: str) -> Response:
    scopes = repository_scopes(endpoint.repository, "pull")
    return access.send(method, endpoint.path(f"manifests/{name}"), endpoint, scopes, {"Accept": _ACCEPT})


def _kind(response: Response) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _type_of(data: bytes, delivered: str, what: str) -> str:
    """Return the type of a manifest: its own word, which must be the one beside it (CVE-2021-41190)."""
    own = canonical.decode(data, what).get("mediaType")
    if isinstance(own, str) and own:
        if delivered and delivered != own:
            raise ImageError(f"{what} says to be {own!r:.100}, but goes as {delivered!r:.100}")
        return own
    if not delivered:
        raise ImageError(f"{what} does not say of which type it is")
    return delivered
