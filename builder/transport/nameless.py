"""Base images without a name in the store: by ID, and those of places (oci/image_place.py), which are taken in.

A directory (oci:, oci-layout://, dir:) is asked each time, and gives its documents; layers follow when a step needs
them. What costs more to open is asked what it is now: of an archive the status of its file, of a daemon or another
store the digest of the image. While that stays the same, so does what was taken from there.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from builder.errors import BlobNotFound, DigestMismatch, ImageError, LayerError, PybuildError
from builder.image.by_id import find_by_id
from builder.image.image import Image, load_image
from builder.oci import canonical
from builder.oci.descriptor import Descriptor, descriptor_from_json
from builder.oci.digest import Digest, digest_of
from builder.oci.image_place import is_place
from builder.oci.platform import Platform
from builder.store.stat_cache import is_settled
from builder.store.store import Store
from builder.transport.places.dir import DirSource
from builder.transport.places.layout_source import LayoutSource
from builder.transport.places.location import (
    DirLocation,
    DockerArchiveLocation,
    LayoutLocation,
    Location,
    OciArchiveLocation,
    absolute,
    parse_location,
)
from builder.transport.pull import pull_documents
from builder.transport.source import Source

if TYPE_CHECKING:
    from builder.transport.fetcher import Fetcher


def find_nameless(store: Store, text: str, platform: Platform, fetcher: Callable[[], Fetcher]) -> Image | None:
    """Return what `text` means: a place's image, taken in by `fetcher` where it must; of IDs None for an unknown one.

    Raises TransportError, ImageError, StoreError.
    """
    if not is_place(text):
        descriptor = find_by_id(store, text)
        return None if descriptor is None else load_image(store.blobs, descriptor, platform)
    location = parse_location(text)
    try:
        top, image = _look(store, location, platform, fetcher)
    except (ImageError, LayerError, DigestMismatch) as error:  # they know digests only
        raise _at(location, error) from error
    store.names.add(top)
    return image


def _look(
    store: Store, location: Location, platform: Platform, fetcher: Callable[[], Fetcher]
) -> tuple[Descriptor, Image]:
    source: Source
    match location:
        case LayoutLocation(path):
            source = LayoutSource(path)
        case DirLocation(path):
            source = DirSource(path)
        case _:
            return _unless_known(store, location, platform, fetcher)
    return pull_documents(store, source, location.image, platform)


def _unless_known(
    store: Store, location: Location, platform: Platform, fetcher: Callable[[], Fetcher]
) -> tuple[Descriptor, Image]:
    begun_ns = time.time_ns()
    state = _state(location, begun_ns, fetcher)
    key = digest_of(canonical.encode({"place": str(location), "state": state}))
    if state and (known := _known(store, key, platform)) is not None:
        return known
    top, image = fetcher().take(location, platform)
    # Asked again: what was replaced while it was read has been read in two halves.
    if state and _state(location, begun_ns, fetcher) == state:
        store.documents.put(key, canonical.encode(top.to_json()))
    return top, image


def _known(store: Store, key: Digest, platform: Platform) -> tuple[Descriptor, Image] | None:
    data = store.documents.find(key)
    if data is None:
        return None
    try:
        top = descriptor_from_json(json.loads(data), "what was taken from a place")
        image = load_image(store.blobs, top, platform)
    except (ValueError, BlobNotFound):
        return None  # damaged, pruned, or an index of which another platform was used before
    store.documents.renew(key)
    return top, image


def _state(location: Location, begun_ns: int, fetcher: Callable[[], Fetcher]) -> str:
    """Return a text that is another one when the image of a place may be another; "" when that cannot be told.

    Raises TransportError.
    """
    match location:
        case DockerArchiveLocation(path) | OciArchiveLocation(path):
            try:
                status = os.stat(path)
            except OSError:
                return ""  # whoever opens it says why
            if not is_settled(status, begun_ns):
                return ""
            parts = (
                absolute(path),
                status.st_dev,
                status.st_ino,
                status.st_size,
                status.st_mtime_ns,
                status.st_ctime_ns,
            )
            return " ".join(map(str, parts))
        case _:
            return fetcher().state(location)


def _at(location: Location, error: PybuildError) -> PybuildError:
    message = error.message if str(location) in error.message else f"{location}: {error.message}"
    return type(error)(message, hint=error.hint)
