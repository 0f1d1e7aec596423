"""One document attached to an image in a registry: an artifact of one blob that has the image as its `subject`.

In: a client, the image's name and descriptor, bytes. Out: the artifact's digest, or the bytes again. Image-spec v1.1
manifest.md (guidelines for artifact usage), distribution-spec v1.1 (listing referrers).
"""

from __future__ import annotations

from io import BytesIO

from builder.errors import DigestMismatch, ImageError, RegistryError
from builder.oci import canonical
from builder.oci.descriptor import Descriptor, descriptor_from_json
from builder.oci.digest import Digest, digest_of
from builder.oci.media_type import OCI_MANIFEST
from builder.oci.reference import Reference
from builder.registry.client import RegistryClient

_EMPTY = Descriptor("application/vnd.oci.empty.v1+json", digest_of(b"{}"), 2)
MAX_ATTACHED_BYTES = 32 << 20
_MOST_TRIED = 8
"""Of several artifacts of one type the newest counts, and a registry gives them in any order."""


def attach(
    client: RegistryClient, image: Reference, subject: Descriptor, artifact_type: str, data: bytes, created: str
) -> Digest:
    """Attach a document to an image that the registry has; return the digest of the artifact's manifest.

    `created` is RFC 3339: of several, readers take the newest. Raises RegistryError, DigestMismatch.
    """
    blob = Descriptor(artifact_type, digest_of(data), len(data))
    for descriptor, content in ((_EMPTY, b"{}"), (blob, data)):
        client.push_blob(image, descriptor, lambda offset, content=content: BytesIO(content[offset:]))  # type: ignore[misc]
    manifest = canonical.encode(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": artifact_type,
            "config": _EMPTY.to_json(),
            "layers": [blob.to_json()],
            "subject": subject.bare().to_json(),
            "annotations": {"org.opencontainers.image.created": created},
        }
    )
    return client.put_manifest(image.with_digest(digest_of(manifest)), manifest, OCI_MANIFEST)


def find_attached(client: RegistryClient, image: Reference, subject: Digest, artifact_type: str) -> bytes | None:
    """Return the newest document of a type that is attached to an image, or None.

    Raises RegistryError; ImageError and DigestMismatch for what is not what it says.
    """
    found = client.referrers(image.with_digest(subject), artifact_type)
    newest = max(found[-_MOST_TRIED:], key=_created, default=None)
    if newest is None:
        return None
    fetched = client.get_manifest(image.with_digest(newest.digest))
    what = f"the artifact {newest.digest}"
    layers = canonical.decode(fetched.data, what).get("layers")
    if not isinstance(layers, list) or len(layers) != 1:
        raise ImageError(f"{what} is not one of one blob")
    blob = descriptor_from_json(layers[0], what)
    if blob.size > MAX_ATTACHED_BYTES:
        raise RegistryError(f"{what} has {blob.size} bytes; at most {MAX_ATTACHED_BYTES} are read")
    sink = _Collected(blob.size)
    client.fetch_blob(image, blob, sink)
    data = sink.data.getvalue()
    if digest_of(data) != blob.digest:
        raise DigestMismatch(f"{what}: its blob is not {blob.digest}")
    return data


def _created(descriptor: Descriptor) -> str:
    return descriptor.annotations.get("org.opencontainers.image.created", "")


class _Collected:
    """A sink that holds a small blob, and no byte more than it may have."""

    def __init__(self, size: int) -> None:
        self.data = BytesIO()
        self.written = 0
        self._size = size

    def write(self, data: bytes) -> int:
        if self.written + len(data) > self._size:
            raise ImageError("an attached document is longer than its descriptor says")
        self.written += len(data)
        return self.data.write(data)

    def restart(self) -> bool:
        """Forget what has come: another place gives all of it."""
        self.data, self.written = BytesIO(), 0
        return True
