"""An archive as `docker save` writes it, read: `docker-archive:FILE`. Writing it is archive.py.

    manifest.json    [{"Config": PATH, "RepoTags": ["name:tag"], "Layers": [PATH, …]}, …]

    until docker 24     <hex>.json    <id>/layer.tar           a layer that is there already is a symbolic link to it
    skopeo              <hex>.json    <diff ID>.tar            and a symbolic link to each, from <id>/layer.tar
    docker 25, pybuild  blobs/sha256/<hex>                     and index.json: an image layout as well

With an image layout the manifest is the layout's, and must say the same as manifest.json. Without one a manifest is
made: the config byte for byte, layers by diff ID. It has OCI's media types, since docker's name no layer that is not
compressed; so an image that pybuild made has the digest it had before docker loaded and saved it.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from builder.errors import DigestMismatch, TransportError, counted
from builder.oci import canonical
from builder.oci.canonical import MAX_DOCUMENT_BYTES
from builder.oci.config import parse_config
from builder.oci.descriptor import Descriptor
from builder.oci.digest import DiffID, Digest, digest_of, digest_or_none
from builder.oci.manifest import Index, Manifest, parse_manifest
from builder.oci.media_type import INDEX_TYPES, MANIFEST_TYPES, OCI_CONFIG, OCI_LAYER
from builder.oci.reference import Reference, parse_reference, reference_or_none
from builder.transport.places.archived_image import ArchivedImage
from builder.transport.places.layout_source import LayoutFileSource, blob_path
from builder.transport.places.oci_archive import entry_name
from builder.transport.places.tar_file import TarFile
from builder.transport.source import BlobFile, BlobSink, Document

_LIST = "manifest.json"
_BLOCK_BYTES = 1 << 20
_MAX_NESTING = 4
_POSITION = re.compile(r"@([0-9]{1,9})")
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """One image of manifest.json; paths are those of members."""

    config: str
    layers: tuple[str, ...]
    names: tuple[Reference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """The blobs of an image that is described by manifest.json alone."""

    config: Digest
    config_bytes: bytes
    layers: tuple[tuple[DiffID, str], ...]
    """Diff IDs, and the members that hold them, perhaps compressed."""


class DockerArchiveSource:
    """The images of an archive. Raises TransportError for what is none."""

    is_checked = False

    def __init__(self, location: str, tar: TarFile) -> None:
        self.location = location
        self._tar = tar
        self._images = _read_list(tar)
        has_layout = "index.json" in tar and "oci-layout" in tar
        self._layout = LayoutFileSource(location, tar) if has_layout else None

    def images(self) -> tuple[ArchivedImage, ...]:
        """Return what is in the archive, with the names it gives."""
        return tuple(ArchivedImage(f"@{number}", image.names) for number, image in enumerate(self._images))

    def manifest(self, name: str) -> Document:
        """Return the manifest with this digest, or of the image with this name; `@N` is the N-th, "" the only one.

        Raises TransportError, ImageError, DigestMismatch.
        """
        digest = digest_or_none(name)
        if digest is None:
            return self._document(self._find(name))
        if self._layout is not None and blob_path(digest) in self._tar:
            return self._layout.manifest(digest)
        for image in self._images:
            document = self._document(image)
            if document.descriptor.digest == digest:
                return document
        raise TransportError(f"{self._tar.what}: manifest {digest}: not found")

    def blob(self, descriptor: Descriptor, sink: BlobSink) -> None:
        """Write a blob to `sink`, a layer uncompressed. Raises TransportError, ImageError."""
        path, is_exact = self._member_of(descriptor)
        if is_exact:
            self._tar.copy(path, sink)
            return
        with self._tar.decompressed(path) as stream:
            while block := stream.read(_BLOCK_BYTES):
                sink.write(block)

    def open_blob(self, descriptor: Descriptor) -> BlobFile | None:
        """Open a blob whose bytes lie in the archive; None for a layer that is compressed there. Raises as `blob`."""
        path, is_exact = self._member_of(descriptor)
        if not is_exact:
            with self._tar.decompressed(path) as stream:
                if stream.compression != "uncompressed":
                    return None
        return self._tar.open(path)

    def _member_of(self, descriptor: Descriptor) -> tuple[str, bool]:
        """Return the member that holds a blob, and whether it holds just its bytes, as in an image layout."""
        path = blob_path(descriptor.digest)
        if path in self._tar:
            return path, self._layout is not None
        found = self._members.get(descriptor.digest)
        if found is None:
            raise TransportError(f"{self._tar.what}: blob {descriptor.digest}: not found")
        return found, False

    def _find(self, name: str) -> _Listed:
        if position := _POSITION.fullmatch(name):
            number = int(position[1])
            found = list(self._images[number : number + 1])
        else:
            wanted = parse_reference(name) if name else None
            found = [image for image in self._images if wanted is None or wanted in image.names]
        if len(found) == 1:
            return found[0]
        there = ", ".join(name.familiar for image in self._images for name in image.names) or "none"
        reason = (
            f"has no image {name!r}: not found" if name else f"has {counted(len(found), 'image')}; name one of them"
        )
        raise TransportError(f"{self._tar.what} {reason}", hint=f"It names: {there}.")

    def _document(self, image: _Listed) -> Document:
        return self._made(image) if self._layout is None else self._laid_out(image, self._layout)

    def _made(self, image: _Listed) -> Document:
        """Describe an image by a manifest of our own making."""
        parts = self._parts(image)
        config = Descriptor(OCI_CONFIG, parts.config, len(parts.config_bytes))
        layers = tuple(
            Descriptor(OCI_LAYER, diff_id, _plain_size(self._tar, path, diff_id)) for diff_id, path in parts.layers
        )
        data = canonical.encode(Manifest(config, layers).to_json())
        return Document(Descriptor(media_type="", digest=digest_of(data), size=len(data)), data)

    def _laid_out(self, image: _Listed, layout: LayoutFileSource) -> Document:
        """Find an image of manifest.json in index.json: there is its exact manifest."""
        named = [entry for entry in layout.entries() if entry_name(entry) in image.names]
        for entry in named or layout.entries():
            for document, manifest in _walk_images(layout, self._tar, entry):
                if self._describes(manifest, image):
                    return document
        what = image.names[0].familiar if image.names else image.config
        raise TransportError(
            f"{self._tar.what}: manifest.json and index.json contradict each other about {what}",
            hint="Save the image again: nobody can say which one is meant.",
        )

    def _describes(self, manifest: Manifest, image: _Listed) -> bool:
        paths = [blob_path(layer.digest) for layer in manifest.layers]
        return blob_path(manifest.config.digest) == image.config and paths == list(image.layers)

    @cached_property
    def _members(self) -> dict[Digest, str]:
        """Where the blobs of all images are that lie under other names than their digests."""
        members: dict[Digest, str] = {}
        for image in self._images:
            parts = self._parts(image)
            members.setdefault(parts.config, image.config)
            members.update((diff_id, path) for diff_id, path in parts.layers if diff_id not in members)
        return members

    def _parts(self, image: _Listed) -> _Parts:
        data = self._tar.read(image.config, MAX_DOCUMENT_BYTES)
        config = digest_of(data)
        stem = posixpath.basename(image.config).partition(".")[0]
        if _HEX.fullmatch(stem) and stem != config.encoded:
            raise DigestMismatch(f"{self._tar.what}: {image.config} has other bytes: their digest is {config}")
        diff_ids = parse_config(data, f"{self._tar.what}: {image.config}").diff_ids
        if len(diff_ids) != len(image.layers):
            raise TransportError(
                f"{self._tar.what}: manifest.json lists {counted(len(image.layers), 'layer')} of an image "
                f"whose config names {len(diff_ids)}"
            )
        layers = tuple(zip(diff_ids, image.layers, strict=True))
        if len({path for _, path in layers}) < len(set(layers)):
            raise TransportError(f"{self._tar.what}: manifest.json gives one file for two different layers")
        return _Parts(config=config, config_bytes=data, layers=layers)


def _plain_size(tar: TarFile, path: str, diff_id: DiffID) -> int:
    """Return how long a layer is uncompressed, which a compressed one must be read for. Raises DigestMismatch."""
    with tar.decompressed(path) as stream:
        if stream.compression == "uncompressed":
            return tar.size(path)
        size, hashing = 0, hashlib.new(diff_id.algorithm)
        while block := stream.read(_BLOCK_BYTES):
            size += len(block)
            hashing.update(block)
    if hashing.hexdigest() != diff_id.encoded:
        raise DigestMismatch(
            f"{tar.what}: {path} is not the layer {diff_id}: its digest is {hashing.name}:{hashing.hexdigest()}"
        )
    return size


def _walk_images(
    layout: LayoutFileSource, tar: TarFile, entry: Descriptor, depth: int = 0
) -> Iterator[tuple[Document, Manifest]]:
    """Yield the images below an entry of index.json; what is not in the archive is of another platform."""
    if entry.media_type not in INDEX_TYPES | MANIFEST_TYPES:
        return
    if depth == _MAX_NESTING or blob_path(entry.digest) not in tar:
        return
    document = layout.manifest(entry.digest)
    parsed = parse_manifest(document.data, entry.media_type, f"manifest {entry.digest}")
    if isinstance(parsed, Index):
        for child in parsed.manifests:
            yield from _walk_images(layout, tar, child, depth + 1)
    else:
        yield document, parsed


def _read_list(tar: TarFile) -> tuple[_Listed, ...]:
    """Read manifest.json, in which one name must not stand for two images. Raises TransportError."""
    if _LIST not in tar:
        hint = (
            "It is an OCI archive: write oci-archive:FILE." if "index.json" in tar else "Is it cut short, or a layer?"
        )
        raise TransportError(f"{tar.what} has no {_LIST}: it is no docker archive", hint=hint)
    try:
        document = json.loads(tar.read(_LIST, MAX_DOCUMENT_BYTES))
        images = tuple(_listed(tar, item) for item in document)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise TransportError(f"{tar.what}: {_LIST} is not what docker has there: {error}") from error
    if not images:
        raise TransportError(f"{tar.what}: {_LIST} lists no image")
    by_name: dict[Reference, _Listed] = {}
    for image in images:
        for name in image.names:
            other = by_name.setdefault(name, image)
            if (other.config, other.layers) != (image.config, image.layers):
                raise TransportError(
                    f"{tar.what}: {_LIST} gives the name {name.familiar} to two different images",
                    hint="Save the images again: nobody can say which one is meant.",
                )
    return images


def _listed(tar: TarFile, item: Any) -> _Listed:
    layers, tags = item.get("Layers") or [], item.get("RepoTags") or []
    names = (reference_or_none(tag) for tag in tags)
    return _Listed(
        config=_member(tar, item["Config"]),
        layers=tuple(_member(tar, layer) for layer in layers),
        names=tuple(dict.fromkeys(name for name in names if name is not None)),
    )


def _member(tar: TarFile, path: Any) -> str:
    """Return the member that a path of manifest.json means, by way of one symbolic link at most."""
    if not isinstance(path, str) or not path:
        raise TypeError(f"{path!r:.80} is not the path of a file")
    name = posixpath.normpath(path)
    if (target := tar.link_target(name)) is not None:
        name = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    if name.startswith(("/", "../")) or name not in tar:
        raise TransportError(f"{tar.what}: {path!r:.200}, which {_LIST} lists, is not in it")
    return name
