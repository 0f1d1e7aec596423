"""What refers to a manifest: signatures, bills of materials, attestations (distribution-spec v1.1, Listing Referrers).

    GET /v2/<repository>/referrers/<digest>?artifactType=…     an index of what has it as `subject`
    GET|PUT …/manifests/sha256-<hex>                           the same index under a tag, where that is not known

Registries that do not know of subjects leave the index to clients (Referrers Tag Schema). Of two clients that write it
at once one may lose its entry: the protocol has no way to say "only if it has not changed".
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from builder.errors import ImageError, RegistryError
from builder.oci import canonical, media_type
from builder.oci.descriptor import Descriptor, descriptor_from_json
from builder.oci.digest import Digest, parse_digest
from builder.registry.access import Access
from builder.registry.endpoint import Endpoint
from builder.registry.listing import walk_pages
from builder.registry.manifests import delete, get_manifest, put_manifest
from builder.registry.scope import repository_scopes

_MAX_REFERRERS = 100_000
_MAX_TAG = 128


def fallback_tag(digest: Digest) -> str:
    """Return the tag that stands for the referrers of `digest` (Referrers Tag Schema): sha256-<hex>."""
    return f"{digest.algorithm[:32]}-{digest.encoded[:64]}"[:_MAX_TAG]


def list_referrers(access: Access, endpoint: Endpoint, digest: Digest, artifact_type: str) -> tuple[Descriptor, ...]:
    """Return descriptors of what refers to `digest`, of `artifact_type` if that is not empty. Raises RegistryError."""
    what = f"referrers of {digest}"
    query = f"?{urlencode({'artifactType': artifact_type})}" if artifact_type else ""
    url = endpoint.path(f"referrers/{digest}{query}")
    found: list[Descriptor] = []
    try:
        scopes = repository_scopes(endpoint.repository, "pull")
        for document, response in walk_pages(access, endpoint, url, scopes, what, media_type.OCI_INDEX):
            filtered = "artifactType" in response.headers.get("OCI-Filters-Applied", "").replace(" ", "").split(",")
            found += _of_type(_entries(document, what), "" if filtered else artifact_type)
            if len(found) > _MAX_REFERRERS:
                raise RegistryError(f"{what}: there are more than {_MAX_REFERRERS}")
    except RegistryError as error:
        if error.status != 404:
            raise
        return tuple(_of_type(_read_fallback(access, endpoint, digest), artifact_type))
    return tuple(found)


def add_referrer(access: Access, endpoint: Endpoint, subject: Digest, referrer: Descriptor) -> None:
    """Put a manifest that was pushed into the index under the fallback tag of its subject. Raises RegistryError."""
    entries = _read_fallback(access, endpoint, subject)
    if all(entry.digest != referrer.digest for entry in entries):
        _write_fallback(access, endpoint, subject, [*entries, referrer])


def drop_referrer(access: Access, endpoint: Endpoint, subject: Digest, referrer: Digest) -> None:
    """Take a manifest that was deleted out of the index under the fallback tag of its subject. Raises RegistryError."""
    entries = _read_fallback(access, endpoint, subject)
    left = [entry for entry in entries if entry.digest != referrer]
    if left and len(left) < len(entries):
        _write_fallback(access, endpoint, subject, left)
    elif entries and not left:
        with suppress(RegistryError):  # an index of nothing does no harm where tags cannot be deleted
            delete(access, endpoint, f"manifests/{fallback_tag(subject)}", f"referrers of {subject}")


def subject_of(document: Mapping[str, Any], what: str) -> Digest | None:
    """Return the digest that a manifest or index refers to. Raises ImageError, ReferenceFormatError."""
    subject = document.get("subject")
    if subject is None:
        return None
    if not isinstance(subject, dict):
        raise ImageError(f"{what} has a subject that is not a descriptor")
    return parse_digest(subject.get("digest", ""))


def referrer_descriptor(document: Mapping[str, Any], kind: str, digest: Digest, size: int) -> Descriptor:
    """Return what stands for a manifest in the index of referrers: with its annotations and type of artifact."""
    config = document.get("config")
    artifact_type = document.get("artifactType") or (config.get("mediaType") if isinstance(config, dict) else "")
    annotations = document.get("annotations")
    return Descriptor(
        kind, digest, size,
        annotations=annotations if isinstance(annotations, dict) else {},
        extra={"artifactType": artifact_type} if isinstance(artifact_type, str) and artifact_type else {},
    )  # fmt: skip


def _read_fallback(access: Access, endpoint: Endpoint, subject: Digest) -> list[Descriptor]:
    what = f"referrers of {subject}"
    try:
        fetched = get_manifest(access, endpoint, fallback_tag(subject), None, what)
    except RegistryError as error:
        if error.status != 404:
            raise
        return []
    return _entries(canonical.decode(fetched.data, what), what)


def _write_fallback(access: Access, endpoint: Endpoint, subject: Digest, entries: list[Descriptor]) -> None:
    index = {
        "schemaVersion": 2,
        "mediaType": media_type.OCI_INDEX,
        "manifests": [entry.to_json() for entry in entries],
    }
    name, what = fallback_tag(subject), f"referrers of {subject}"
    put_manifest(access, endpoint, name, canonical.encode(index), media_type.OCI_INDEX, what)


def _entries(document: Mapping[str, Any], what: str) -> list[Descriptor]:
    entries = document.get("manifests")
    if not isinstance(entries, list):
        raise RegistryError(f"{what}: the registry answers with something that is not an index")
    return [descriptor_from_json(entry, what) for entry in entries]


def _of_type(entries: list[Descriptor], artifact_type: str) -> list[Descriptor]:
    return [entry for entry in entries if not artifact_type or entry.extra.get("artifactType") == artifact_type]
