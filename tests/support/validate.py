"""Says whether an image is what the specifications ask for. Every image written in a test goes through here.

In: blobs and a descriptor. Out: sentences, none when all is well. Checked: digests and sizes, media types, config and
history against layers, diff IDs by unpacking (image-spec descriptor.md, manifest.md, config.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from builder.errors import PybuildError
from builder.image.timestamp import parse_timestamp
from builder.layer.compression import open_decompressed
from builder.layer.tar_reader import read_tar
from builder.layer.whiteout import PREFIX
from builder.oci import canonical
from builder.oci.canonical import MAX_DOCUMENT_BYTES
from builder.oci.config import ImageConfig, parse_config
from builder.oci.descriptor import Descriptor
from builder.oci.digest import DiffID, Digest
from builder.oci.manifest import Index, Manifest, parse_manifest
from builder.oci.media_type import CONFIG_TYPES, LAYER_TYPES
from builder.store.content import ContentStore

_BLOCK_BYTES = 1 << 20


def validate_image(blobs: ContentStore, descriptor: Descriptor) -> tuple[str, ...]:
    """Check an image or an index of images that is wholly in `blobs`."""
    try:
        return tuple(_validate(blobs, descriptor))
    except PybuildError as error:
        return (error.message,)


def _validate(blobs: ContentStore, descriptor: Descriptor) -> Iterator[str]:
    yield from _check_blob(blobs, descriptor)
    data = blobs.read(descriptor.digest, MAX_DOCUMENT_BYTES)
    document = parse_manifest(data, descriptor.media_type, f"manifest {descriptor.digest}")
    if isinstance(document, Index):
        for child in document.manifests:
            if child.platform is None:
                yield f"index {descriptor.digest}: {child.digest} has no platform"
            yield from _validate(blobs, child)
        return
    if canonical.encode(canonical.decode(data, "the manifest")) != data:
        yield f"manifest {descriptor.digest} is not canonical JSON"
    yield from _check_manifest(blobs, document)


def _check_manifest(blobs: ContentStore, manifest: Manifest) -> Iterator[str]:
    if manifest.config.media_type not in CONFIG_TYPES:
        yield f"the config has the type {manifest.config.media_type}"
    yield from _check_blob(blobs, manifest.config)
    config = parse_config(blobs.read(manifest.config.digest, MAX_DOCUMENT_BYTES), "the config")
    yield from _check_config(config, manifest)
    for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=False):
        if layer.media_type not in LAYER_TYPES:
            yield f"layer {layer.digest} has the type {layer.media_type}"
        yield from _check_blob(blobs, layer)
        yield from _check_layer(blobs, layer.digest, diff_id)


def _check_config(config: ImageConfig, manifest: Manifest) -> Iterator[str]:
    if not config.platform.os or not config.platform.architecture:
        yield "the config names no platform"
    if len(config.diff_ids) != len(manifest.layers):
        yield f"{len(manifest.layers)} layers, but {len(config.diff_ids)} diff IDs"
    with_layer = sum(not record.empty_layer for record in config.history)
    if with_layer != len(manifest.layers):
        yield f"{len(manifest.layers)} layers, but {with_layer} records of layers in the history"
    for timestamp in (config.created, *(record.created for record in config.history)):
        if parse_timestamp(timestamp) is None:
            yield f"{timestamp!r} is not a time (RFC 3339)"


def _check_blob(blobs: ContentStore, descriptor: Descriptor) -> Iterator[str]:
    size, hashing = 0, hashlib.new(descriptor.digest.algorithm)
    with blobs.open(descriptor.digest) as file:
        while block := file.read(_BLOCK_BYTES):
            size += len(block)
            hashing.update(block)
    if size != descriptor.size:
        yield f"{descriptor.digest} is {size} bytes long, not {descriptor.size}"
    if hashing.hexdigest() != descriptor.digest.encoded:
        yield f"{descriptor.digest} has other bytes"


def _check_layer(blobs: ContentStore, digest: Digest, diff_id: DiffID) -> Iterator[str]:
    """Unpack once to compare with the diff ID, once to read the entries."""
    hashing = hashlib.sha256()
    with blobs.open(digest) as file:
        stream = open_decompressed(file)
        while block := stream.read(_BLOCK_BYTES):
            hashing.update(block)
    if f"sha256:{hashing.hexdigest()}" != diff_id:
        yield f"layer {digest} unpacks to sha256:{hashing.hexdigest()}, not to {diff_id}"
    seen: set[str] = set()
    with blobs.open(digest) as file:
        for member in read_tar(open_decompressed(file)):
            path = member.entry.path
            if path in seen:
                yield f"layer {digest} has {path!r} twice (layer.md: no two entries with one path)"
            seen.add(path)
            if path.rpartition("/")[2] == PREFIX:
                yield f"layer {digest} has a whiteout without a name in {path!r}"
