"""How big the images of a store are; each word means one thing, and what is not known is None.

    unpacked     bytes of the files in an image's layers, each layer once: docker's SIZE, and `ps -s` of a container
    compressed   bytes of its layers as a registry has them; known once a layer came compressed, or was packed to leave
    shared       unpacked bytes of layers that other images have, too
    own          unpacked bytes of the rest

What the layers take on the disk is another matter (usage.py): they may lie there in several forms, or in none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from builder.errors import PybuildError
from builder.image.image import Image, load_image, walk_manifests
from builder.oci.descriptor import Descriptor
from builder.oci.digest import DiffID, Digest
from builder.store.store import Store


class ImageSizes(NamedTuple):
    """Bytes; None for what depends on a layer of which it is not known."""

    unpacked: int | None
    compressed: int | None
    shared: int | None
    own: int | None


class LayerSizes(NamedTuple):
    """What is known of layers, whatever image they are in."""

    unpacked: Mapping[DiffID, int]
    """Bytes of the regular files."""
    packed: Mapping[DiffID, int]
    """Bytes of a compressed form that was made here."""

    def compressed(self, layer: Descriptor, diff_id: DiffID) -> int | None:
        """Return the bytes of a layer as a registry has or would have it."""
        return layer.size if layer.digest != diff_id else self.packed.get(diff_id)


NOTHING_KNOWN = LayerSizes({}, {})


def layer_sizes(store: Store) -> LayerSizes:
    """Read the sizes of all layers that were ever in the store. Raises StoreError."""
    unpacked = {record.diff_id: record.bytes for record in store.layers.walk()}
    return LayerSizes(unpacked, store.layers.compressed_sizes())


def images_in(store: Store) -> list[Image]:
    """Return every image that names lead to and that is here, each once; unreadable ones are left out."""
    found: dict[Digest, Image] = {}
    for entry in store.names.entries():
        for image in images_below(store, entry):
            found.setdefault(image.id, image)
    return list(found.values())


def sizes_of_images(images: Sequence[Image], known: LayerSizes) -> dict[Digest, ImageSizes]:
    """Return image ID → sizes; layers are shared among these images."""
    users = Counter(diff_id for image in images for diff_id in set(image.config.diff_ids))
    return {image.id: _sizes(image, known, users) for image in images}


def size_of_image(image: Image, known: LayerSizes) -> ImageSizes:
    """Return the sizes of an image as if it were the only one."""
    return _sizes(image, known, dict.fromkeys(image.config.diff_ids, 1))


def _sizes(image: Image, known: LayerSizes, users: Mapping[DiffID, int]) -> ImageSizes:
    layers = dict(zip(image.config.diff_ids, image.manifest.layers, strict=True))
    shared = [diff_id for diff_id in layers if users[diff_id] > 1]
    return ImageSizes(
        unpacked=_sum(known.unpacked.get(diff_id) for diff_id in layers),
        compressed=_sum(known.compressed(layer, diff_id) for diff_id, layer in layers.items()),
        shared=_sum(known.unpacked.get(diff_id) for diff_id in shared),
        own=_sum(known.unpacked.get(diff_id) for diff_id in layers if users[diff_id] == 1),
    )


def _sum(sizes: Iterable[int | None]) -> int | None:
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total


def images_below(store: Store, entry: Descriptor) -> Iterator[Image]:
    """Yield the images that a manifest or index leads to, and that are here and readable."""
    with suppress(PybuildError):  # damaged: `verify` reports it
        for manifest in walk_manifests(store.blobs, entry):
            with suppress(PybuildError):  # an artifact, or of an index that was pulled for another platform
                yield load_image(store.blobs, manifest)
