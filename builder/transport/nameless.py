"""Base images without a name in the store: those of an image layout, `oci-layout://PATH[:TAG][@DIGEST]`, and by ID."""

from __future__ import annotations

from builder.image.image import Image, load_image
from builder.image.listing import find_by_id
from builder.oci.platform import Platform
from builder.oci.reference import LAYOUT_SCHEME, parse_layout_reference
from builder.store.store import Store
from builder.transport.places.layout_source import LayoutSource
from builder.transport.pull import pull_documents


def find_nameless(store: Store, text: str, platform: Platform) -> Image | None:
    """Return what `text` means: what it names in a layout is taken in, without layers; of IDs None for an unknown one.

    Raises TransportError, ImageError, StoreError.
    """
    if not text.startswith(LAYOUT_SCHEME):
        descriptor = find_by_id(store, text)
        return None if descriptor is None else load_image(store.blobs, descriptor, platform)
    path, name = parse_layout_reference(text)
    top, image = pull_documents(store, LayoutSource(path), name, platform)
    store.names.add(top)
    return image
