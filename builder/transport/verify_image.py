"""One image checked to the last byte, wherever it lies: what its documents say, against what is there.

In: a source and what it calls the image. Out: one `Check` after the other, in the order of the documents. Nothing is
believed and nothing kept: each blob is read, each layer decompressed (image-spec manifest.md, config.md, layer.md).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, Protocol

from builder.errors import DigestMismatch, ImageError, LayerError, PybuildError, TransportError, counted
from builder.image.image import choose_platform
from builder.layer.compression import Decompressed
from builder.oci.canonical import MAX_DOCUMENT_BYTES
from builder.oci.config import ImageConfig, parse_config
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest, digest_of
from builder.oci.manifest import Index, Manifest, is_image, parse_manifest
from builder.oci.media_type import INDEX_TYPES, LAYER_TYPES, MANIFEST_TYPES
from builder.oci.platform import Platform
from builder.transport.source import BlobFile, OpenFile, Source

_BLOCK_BYTES = 1 << 20
_MAX_NESTING = 4


class Check(NamedTuple):
    """One comparison. `is_good` is None for what could not be looked at, and need not be here."""

    subject: str
    """manifest, config, layer 2: with the platform before it where there are several images."""
    about: str
    is_good: bool | None
    found: str
    expected: str = ""
    """What should have been found, where it was not."""


class Opener(Protocol):
    """Opens a layer decompressed: builder.layer.compression's open_decompressed, or open_stored."""

    def __call__(self, stream: _DigestedFile, /) -> Decompressed: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageVerifier:
    """Checks images of one source."""

    source: Source
    open_layer: Opener
    temporary: Callable[[str], str]
    """Gives a path for a blob that the source cannot open as a file."""
    is_absent: Callable[[Descriptor], bool] = lambda descriptor: False
    """Says what is not here without a fault: a layer or image that was never fetched."""

    def checks(self, image: str | Descriptor, platform: Platform | None) -> Iterator[Check]:
        """Check an image; of an index the one for `platform`, or all. Raises what the source does for a wrong name."""
        try:
            yield from self._document(image, platform, "", 0)
        except (DigestMismatch, ImageError) as error:
            yield Check("manifest", "document", False, error.message)

    def _document(self, image: str | Descriptor, platform: Platform | None, label: str, depth: int) -> Iterator[Check]:
        document = self.source.manifest(image.digest if isinstance(image, Descriptor) else image)
        named = document.descriptor if isinstance(image, str) else image
        parsed = parse_manifest(document.data, document.descriptor.media_type, f"manifest {named.digest}")
        subject = f"{label}{'index' if isinstance(parsed, Index) else 'manifest'}"
        yield _compare(subject, "digest", digest_of(document.data, named.digest.algorithm), named.digest)
        yield _compare(subject, "size", len(document.data), named.size)
        yield _compare(subject, "media type", parsed.media_type, named.media_type or parsed.media_type)
        if isinstance(parsed, Manifest):
            yield from self._image(parsed, named, label)
        elif depth == _MAX_NESTING:
            yield Check(subject, "nesting", False, f"more than {_MAX_NESTING} deep")
        else:
            entries = [choose_platform(parsed, platform)] if platform is not None else list(parsed.manifests)
            for entry in entries:
                yield from self._entry(entry, platform, label if platform is not None else f"{entry.platform} ", depth)

    def _entry(self, entry: Descriptor, platform: Platform | None, label: str, depth: int) -> Iterator[Check]:
        if entry.media_type not in INDEX_TYPES | MANIFEST_TYPES:
            yield Check(f"{label}entry", "media type", None, f"{entry.media_type}: no image")
        elif self.is_absent(entry):
            yield Check(f"{label}manifest", "digest", None, f"{entry.digest}: not here")
        else:
            try:
                yield from self._document(entry, platform, label, depth + 1)
            except PybuildError as error:
                yield Check(f"{label}manifest", "document", False, error.message)

    def _image(self, manifest: Manifest, named: Descriptor, label: str) -> Iterator[Check]:
        config = None
        for check, found in self._config(manifest, label):
            yield check
            config = found or config
        diff_ids = config.diff_ids if config else ()
        for number, layer in enumerate(manifest.layers):
            diff_id = diff_ids[number] if number < len(diff_ids) else None
            yield from self._layer(f"{label}layer {number + 1}", layer, diff_id)
        if config is None:
            return
        subject = f"{label}config"
        yield _compare(subject, "diff IDs", counted(len(diff_ids), "layer"), counted(len(manifest.layers), "layer"))
        filled = sum(not record.empty_layer for record in config.history)
        if config.history:
            yield _compare(subject, "history", counted(filled, "layer"), counted(len(manifest.layers), "layer"))
        else:
            yield Check(subject, "history", None, "none, which may be")
        if named.platform is not None and named.platform.os:
            is_good = named.platform.accepts(config.platform) is not None
            yield Check(subject, "platform", is_good, str(config.platform), "" if is_good else str(named.platform))

    def _config(self, manifest: Manifest, label: str) -> Iterator[tuple[Check, ImageConfig | None]]:
        named, subject = manifest.config, f"{label}config"
        if named.size > MAX_DOCUMENT_BYTES and is_image(manifest):
            yield Check(subject, "size", False, str(named.size), f"at most {MAX_DOCUMENT_BYTES}"), None
            return
        try:
            with closing(self._open(named)) as file:
                stream = _DigestedFile(file, named.digest.algorithm)
                data = stream.drain(keep=MAX_DOCUMENT_BYTES)
            yield _compare(subject, "digest", stream.digest(), named.digest), None
            yield _compare(subject, "size", stream.size, named.size), None
            if not is_image(manifest):
                yield Check(subject, "media type", None, f"{named.media_type}: no container image"), None
                return
            config = parse_config(data, f"config {named.digest}")
            yield Check(subject, "media type", True, named.media_type), config
        except (PybuildError, OSError) as error:
            yield Check(subject, "document", False, _reason(error)), None

    def _layer(self, subject: str, layer: Descriptor, diff_id: Digest | None) -> Iterator[Check]:
        if self.is_absent(layer):
            yield Check(subject, "digest", None, f"{layer.digest}: not fetched yet")
            return
        try:
            with closing(self._open(layer)) as file:
                stream = _DigestedFile(file, layer.digest.algorithm)
                compression, plain, fault = self._unpacked(stream, diff_id)
                stream.drain()
        except (PybuildError, OSError) as error:
            yield Check(subject, "digest", False, _reason(error), str(layer.digest))
            return
        yield _compare(subject, "digest", stream.digest(), layer.digest)
        yield _compare(subject, "size", stream.size, layer.size)
        if layer.media_type in LAYER_TYPES and compression:
            yield _compare(subject, "media type", compression, _compression_of(layer.media_type))
        if fault:
            yield Check(subject, "diff ID", False, fault, str(diff_id or ""))
        elif diff_id is not None and plain is not None:
            yield _compare(subject, "diff ID", plain, diff_id)

    def _unpacked(self, stream: _DigestedFile, diff_id: Digest | None) -> tuple[str, Digest | None, str]:
        """Return the compression of a layer, the digest of its plain bytes, and what was wrong with it."""
        compression = ""
        try:
            unpacked = self.open_layer(stream)
            compression = unpacked.compression
            if diff_id is None:
                return compression, None, ""
            hashing = hashlib.new(diff_id.algorithm)
            while block := unpacked.read(_BLOCK_BYTES):
                hashing.update(block)
            return compression, Digest(f"{diff_id.algorithm}:{hashing.hexdigest()}"), ""
        except LayerError as error:
            return compression, None, error.message

    def _open(self, descriptor: Descriptor) -> BlobFile:
        found = self.source.open_blob(descriptor)
        if found is not None:
            return found
        path = self.temporary("verify")
        file = open(path, "w+b")  # noqa: SIM115  # closed by whoever reads it
        try:
            os.unlink(path)
            self.source.blob(descriptor, _Spool(file, descriptor))
            file.flush()
        except BaseException:
            file.close()
            raise
        return OpenFile(file)


