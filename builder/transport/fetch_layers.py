"""The layers of an image of the store, made sure to be here: fetched in parallel, each checked.

Here means: the blob (exact bytes), its table of contents, and the row that ties them to the diff ID. A layer that is
here in any form is not fetched.
"""

from __future__ import annotations

from collections.abc import Callable

from builder.errors import StoreError
from builder.image.image import Image
from builder.oci.descriptor import Descriptor
from builder.oci.digest import DiffID, Digest
from builder.store.layers import LayerRecord
from builder.store.store import Store
from builder.transport.copy import copy_blobs
from builder.transport.layer_index import index_layer
from builder.transport.places.store import StoreDestination, StoreSource
from builder.transport.present import find_layer, find_layer_records
from builder.transport.progress import Report, ignore_progress
from builder.transport.source import Source


def layer_records(
    store: Store, image: Image, source: Callable[[], Source], report: Report = ignore_progress
) -> tuple[LayerRecord, ...]:
    """Return the layers of an image, base first, fetching and indexing what is missing.

    `source` is called only if a blob has to be fetched. Raises RegistryError, TransportError, DigestMismatch,
    LayerError, StoreError.
    """
    if (found := find_layer_records(store, image)) is not None:
        return found
    missing: dict[Digest, Descriptor] = {}
    diff_ids: dict[Digest, set[DiffID]] = {}
    for diff_id, descriptor in zip(image.config.diff_ids, image.manifest.layers, strict=True):
        if find_layer(store, descriptor, diff_id) is None:
            missing[descriptor.digest] = descriptor
            diff_ids.setdefault(descriptor.digest, set()).add(diff_id)

    def index(blob: Descriptor) -> None:
        for diff_id in diff_ids[blob.digest]:  # a hostile image may give one blob two of them
            index_layer(store, blob, diff_id)

    destination = StoreDestination(store)
    is_here = all(destination.has_blob(blob) for blob in missing.values())
    if is_here:
        report = ignore_progress  # nothing moves: tables of contents are made
    copy_blobs(StoreSource(store) if is_here else source(), destination, tuple(missing.values()), index, report=report)
    records = find_layer_records(store, image)
    if records is None:
        raise StoreError(f"layers of {image.descriptor.digest} vanished while they were fetched", hint="Try again.")
    return records
