"""A base image that lies in an image layout: `oci-layout://PATH[:TAG][@DIGEST]` → its documents in the store."""

from __future__ import annotations

from builder.image.image import Image
from builder.oci.descriptor import Descriptor
from builder.oci.platform import Platform
from builder.oci.reference import parse_layout_reference
from builder.store.store import Store
from builder.transport.places.layout_source import LayoutSource
from builder.transport.pull import pull_documents


def pull_layout(store: Store, text: str, platform: Platform) -> tuple[Descriptor, Image]:
    """Take in what `text` names, without layers. Raises TransportError, ImageError; as pull_documents otherwise."""
    path, name = parse_layout_reference(text)
    return pull_documents(store, LayoutSource(path), name, platform)
