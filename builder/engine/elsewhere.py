"""What an image is that lies elsewhere: in a registry, an archive, a directory, another store. Its layers stay there.

In: the store's path and locations as builder.transport.places.location has them. Out: JSON, and exact bytes.
"""

from __future__ import annotations

from builder.errors import ImageError, RegistryError
from builder.image.describe import describe
from builder.image.image import Image, make_image
from builder.oci.canonical import MAX_DOCUMENT_BYTES, JsonObject
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest
from builder.oci.manifest import Manifest
from builder.oci.platform import host_platform
from builder.oci.reference import Reference
from builder.registry.client import RegistryClient
from builder.store.store import Notify, open_store
from builder.transport.advice import explain
from builder.transport.destination import copy_blob
from builder.transport.documents import read_documents
from builder.transport.places.location import Location, RegistryLocation, parse_location
from builder.transport.places.opening import open_source
from builder.transport.source import Source


def describe_elsewhere(root: str, text: str, *, notify: Notify) -> JsonObject:
    """Return everything about an image that is not in the store, as `describe_images` does; no layer is fetched.

    Raises PybuildError.
    """
    with open_store(root, notify=notify) as store:
        location, client = parse_location(text), RegistryClient(notify=notify)
        with open_source(location, store, client) as source:
            try:
                top = source.manifest(location.image).descriptor.digest
                image = _image_at(source, top)
            except RegistryError as error:
                raise explain(error, asked_name(location), store, client) from error
    names = location.names if not isinstance(location, RegistryLocation) else ()
    digests = (f"{location.reference.name}@{top}",) if isinstance(location, RegistryLocation) else ()
    return describe(image, top, names=[str(name) for name in names], repositories=digests)


def read_document_elsewhere(root: str, text: str, *, config: bool = False, notify: Notify) -> bytes:
    """Return the manifest or index of an image that is not in the store, or its config, byte for byte.

    Raises PybuildError.
    """
    with open_store(root, notify=notify) as store:
        location, client = parse_location(text), RegistryClient(notify=notify)
        with open_source(location, store, client) as source:
            try:
                document = source.manifest(location.image)
                return _config_at(source, _manifest_at(source, document.descriptor.digest)) if config else document.data
            except RegistryError as error:
                raise explain(error, asked_name(location), store, client) from error


def _manifest_at(source: Source, digest: Digest) -> tuple[Descriptor, Manifest]:
    """Return the image for this machine below a manifest or index; of one for other machines only, its first."""
    try:
        return read_documents(source, digest, host_platform()).manifests[0]
    except ImageError:
        found = read_documents(source, digest).manifests
        if not found:
            raise
        return found[0]


def _image_at(source: Source, digest: Digest) -> Image:
    descriptor, manifest = found = _manifest_at(source, digest)
    return make_image(descriptor, manifest, _config_at(source, found))


def _config_at(source: Source, found: tuple[Descriptor, Manifest]) -> bytes:
    descriptor, config = found[0], found[1].config
    # The size is a stranger's word, and the config is held in memory.
    if config.size > MAX_DOCUMENT_BYTES:
        raise ImageError(f"the config of {descriptor.digest} is {config.size} bytes long, which is too much")
    data = bytearray()
    copy_blob(source, config, data.extend, data.clear)
    return bytes(data)


def asked_name(location: Location) -> Reference:
    """Return the name that a registry was asked for: nothing else raises a RegistryError."""
    assert isinstance(location, RegistryLocation)
    return location.reference
