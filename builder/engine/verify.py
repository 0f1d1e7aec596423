"""The verb that checks one image to the last byte, in the store or wherever it lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from builder.engine.short_names import local_name
from builder.errors import RegistryError
from builder.image.listing import find_descriptor
from builder.image.sizes import images_in
from builder.layer.compression import open_decompressed, open_stored
from builder.oci.descriptor import Descriptor
from builder.oci.media_type import INDEX_TYPES, MANIFEST_TYPES
from builder.oci.platform import host_platform, parse_platform
from builder.registry.client import RegistryClient
from builder.store.store import Notify, Store, open_store
from builder.transport.advice import explain
from builder.transport.places.location import RegistryLocation, StoreLocation, is_elsewhere, parse_location
from builder.transport.places.opening import open_source
from builder.transport.places.store import StoredBytes
from builder.transport.verify_image import ImageVerifier


class ImageCheck(NamedTuple):
    """One comparison. `is_good` is None for what could not be looked at, and need not be here."""

    subject: str
    """index, manifest, config, layer 2: with the platform before it where there are several images."""
    about: str
    """digest, size, media type, diff ID, diff IDs, history, platform, document."""
    is_good: bool | None
    found: str
    expected: str
    """What should have been found, where it was not."""


def verify_image(
    root: str, text: str, *, platform: str = "", all_platforms: bool = False, notify: Notify
) -> Iterator[ImageCheck]:
    """Check an image of the store, or with a transport before its name one elsewhere; yield each check when it is done.

    Of an index elsewhere the image for `platform` is checked, by default this machine's; of one in the store what is
    here. Raises PybuildError for a name that stands for nothing.
    """
    location = parse_location(text) if is_elsewhere(text) else StoreLocation(text)
    wanted = parse_platform(platform) if platform else None
    with open_store(root, notify=notify) as store, store.lease():
        if isinstance(location, StoreLocation):
            verifier = ImageVerifier(
                source=StoredBytes(store),
                open_layer=open_stored,
                temporary=store.temporary.path,
                is_absent=_absent_from(store),
            )
            for check in verifier.checks(find_descriptor(store, local_name(store, text)), wanted):
                yield ImageCheck(*check)
            return
        client = RegistryClient(notify=notify)
        with open_source(location, store, client) as source:
            verifier = ImageVerifier(source=source, open_layer=open_decompressed, temporary=store.temporary.path)
            try:
                chosen = None if all_platforms else wanted or host_platform()
                for check in verifier.checks(location.image, chosen):
                    yield ImageCheck(*check)
            except RegistryError as error:
                assert isinstance(location, RegistryLocation)  # nothing else raises it
                raise explain(error, location.reference, store, client) from error


def _absent_from(store: Store) -> Callable[[Descriptor], bool]:
    """Say what of an image that was pulled is not here, and can be had again."""

    def is_absent(descriptor: Descriptor) -> bool:
        if store.blobs.has(descriptor.digest):
            return False
        return descriptor.media_type in INDEX_TYPES | MANIFEST_TYPES or descriptor.digest in fetchable

    fetchable = {
        layer.digest
        for image in images_in(store)
        if store.origins.find(image.descriptor.digest) is not None
        for layer in image.manifest.layers
    }
    return is_absent
