"""An image of the store to a repository of a registry: packed, sent, and remembered as being there.

In: a descriptor of the store and a name. Out: what the registry has now under that name. Layers are sent as they are
packed, so that the codec and the network work at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence

from builder.errors import BlobNotFound, ImageError, TransportError
from builder.image.image import has_file_system, is_index, load_document, load_image, walk_manifests
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest
from builder.oci.manifest import Manifest
from builder.oci.reference import Reference
from builder.registry.client import RegistryClient
from builder.store.store import Store
from builder.transport.conversion import Form, convert
from builder.transport.copy import copy_blobs, copy_documents
from builder.transport.documents import Documents, read_documents
from builder.transport.packing import pack_image
from builder.transport.packing_choice import Packing
from builder.transport.places.registry import RegistryDestination
from builder.transport.places.store import StoreSource
from builder.transport.present import find_layer_records
from builder.transport.progress import MOVING, BlobState, Report, ignore_progress


def push_image(
    store: Store,
    image: Descriptor,
    name: Reference,
    client: RegistryClient,
    *,
    packing: Packing | None = None,
    reproducible: bool = False,
    form: Form | None = None,
    report: Report = ignore_progress,
) -> Descriptor:
    """Push `image` as `name`, with the media types of `form`; return the manifest or index that the registry has now.

    Of an index of which one image only is here, that image is pushed. Raises RegistryError, StoreError, LayerError,
    ImageError for what has no such form.
    """
    report = _each_once(report)
    source, destination = StoreSource(store), RegistryDestination(name, client, store.repositories)
    packed = pack_image(
        store,
        what_is_here(store, image),
        packing or Packing(),
        reproducible=reproducible,
        then=lambda layer: copy_blobs(source, destination, [layer], report=report),
    )
    documents = read_documents(source, packed)
    if form is not None:
        documents = convert(documents, form).documents
    copy_documents(source, destination, documents, names=[name], report=report)
    remember(store, name, documents)
    return documents.top.descriptor


def remember(store: Store, name: Reference, documents: Documents) -> None:
    """Remember that a repository has an image, and its blobs."""
    ids = [manifest.config.digest for _, manifest in documents.manifests]
    there = [blob.digest for blob in documents.blobs()]
    store.repositories.put(ids, name.name, documents.top.descriptor.digest, there)


def _each_once(report: Report) -> Report:
    """Return a report that says of each blob once that it is there: layers are sent before the image is copied."""
    said: set[Digest] = set()

    def once(state: BlobState) -> None:
        if state.state == MOVING:
            report(state)
        elif state.digest not in said:
            said.add(state.digest)
            report(state)

    return once


def push_all(
    store: Store,
    image: Descriptor,
    names: Sequence[Reference],
    *,
    packing: Packing,
    reproducible: bool,
    report: Report,
) -> list[Digest]:
    """Push an image under several names; return the digest that each registry has it under. Raises as push_image."""
    client = RegistryClient()
    return [
        push_image(store, image, name, client, packing=packing, reproducible=reproducible, report=report).digest
        for name in names
    ]


def what_is_here(store: Store, image: Descriptor) -> Descriptor:
    """Return an image or index that is whole here; of an index that was pulled for one platform, its image.

    Raises TransportError when parts of several images are missing.
    """
    if not is_index(image):
        return image
    children = list(walk_manifests(store.blobs, image))
    here = [child for child in children if _is_whole(store, child)]
    if len(here) == len(children):
        return image
    if len(here) == 1:
        return here[0]
    platforms = ", ".join(sorted(str(child.platform) for child in here)) or "none"
    raise TransportError(
        f"of the index {image.digest} only some images are here: {platforms}",
        hint="Choose one with --platform, or pull the others.",
    )


def _is_whole(store: Store, manifest: Descriptor) -> bool:
    try:
        if has_file_system(store.blobs, manifest):
            return find_layer_records(store, load_image(store.blobs, manifest)) is not None
        document = load_document(store.blobs, manifest)
    except (BlobNotFound, ImageError):
        return False
    return isinstance(document, Manifest) and all(
        store.blobs.has(blob.digest) for blob in (document.config, *document.layers)
    )
