"""One image: descriptor, manifest and config, read from blobs and checked; and what is in an index of several.

In: blobs and a descriptor of a manifest or index. Out: `Image`. Layers are not touched (image-spec manifest.md,
image-index.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from builder.errors import ImageError, counted
from builder.oci.canonical import MAX_DOCUMENT_BYTES
from builder.oci.config import ImageConfig, parse_config
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest
from builder.oci.manifest import Index, Manifest, is_image, parse_manifest
from builder.oci.media_type import INDEX_TYPES, LAYER_TYPES, MANIFEST_TYPES
from builder.oci.platform import Platform

_ATTESTATION = "vnd.docker.reference.type"
_MAX_NESTING = 4


class BlobReader(Protocol):
    """Where documents are read from; builder.store.content.ContentStore is one."""

    def read(self, digest: Digest, limit: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Image:
    """A container image for one platform."""

    descriptor: Descriptor
    manifest: Manifest
    config: ImageConfig

    @property
    def id(self) -> Digest:
        """The image ID: the digest of the config blob (config.md#imageid)."""
        return self.manifest.config.digest


def load_image(blobs: BlobReader, descriptor: Descriptor, platform: Platform | None = None) -> Image:
    """Read the image `descriptor` names; from an index, the one for `platform`.

    Raises ImageError when it isn't a container image or nothing fits, BlobNotFound when a document is missing.
    """
    for _ in range(_MAX_NESTING):
        what = f"manifest {descriptor.digest}"
        document = load_document(blobs, descriptor)
        if isinstance(document, Manifest):
            config_bytes = blobs.read(_checked(document, what).config.digest, MAX_DOCUMENT_BYTES)
            return make_image(descriptor, document, config_bytes)
        if platform is None:
            raise ImageError(f"{what} is an index of several images; a platform is needed to choose one")
        descriptor = choose_platform(document, platform, what)
    raise ImageError(f"index {descriptor.digest} is nested more than {_MAX_NESTING} deep")


def load_document(blobs: BlobReader, descriptor: Descriptor) -> Manifest | Index:
    """Read the manifest or index that `descriptor` names. Raises ImageError when it is not as described, BlobNotFound.

    An empty media type says nothing.
    """
    what = f"manifest {descriptor.digest}"
    data = blobs.read(descriptor.digest, MAX_DOCUMENT_BYTES)
    check_size(descriptor, len(data), what)
    return parse_manifest(data, descriptor.media_type, what)


def check_size(descriptor: Descriptor, size: int, what: str) -> None:
    """Raise ImageError when what came has another size than its descriptor says (descriptor.md#properties)."""
    if size != descriptor.size:
        raise ImageError(
            f"{what} is {counted(size, 'byte')} long; its descriptor says {descriptor.size}",
            hint="The image is damaged or hostile; it cannot be used.",
        )


def make_image(descriptor: Descriptor, manifest: Manifest, config_bytes: bytes) -> Image:
    """Put together an image from its parts. Raises ImageError when they do not belong together."""
    what = f"manifest {descriptor.digest}"
    named = _checked(manifest, what).config
    check_size(named, len(config_bytes), f"config {named.digest}")
    config = parse_config(config_bytes, f"config {named.digest}")
    if len(config.diff_ids) != len(manifest.layers):
        raise ImageError(
            f"{what} has {counted(len(manifest.layers), 'layer')}, but its config names {len(config.diff_ids)}"
        )
    return Image(descriptor, manifest, config)


def choose_platform(index: Index, platform: Platform, what: str = "the index") -> Descriptor:
    """Return the entry that serves `platform` best; among equals the first (image-index.md).

    Attestations are never chosen, entries of unknown types passed over. Entries that state no platform serve only
    when no other does. Raises ImageError listing what there is.
    """
    candidates = [entry for entry in index.manifests if _is_choice(entry)]
    ranked = [
        (rank, number, entry)
        for number, entry in enumerate(candidates)
        if entry.platform is not None and (rank := platform.accepts(entry.platform)) is not None
    ]
    if ranked:
        return min(ranked, key=lambda item: item[:2])[2]
    unstated = [entry for entry in candidates if entry.platform is None or not entry.platform.os]
    if unstated:
        return unstated[0]
    there = ", ".join(sorted({str(entry.platform) for entry in candidates})) or "none"
    hint = f"It offers: {there}. Choose one with --platform."
    if index.foreign:
        hint = f"It offers: {there}; and what has digests that cannot be checked here: {index.foreign[0]:.60}."
    raise ImageError(f"no match for platform {platform} in {what}", hint=hint)


def _is_choice(entry: Descriptor) -> bool:
    if entry.media_type not in INDEX_TYPES | MANIFEST_TYPES or _ATTESTATION in entry.annotations:
        return False
    return entry.platform is None or str(entry.platform) != "unknown/unknown"


def _checked(manifest: Manifest, what: str) -> Manifest:
    if not is_image(manifest):
        raise ImageError(
            f"{what} is not a container image: its config has the type {manifest.config.media_type}",
            hint="It is another kind of artifact; a base image is needed here.",
        )
    unknown = next((layer for layer in manifest.layers if layer.media_type not in LAYER_TYPES), None)
    if unknown is not None:
        raise ImageError(f"{what} has a layer of the type {unknown.media_type}, which is no file system layer")
    return manifest


def has_file_system(blobs: BlobReader, descriptor: Descriptor) -> bool:
    """Say whether a manifest is that of an image; attestations and other artifacts are only carried.

    Raises ImageError for what is no document, BlobNotFound.
    """
    document = load_document(blobs, descriptor)
    return (
        isinstance(document, Manifest)
        and is_image(document)
        and all(layer.media_type in LAYER_TYPES for layer in document.layers)
    )


def is_index(descriptor: Descriptor) -> bool:
    return descriptor.media_type in INDEX_TYPES


def walk_manifests(blobs: BlobReader, descriptor: Descriptor) -> Iterator[Descriptor]:
    """Yield the manifests an index leads to, in its order; a manifest yields itself.

    Entries of unknown types are passed over (image-index.md).
    """
    if not is_index(descriptor):
        yield descriptor
        return
    data = blobs.read(descriptor.digest, MAX_DOCUMENT_BYTES)
    document = parse_manifest(data, descriptor.media_type, f"index {descriptor.digest}")
    if isinstance(document, Index):
        for child in document.manifests:
            if child.digest != descriptor.digest and child.media_type in INDEX_TYPES | MANIFEST_TYPES:
                yield from walk_manifests(blobs, child)
