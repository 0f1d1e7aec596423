"""Images for several platforms under one name: an index of their manifests (image-spec image-index.md)."""

from __future__ import annotations

from collections.abc import Sequence

from builder.oci import canonical
from builder.oci.descriptor import Descriptor
from builder.oci.media_type import OCI_INDEX
from builder.store.store import Store


def assemble_index(store: Store, manifests: Sequence[Descriptor]) -> Descriptor:
    """Write an index of `manifests`, which name their platforms; return its descriptor. Raises StoreError."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [manifest.to_json() for manifest in manifests],
    }
    data = canonical.encode(document)
    return Descriptor(media_type=OCI_INDEX, digest=store.blobs.put(data), size=len(data))
