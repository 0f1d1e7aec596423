"""From a source into the store: documents first, layers when somebody needs them, in parallel, each checked.

`pull_documents` fetches the index, the manifest for a platform and its config; `layer_records` makes sure that the
layers of a manifest are here: blob (exact bytes), table of contents, and the row that ties them to the diff ID.
A layer that is here in any form is not fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from builder.errors import BlobNotFound, ImageError, StoreError
from builder.image.image import Image, check_size, choose_platform, load_document, load_image, make_image
from builder.oci.canonical import MAX_DOCUMENT_BYTES
from builder.oci.descriptor import Descriptor
from builder.oci.digest import DiffID, Digest
from builder.oci.manifest import Index, Manifest, parse_manifest
from builder.oci.platform import Platform
from builder.store.layers import LayerRecord
from builder.store.store import Store

if TYPE_CHECKING:
    from builder.transport.source import Source

_PARALLEL_LAYERS = 4
_MAX_NESTING = 4
_Item = tuple[Descriptor, DiffID]


def pull_documents(store: Store, source: Source, name: str, platform: Platform) -> tuple[Descriptor, Image]:
    """Fetch what `name` (tag or digest) is for `platform`, without layers.

    Returns the descriptor of what the name itself stands for (an index or a manifest), and the image.
    """
    top: Descriptor | None = None
    expected: Descriptor | None = None
    for _ in range(_MAX_NESTING):
        fetched = source.manifest(name if expected is None else expected.digest)
        what = f"manifest {fetched.digest}"
        document = parse_manifest(fetched.data, fetched.media_type, what)
        descriptor = Descriptor(media_type=document.media_type, digest=fetched.digest, size=len(fetched.data))
        if expected is not None:
            check_size(expected, descriptor.size, what)
            parse_manifest(fetched.data, expected.media_type, what)
        store.blobs.put(fetched.data, fetched.digest)
        top = top or descriptor
        if isinstance(document, Manifest):
            return top, _fetch_image(store, source, descriptor, document)
        expected = choose_platform(document, platform, what)
    raise ImageError(f"index {name} is nested more than {_MAX_NESTING} deep")


def complete_documents(store: Store, source: Source, top: Descriptor, platform: Platform) -> Image:
    """Return the image for `platform` below `top`, fetching only documents that are missing."""
    descriptor = top
    for _ in range(_MAX_NESTING):
        if not store.blobs.has(descriptor.digest):
            return pull_documents(store, source, descriptor.digest, platform)[1]
        document = load_document(store.blobs, descriptor)
        if isinstance(document, Manifest):
            return _fetch_image(store, source, descriptor, document)
        descriptor = choose_platform(document, platform, f"index {descriptor.digest}")
    raise ImageError(f"index {top.digest} is nested more than {_MAX_NESTING} deep")


def load_manifest(store: Store, digest: Digest) -> Image:
    """Read an image whose manifest and config are in the store, by the manifest's digest alone."""
    data = store.blobs.read(digest, MAX_DOCUMENT_BYTES)
    document = parse_manifest(data, "", f"manifest {digest}")
    if isinstance(document, Index):
        raise ImageError(f"{digest} is an index of images, not one image")
    descriptor = Descriptor(media_type=document.media_type, digest=digest, size=len(data))
    return load_image(store.blobs, descriptor)


def find_layer_records(store: Store, image: Image) -> tuple[LayerRecord, ...] | None:
    """Return the layers of an image if all are here, indexed; None otherwise. Reads only the database and stat(2)."""
    found: list[LayerRecord] = []
    for descriptor, diff_id in zip(image.manifest.layers, image.config.diff_ids, strict=True):
        record = _find_layer(store, descriptor, diff_id)
        if record is None:
            return None
        found.append(record)
    return tuple(found)


def layer_records(store: Store, image: Image, source: Callable[[], Source]) -> tuple[LayerRecord, ...]:
    """Return the layers of an image, base first, fetching and indexing what is missing.

    `source` is called only if a blob has to be fetched. Raises RegistryError, TransportError, DigestMismatch,
    LayerError, StoreError.
    """
    if (found := find_layer_records(store, image)) is not None:
        return found
    pairs = dict(zip(image.config.diff_ids, image.manifest.layers, strict=True))
    missing = [
        (descriptor, diff_id) for diff_id, descriptor in pairs.items() if not _find_layer(store, descriptor, diff_id)
    ]
    if any(not store.blobs.is_whole(descriptor.digest, descriptor.size) for descriptor, _ in missing):
        place = source()
        _in_parallel(lambda item: _take_in(store, *item, place), missing)
    else:
        _in_parallel(lambda item: _take_in(store, *item, None), missing)
    records = find_layer_records(store, image)
    if records is None:
        raise StoreError(f"layers of {image.descriptor.digest} vanished while they were fetched", hint="Try again.")
    return records


def _fetch_image(store: Store, source: Source, descriptor: Descriptor, manifest: Manifest) -> Image:
    config = manifest.config
    if config.size > MAX_DOCUMENT_BYTES:
        raise ImageError(f"the config of {descriptor.digest} is {config.size} bytes long, which is too much")
    if not store.blobs.has(config.digest):
        with store.blobs.ingest(config.digest, config.size) as blob:
            source.blob(config, blob)
            blob.commit()
    image = make_image(descriptor, manifest, store.blobs.read(config.digest, MAX_DOCUMENT_BYTES))
    for layer in manifest.layers:
        _check_present(store, layer)
    store.origins.put(descriptor.digest, source.place)
    return image


def _check_present(store: Store, layer: Descriptor) -> None:
    """Raise ImageError when a layer that is here already is not as long as this manifest says.

    One that is not here is compared while it is fetched.
    """
    if store.blobs.has(layer.digest):
        check_size(layer, store.blobs.size(layer.digest), f"layer {layer.digest}")


def _find_layer(store: Store, descriptor: Descriptor, diff_id: DiffID) -> LayerRecord | None:
    record = store.layers.find(diff_id)
    if record is None or record.descriptor.digest == descriptor.digest or not store.blobs.has(descriptor.digest):
        return record
    # Here in two forms: an image built on this one keeps the form its base names.
    return LayerRecord(
        descriptor=Descriptor(media_type=descriptor.media_type, digest=descriptor.digest, size=descriptor.size),
        diff_id=diff_id,
        entries=record.entries,
        files=record.files,
        bytes=record.bytes,
    )


def _take_in(store: Store, descriptor: Descriptor, diff_id: DiffID, source: Source | None) -> None:
    """Fetch one layer if need be, and index it."""
    if not store.blobs.is_whole(descriptor.digest, descriptor.size):
        if source is None:
            raise BlobNotFound(f"layer {descriptor.digest} is not in the store")
        with store.blobs.ingest(descriptor.digest, descriptor.size) as blob:
            source.blob(descriptor, blob)
            blob.commit()
    from builder.transport.layer_index import index_layer  # only when a layer is new

    index_layer(store, descriptor, diff_id)


def _in_parallel(work: Callable[[_Item], None], items: Sequence[_Item]) -> None:
    """Do `work` for each item on a few threads; after an error, what has not begun is left out."""
    from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait  # only when something is fetched

    with ThreadPoolExecutor(min(_PARALLEL_LAYERS, len(items)), thread_name_prefix="layer") as pool:
        futures = [pool.submit(work, item) for item in items]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        if any(future.exception() for future in done):
            pool.shutdown(wait=True, cancel_futures=True)
    for future in futures:
        if not future.cancelled():
            future.result()
