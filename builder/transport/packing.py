"""An image of the store, packed to leave it: layers compressed, the manifest written anew where that changed it.

Layers lie uncompressed in the store; what they become compressed is kept beside them, as a blob that prune may drop,
and remembered, so that a second export or a push costs nothing. Layers that came compressed keep their exact bytes.
In: an image and how to pack. Out: the descriptor of what is to be copied, all of which is in the store.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from builder.image.image import Image, has_file_system, is_index, load_image, walk_manifests
from builder.image.index import assemble_index
from builder.layer.compression import open_stored
from builder.layer.compressor import Compressor
from builder.oci import canonical
from builder.oci.annotations import Annotation, select
from builder.oci.canonical import MAX_DOCUMENT_BYTES
from builder.oci.descriptor import Descriptor
from builder.oci.digest import DiffID
from builder.oci.media_type import LAYER_TYPE_BY_COMPRESSION, LAYER_TYPES
from builder.store.store import Store
from builder.transport.packing_choice import Packing

_BLOCK_BYTES = 1 << 20
_DEFAULT_LEVEL = -1
_REPRODUCIBLE_LEVEL = -2
"""Stand in the table of compressed forms for levels that are the codec's own choice."""
_ATTESTED = "vnd.docker.reference.digest"
"""BuildKit's: which image of the index an attestation is of."""
_NON_DISTRIBUTABLE = "nondistributable"


def pack_image(
    store: Store,
    descriptor: Descriptor,
    packing: Packing,
    *,
    annotations: Sequence[Annotation] = (),
    reproducible: bool = False,
    then: Callable[[Descriptor], None] = lambda layer: None,
) -> Descriptor:
    """Return the manifest or index of `descriptor` with its layers compressed as `packing` says.

    Where several layers are to be packed, `then` is called with each as soon as it is, from several threads, so that it
    may be sent already.
    `reproducible` chooses codecs that give the same bytes on every machine. Raises StoreError, LayerError,
    BlobNotFound when a layer is not in the store.
    """
    manifests = []
    found = list(walk_manifests(store.blobs, descriptor))
    for manifest in found:
        if not has_file_system(store.blobs, manifest):
            manifests.append(manifest)  # an attestation of an image, or another artifact
            continue
        image = load_image(store.blobs, manifest)
        # By diff ID: an image may have one layer twice (two steps that change nothing), and it is packed once.
        jobs = dict(zip(image.config.diff_ids, image.manifest.layers, strict=True))
        packed = _pack_all(store, jobs, packing, reproducible, then)
        layers = tuple(packed[diff_id] for diff_id in image.config.diff_ids)
        manifests.append(_manifest(store, image, layers, annotations))
    if not is_index(descriptor):
        return manifests[0]
    if manifests == found and not annotations:
        return descriptor  # exact bytes: an index that came from elsewhere may hold more than images
    became = {str(old.digest): str(new.digest) for old, new in zip(found, manifests, strict=True)}
    manifests = [_attached(manifest, became) for manifest in manifests]
    return _index(store, descriptor, manifests, annotations)


def _attached(manifest: Descriptor, became: Mapping[str, str]) -> Descriptor:
    """Return an attestation as one of what its image has become."""
    digest = manifest.annotations.get(_ATTESTED, "")
    if digest not in became:
        return manifest
    return manifest._replace(annotations={**manifest.annotations, _ATTESTED: became[digest]})


def pack_layer(
    store: Store, descriptor: Descriptor, diff_id: DiffID, packing: Packing, *, reproducible: bool = False
) -> Descriptor:
    """Pack one layer, and return its descriptor; the blob is in the store."""
    if not _must_repack(descriptor, packing):
        store.blobs.size(descriptor.digest)  # raises BlobNotFound now rather than in the middle of an archive
        return descriptor
    level = packing.level if packing.level is not None else _DEFAULT_LEVEL
    if reproducible and packing.level is None:
        level = _REPRODUCIBLE_LEVEL
    known = store.layers.find_compressed(diff_id, packing.compression, level)
    if known is not None and store.blobs.has(known.digest):
        return known
    packed = _compress(store, descriptor, diff_id, packing, reproducible)
    store.layers.put_compressed(diff_id, packing.compression, level, packed)
    return packed


