"""What of an image is in the store already. Reads the database and stat(2), never a network.

In: a manifest of the store. Out: its image, and the records of its layers.
"""

from __future__ import annotations

from builder.errors import ImageError
from builder.image.image import Image, load_image
from builder.oci.canonical import MAX_DOCUMENT_BYTES
from builder.oci.descriptor import Descriptor
from builder.oci.digest import DiffID, Digest
from builder.oci.manifest import Index, parse_manifest
from builder.store.layers import LayerRecord
from builder.store.store import Store


def load_manifest(store: Store, digest: Digest) -> Image:
    """Read an image whose manifest and config are in the store, by the manifest's digest alone."""
    data = store.blobs.read(digest, MAX_DOCUMENT_BYTES)
    document = parse_manifest(data, "", f"manifest {digest}")
    if isinstance(document, Index):
        raise ImageError(f"{digest} is an index of images, not one image")
    descriptor = Descriptor(media_type=document.media_type, digest=digest, size=len(data))
    return load_image(store.blobs, descriptor)


def find_layer_records(store: Store, image: Image) -> tuple[LayerRecord, ...] | None:
    """Return the layers of an image if all are here, indexed; None otherwise. Reads only the database and stat(2)."""
    found: list[LayerRecord] = []
    for descriptor, diff_id in zip(image.manifest.layers, image.config.diff_ids, strict=True):
        record = find_layer(store, descriptor, diff_id)
        if record is None:
            return None
        found.append(record)
    return tuple(found)


def find_layer(store: Store, descriptor: Descriptor, diff_id: DiffID) -> LayerRecord | None:
    """Return the layer in the form that a manifest names, or in any."""
    record = store.layers.find(diff_id)
    if record is None or record.descriptor.digest == descriptor.digest or not store.blobs.has(descriptor.digest):
        return record
    # Here in two forms: an image built on this one keeps the form its base names.
    return LayerRecord(
        descriptor=descriptor.bare(),
        diff_id=diff_id,
        entries=record.entries,
        files=record.files,
        bytes=record.bytes,
    )
