"""Images for several platforms under one name: manifests in, an index in the store out (image-spec image-index.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from builder.oci import canonical
from builder.oci.canonical import MAX_DOCUMENT_BYTES
from builder.oci.descriptor import Descriptor
from builder.oci.manifest import Index, parse_manifest
from builder.oci.media_type import INDEX_TYPES, OCI_INDEX
from builder.store.store import Store


def assemble_index(
    store: Store, manifests: Sequence[Descriptor], annotations: Mapping[str, str] | None = None
) -> Descriptor:
    """Write an index of `manifests`, each with its platform, and return its descriptor."""
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [manifest.to_json() for manifest in manifests],
    }
    if annotations:
        document["annotations"] = dict(annotations)
    data = canonical.encode(document)
    return Descriptor(media_type=OCI_INDEX, digest=store.blobs.put(data), size=len(data))


def is_index(descriptor: Descriptor) -> bool:
    return descriptor.media_type in INDEX_TYPES


def walk_manifests(store: Store, descriptor: Descriptor) -> Iterator[Descriptor]:
    """Yield the manifests an index leads to, in its order; a manifest yields itself."""
    if not is_index(descriptor):
        yield descriptor
        return
    data = store.blobs.read(descriptor.digest, MAX_DOCUMENT_BYTES)
    document = parse_manifest(data, descriptor.media_type, f"index {descriptor.digest}")
    if isinstance(document, Index):
        for child in document.manifests:
            yield from walk_manifests(store, child) if child.digest != descriptor.digest else ()
