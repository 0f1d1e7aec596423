"""The store as the place that a copy ends in: with every layer, each known to be what the config says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from builder.errors import BlobNotFound, ImageError, StoreError
from builder.image.image import Image, is_index, load_image, walk_manifests
from builder.oci.descriptor import Descriptor
from builder.oci.reference import Reference
from builder.store.store import Store
from builder.transport.fetch_layers import layer_records
from builder.transport.places.store import StoreDestination
from builder.transport.source import Document


class WholeImageDestination(StoreDestination):
    """The store, where an image gets its names once tables of contents of all its layers are made."""

    def finish(self, top: Document, names: Sequence[Reference]) -> None:
        """Look into the layers, and name the image. Raises ImageError, LayerError, DigestMismatch, StoreError."""
        self.put_manifest(top)
        for manifest in walk_manifests(self._store.blobs, top.descriptor):
            image = _image_or_none(self._store, manifest, must_be_one=not is_index(top.descriptor))
            if image is not None:
                layer_records(self._store, image, _vanished)
        self._name(top, names)


def _image_or_none(store: Store, manifest: Descriptor, *, must_be_one: bool) -> Image | None:
    try:
        return load_image(store.blobs, manifest)
    except (BlobNotFound, ImageError):
        if must_be_one:
            raise
        return None  # an index names attestations too, which have no layers that can be looked into


def _vanished() -> NoReturn:
    raise StoreError("layers vanished from the store while they were taken in", hint="Try again.")
