"""Stacks of layers as trees: opens each layer's table of contents once and merges them on demand.

In: a `Stack`. Out: its `MergedView` (to look things up and copy from) and its layers (to unpack and mount).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from builder.layer.compression import open_stored
from builder.layer.index import LayerIndex, open_index
from builder.layer.view import MergedView, ViewLayer
from builder.oci.digest import ChainID, DiffID
from builder.solve.results import Stack
from builder.store.layers import LayerRecord
from builder.transport.layer_index import open_layer_index

if TYPE_CHECKING:
    from builder.store.store import Store


class Views:
    """The views of one build. Safe to use from several threads; `close` lets go of the indexes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._layers: dict[DiffID, ViewLayer] = {}
        self._indexes: list[LayerIndex] = []
        self._views: dict[ChainID, MergedView] = {}

    def view(self, stack: Stack) -> MergedView:
        """Return the merged view of `stack`. Raises LayerError when an index is damaged."""
        with self._lock:
            # By what it holds and not by the step: stages on one base share a view, and what it
            # remembers of directories.
            view = self._views.get(stack.chain_id)
            if view is None:
                view = MergedView([self._layer(layer) for layer in stack.layers])
                self._views[stack.chain_id] = view
            return view

    def layers(self, stack: Stack) -> tuple[tuple[DiffID, ViewLayer], ...]:
        """Return the layers of `stack`, base first."""
        with self._lock:
            return tuple((layer.diff_id, self._layer(layer)) for layer in stack.layers)

    def archive(self, contents_path: str, index_path: str) -> MergedView:
        """Return the view of an archive that was read before (context/archive.py), from its two files, which stay.

        Raises LayerError.
        """
        index = open_index(index_path)
        with self._lock:
            self._indexes.append(index)
        return MergedView([ViewLayer(index, lambda: contents_path)])

    def close(self) -> None:
        for index in self._indexes:
            index.close()

    def _layer(self, record: LayerRecord) -> ViewLayer:
        known = self._layers.get(record.diff_id)
        if known is None:
            # With the lock held: a missing index is made of the whole layer, and two threads must not both do that.
            index = open_layer_index(self._store, record)
            self._indexes.append(index)
            known = ViewLayer(index, lambda: self._tar_path(record))
            self._layers[record.diff_id] = known
        return known

    def _tar_path(self, record: LayerRecord) -> str:
        return self._store.layers.uncompressed_path(record, open_stored)
