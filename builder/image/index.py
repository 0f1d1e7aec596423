"""Images of several platforms in; the blob of an index in the store out (image-spec image-index.md).

Apart from assemble.py, as who packs an image to send it plans none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from builder.oci import canonical, media_type
from builder.oci.descriptor import Descriptor
from builder.store.store import Store


def assemble_index(
    store: Store, manifests: Sequence[Descriptor], annotations: Mapping[str, str] | None = None
) -> Descriptor:
    """Write an index of `manifests`, each with its platform, and return its descriptor."""
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type.OCI_INDEX,
        "manifests": [manifest.to_json() for manifest in manifests],
    }
    if annotations:
        document["annotations"] = dict(annotations)
    data = canonical.encode(document)
    return Descriptor(media_type=media_type.OCI_INDEX, digest=store.blobs.put(data), size=len(data))
