"""From a source into the store: the index, the manifest for a platform and its config; never a layer.

Layers follow when somebody needs them (builder.transport.fetch_layers).
"""

from __future__ import annotations

from builder.errors import ImageError
from builder.image.image import Image, check_size, make_image
from builder.oci.canonical import MAX_DOCUMENT_BYTES
from builder.oci.descriptor import Descriptor
from builder.oci.digest import parse_digest
from builder.oci.platform import Platform
from builder.store.store import Store
from builder.transport.documents import Documents, read_documents
from builder.transport.places.store import StoreDestination, StoreSource
from builder.transport.source import BlobFile, BlobSink, Document, Source


def pull_documents(store: Store, source: Source, name: str, platform: Platform) -> tuple[Descriptor, Image]:
    """Fetch the documents of the image that `name`, a tag or digest, stands for on `platform`; no layers.

    Returns the descriptor of what the name itself stands for (an index or a manifest), and the image.
    """
    return _pull(store, source, read_documents(source, name, platform))


def complete_documents(store: Store, source: Source, top: Descriptor, platform: Platform) -> Image:
    """Return the image for `platform` below `top`, fetching only documents that are missing."""
    here_first = _HereFirst(store, source)
    return _pull(store, here_first, read_documents(here_first, top, platform))[1]


class _HereFirst:
    """A source of which the documents that the store has are not asked for."""

    is_checked = False

    def __init__(self, store: Store, source: Source) -> None:
        self.location = source.location
        self._store = store
        self._here = StoreSource(store)
        self._source = source

    def manifest(self, name: str) -> Document:
        here = self._store.blobs.has(parse_digest(name))
        return self._here.manifest(name) if here else self._source.manifest(name)

    def blob(self, descriptor: Descriptor, sink: BlobSink) -> None:
        self._source.blob(descriptor, sink)

    def open_blob(self, descriptor: Descriptor) -> BlobFile | None:
        return self._source.open_blob(descriptor)


def _pull(store: Store, source: Source, documents: Documents) -> tuple[Descriptor, Image]:
    """Take in documents and the config. An index comes whole, though only one of its images is here then."""
    (described, manifest), destination = documents.manifests[0], StoreDestination(store)
    config = manifest.config
    if config.size > MAX_DOCUMENT_BYTES:
        raise ImageError(f"the config of {described.digest} is {config.size} bytes long, which is too much")
    for document in documents.all:
        destination.put_manifest(document)
    if not store.blobs.has(config.digest):
        destination.put_blob(config, source)
    image = make_image(described.bare(), manifest, store.blobs.read(config.digest, MAX_DOCUMENT_BYTES))
    for layer in manifest.layers:
        _check_present(store, layer)
    store.origins.put(described.digest, source.location)
    return documents.top.descriptor.bare(), image


def _check_present(store: Store, layer: Descriptor) -> None:
    """Raise ImageError when a layer that is here already is not as long as this manifest says.

    One that is not here is compared while it is fetched.
    """
    if store.blobs.has(layer.digest):
        check_size(layer, store.blobs.size(layer.digest), f"layer {layer.digest}")
