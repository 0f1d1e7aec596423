"""The layers of an image of the store, made sure to be here: fetched in parallel, each checked.

Here means: the blob (exact bytes), its table of contents, and the row that ties them to the diff ID. A layer that is
here in any form is not fetched.
"""

from __future__ import annotations

from collections.abc import Callable

from builder.errors import DigestMismatch, ImageError, LayerError, RegistryError, StoreError, TransportError
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


def fetch_what_is_there(
    store: Store, image: Image, source: Callable[[], Source] | None, report: Report = ignore_progress
) -> dict[str, str]:
    """Fetch and index the layers of an image as far as they can be had; return why the others can't, by digest.

    `source` None: there is nowhere to fetch from. Raises StoreError.
    """
    missing: dict[str, str] = {}
    if find_layer_records(store, image) is not None:
        return missing
    if source is not None:
        try:
            layer_records(store, image, source, report)
        except (ImageError, LayerError, RegistryError, TransportError, DigestMismatch):
            # One that is not there must not keep the others: each by itself from here on.
            missing = _fetch_each(store, image, source, report)
        return missing
    for diff_id, blob in zip(image.config.diff_ids, image.manifest.layers, strict=True):
        if find_layer(store, blob, diff_id) is None and store.blobs.has(blob.digest):
            try:
                index_layer(store, blob, diff_id)
            except (LayerError, DigestMismatch) as error:
                missing[str(blob.digest)] = error.message
    return missing


def _fetch_each(store: Store, image: Image, source: Callable[[], Source], report: Report) -> dict[str, str]:
    missing: dict[str, str] = {}
    destination = StoreDestination(store)
    for diff_id, blob in zip(image.config.diff_ids, image.manifest.layers, strict=True):
        if find_layer(store, blob, diff_id) is not None:
            continue
        try:
            if not destination.has_blob(blob):
                copy_blobs(source(), destination, [blob], report=report)
            index_layer(store, blob, diff_id)
        except (ImageError, LayerError, RegistryError, TransportError, DigestMismatch) as error:
            missing[str(blob.digest)] = error.message
    return missing