class _Spool:
    """Takes no more of a blob than there should be."""

    def __init__(self, file: BinaryIO, descriptor: Descriptor) -> None:
        self.written = 0
        self._file = file
        self._descriptor = descriptor

    def write(self, data: bytes, /) -> int:
        """Keep a block. Raises TransportError."""
        if self.written + len(data) > self._descriptor.size:
            raise TransportError(f"it is longer than the {counted(self._descriptor.size, 'byte')} it should have")
        self._file.write(data)
        self.written += len(data)
        return len(data)

    def restart(self) -> bool:
        """Empty the file."""
        self._file.seek(0)
        self._file.truncate()
        self.written = 0
        return True


class _DigestedFile:
    """A blob read from its beginning, whose bytes are digested while they pass."""

    def __init__(self, file: BlobFile, algorithm: str) -> None:
        self.size = 0
        self._file = file
        self._hash = hashlib.new(algorithm)

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, b"" at the end. Raises OSError."""
        data = self._file.read_at(self.size, _BLOCK_BYTES if size < 0 else size)
        self.size += len(data)
        self._hash.update(data)
        return data

    def drain(self, keep: int = 0) -> bytes:
        """Read what is left; return its first `keep` bytes."""
        kept = bytearray()
        while block := self.read(_BLOCK_BYTES):
            kept += block[: keep - len(kept)] if len(kept) < keep else b""
        return bytes(kept)

    def digest(self) -> Digest:
        return Digest(f"{self._hash.name}:{self._hash.hexdigest()}")


def _compare(subject: str, about: str, found: object, expected: object) -> Check:
    is_good = found == expected
    return Check(subject, about, is_good, str(found), "" if is_good else str(expected))


def _compression_of(media_type: str) -> str:
    return media_type[-4:] if media_type.endswith(("gzip", "zstd")) else "uncompressed"


def _reason(error: PybuildError | OSError) -> str:
    return error.message if isinstance(error, PybuildError) else (error.strerror or str(error)).lower()
