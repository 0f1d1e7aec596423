"""The tables of contents of the store's layers: made when a layer is new, and made again when one is damaged.

In: a store and a layer whose blob is there. Out: an index that is of this layer and unaltered.
"""

from __future__ import annotations

import os

from builder.errors import DigestMismatch, LayerError
from builder.layer.compression import open_decompressed
from builder.layer.index import LayerIndex, open_index, seal_index
from builder.layer.index_format import LayerStatistics
from builder.layer.index_layer import build_index
from builder.layer.limits import limits_for
from builder.oci.descriptor import Descriptor
from builder.oci.digest import DiffID, Digest
from builder.store.layers import LayerRecord
from builder.store.store import Store


def open_layer_index(store: Store, record: LayerRecord) -> LayerIndex:
    """Open the index of a layer of the store; one that is missing, damaged or of another version is made anew.

    Raises LayerError, DigestMismatch, StoreError.
    """
    path = store.layers.index_path(record.diff_id)
    try:
        return open_index(path, record.diff_id)
    except (FileNotFoundError, LayerError):
        _make_index(store, record.descriptor.digest, record.diff_id)
        return open_index(path, record.diff_id)


def index_layer(store: Store, descriptor: Descriptor, diff_id: DiffID) -> LayerRecord:
    """Make the table of contents of a layer blob in the store, and verify its diff ID on the way."""
    statistics = _make_index(store, descriptor.digest, diff_id)
    record = LayerRecord(
        descriptor=descriptor.bare(),
        diff_id=diff_id,
        entries=statistics.entries,
        files=statistics.files,
        bytes=statistics.bytes_,
    )
    store.layers.put(record)
    return record


def keep_layer_index(store: Store, temporary: str, diff_id: DiffID) -> None:
    """Give a finished index its place, unless a sound one is there."""
    try:
        open_index(store.layers.index_path(diff_id), diff_id).close()
    except (FileNotFoundError, LayerError):
        seal_index(temporary, diff_id)
        store.layers.keep_index(temporary, diff_id)


def _make_index(store: Store, blob: Digest, diff_id: DiffID) -> LayerStatistics:
    limits = limits_for(large=store.large_layers)
    temporary = store.temporary.path("index")
    try:
        try:
            with store.blobs.open(blob) as file:
                actual, statistics = build_index(open_decompressed(file, limits), temporary, limits)
        except LayerError as error:
            store.blobs.verify(blob)  # raises with better words, when it is the blob that is damaged
            raise LayerError(f"layer {blob}: {error.message}", hint=error.hint) from error
        if actual != diff_id:
            store.blobs.verify(blob)
            raise DigestMismatch(
                f"layer {blob} unpacks to {actual}, but the image config says {diff_id}",
                hint="The image is damaged or hostile; it cannot be used.",
            )
        seal_index(temporary, diff_id)
        store.layers.keep_index(temporary, diff_id)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    return statistics