def _must_repack(descriptor: Descriptor, packing: Packing) -> bool:
    # The bytes of a non-distributable layer may not be here (image-spec layer.md#non-distributable-layers), and those
    # of an unknown type nobody can read.
    if _NON_DISTRIBUTABLE in descriptor.media_type or descriptor.media_type not in LAYER_TYPES:
        return False
    current = _compression_of(descriptor.media_type)
    return current != packing.compression and (packing.force or current == "uncompressed")


def _compression_of(media_type: str) -> str:
    if media_type.endswith(("gzip", "zstd")):
        return media_type[-4:]
    return "uncompressed"


def _pack_all(
    store: Store,
    jobs: Mapping[DiffID, Descriptor],
    packing: Packing,
    reproducible: bool,
    then: Callable[[Descriptor], None],
) -> dict[DiffID, Descriptor]:
    def pack(item: tuple[DiffID, Descriptor]) -> Descriptor:
        return pack_layer(store, item[1], item[0], packing, reproducible=reproducible)

    def pack_then(item: tuple[DiffID, Descriptor]) -> Descriptor:
        packed = pack(item)
        then(packed)
        return packed

    todo = sum(_must_repack(descriptor, packing) for descriptor in jobs.values())
    if todo < 2:
        return {diff_id: pack((diff_id, descriptor)) for diff_id, descriptor in jobs.items()}
    # Codecs and hashes release the interpreter lock.
    with ThreadPoolExecutor(min(todo, os.cpu_count() or 1, 8), thread_name_prefix="pack") as pool:
        return dict(zip(jobs, pool.map(pack_then, jobs.items()), strict=True))


def _compress(
    store: Store, descriptor: Descriptor, diff_id: DiffID, packing: Packing, reproducible: bool
) -> Descriptor:
    is_plain = packing.compression == "uncompressed"
    with (
        # Uncompressed, the digest is known beforehand: it is the diff ID, and other bytes are refused.
        store.blobs.ingest(diff_id if is_plain else None) as blob,
        store.blobs.stream(descriptor.digest) as file,
    ):
        source = open_stored(file)
        compressor = Compressor(blob.write, packing.compression, level=packing.level, reproducible=reproducible)
        while block := source.read(_BLOCK_BYTES):
            compressor.write(block)
        compressor.finish()
        file.finish()  # before anything made of it can be seen
        media_type = LAYER_TYPE_BY_COMPRESSION[packing.compression]
        size = blob.written
        return Descriptor(media_type=media_type, digest=blob.commit(), size=size)


def _manifest(
    store: Store, image: Image, layers: Sequence[Descriptor], annotations: Sequence[Annotation]
) -> Descriptor:
    platform = image.descriptor.platform or image.config.platform
    inside = select(annotations, "manifest", platform)
    outside = {**image.descriptor.annotations, **select(annotations, "manifest-descriptor", platform)}
    if tuple(layers) == image.manifest.layers and not inside:
        return image.descriptor._replace(annotations=outside)
    document = _document(store, image.descriptor)
    document["layers"] = [layer.to_json() for layer in layers]
    if inside:
        document["annotations"] = {**(document.get("annotations") or {}), **inside}
    written = canonical.encode(document)
    return Descriptor(
        media_type=image.manifest.media_type,
        digest=store.blobs.put(written),
        size=len(written),
        platform=platform,
        annotations=outside,
    )


def _index(
    store: Store, descriptor: Descriptor, manifests: Sequence[Descriptor], annotations: Sequence[Annotation]
) -> Descriptor:
    inside = {**(_document(store, descriptor).get("annotations") or {}), **select(annotations, "index")}
    index = assemble_index(store, manifests, inside)
    return index._replace(annotations={**descriptor.annotations, **select(annotations, "index-descriptor")})


def _document(store: Store, descriptor: Descriptor) -> dict[str, Any]:
    data = store.blobs.read(descriptor.digest, MAX_DOCUMENT_BYTES)
    return canonical.decode(data, f"manifest {descriptor.digest}")
