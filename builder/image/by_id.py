"""Images of a store by what identifies them: an image ID, the digest of a manifest, or the beginning of one.

In: a store and a text. Out: a descriptor. Names and lists are listing.py's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from builder.errors import PybuildError, StoreError
from builder.image.image import load_image
from builder.oci.canonical import MAX_DOCUMENT_BYTES
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest
from builder.oci.manifest import Index, parse_manifest
from builder.store.store import Store

_ID = re.compile(r"(?:sha256:)?([0-9a-f]{4,64})")


def find_by_id(store: Store, text: str) -> Descriptor | None:
    """Return the image whose ID or manifest digest begins with `text` (at least 4 hex digits).

    Raises StoreError when several do.
    """
    match = _ID.fullmatch(text)
    if match is None:
        return None
    wanted = f"sha256:{match.group(1)}"
    found: dict[Digest, Descriptor] = {}
    for entry in store.names.entries():
        for descriptor, identifier in _identifiers(store, entry):
            if identifier.startswith(wanted):
                found[descriptor.digest] = descriptor
    if len(found) > 1:
        raise StoreError(f"{text!r} is the beginning of several image IDs", hint="Give more digits.")
    return next(iter(found.values()), None)


def children_of(store: Store, descriptor: Descriptor) -> list[Descriptor]:
    """Return what an index names; of anything else nothing. Raises BlobNotFound, ImageError."""
    data = store.blobs.read(descriptor.digest, MAX_DOCUMENT_BYTES)
    document = parse_manifest(data, descriptor.media_type, f"manifest {descriptor.digest}")
    return list(document.manifests) if isinstance(document, Index) else []


def _identifiers(store: Store, entry: Descriptor) -> Iterator[tuple[Descriptor, str]]:
    yield entry, entry.digest
    try:
        for child in children_of(store, entry) or [entry]:
            if store.blobs.has(child.digest):
                yield child, child.digest
                yield child, load_image(store.blobs, child).id
    except PybuildError:
        return  # an artifact, or damaged: not an image that has an ID
