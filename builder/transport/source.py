"""Where images come from: one protocol, and its implementations for a registry and an image layout.

A source gives the exact bytes of manifests and blobs; what is done with them, and whether they are what they should be,
is the caller's affair (pull.py). The place of a source is text that `open_source` understands again later:
`docker.io/library/x` or `oci-layout:///absolute/path`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

from builder.errors import TransportError
from builder.oci.canonical import MAX_DOCUMENT_BYTES
from builder.oci.descriptor import CONTAINERD_NAME, REF_NAME, Descriptor, descriptor_from_json
from builder.oci.digest import Digest, digest_of, digest_or_none, parse_digest
from builder.oci.reference import LAYOUT_SCHEME, Reference, parse_reference
from builder.store.checked import open_regular

if TYPE_CHECKING:
    from builder.registry.client import RegistryClient
    from builder.store.content import Ingest

LAYOUT_VERSION = "1.0.0"
_BLOCK_BYTES = 1 << 20
_MAX_INDEX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class ManifestBytes:
    """A manifest or index as delivered; `media_type` "" means that only the document itself says."""

    data: bytes
    media_type: str
    digest: Digest


class Source(Protocol):
    """A place images are read from."""

    place: str

    def manifest(self, name: str) -> ManifestBytes:
        """Return what a tag or digest names. Raises RegistryError, TransportError, DigestMismatch."""
        ...

    def blob(self, descriptor: Descriptor, sink: Ingest) -> None:
        """Write a blob to `sink`, which checks it."""
        ...


class RegistrySource:
    """A repository of a registry."""

    def __init__(self, reference: Reference, client: RegistryClient) -> None:
        self.place = reference.name
        self._reference = reference
        self._client = client

    def manifest(self, name: str) -> ManifestBytes:
        reference = Reference(self._reference.registry, self._reference.repository)
        reference = reference.with_digest(parse_digest(name)) if ":" in name else reference.with_tag(name)
        fetched = self._client.get_manifest(reference)
        return ManifestBytes(fetched.data, fetched.media_type, fetched.digest)

    def blob(self, descriptor: Descriptor, sink: Ingest) -> None:
        self._client.fetch_blob(self._reference, descriptor, sink)


class LayoutSource:
    """An OCI image layout in a directory (image-spec image-layout.md)."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self.place = LAYOUT_SCHEME + self.path
        check_layout(self.path)

    def manifest(self, name: str) -> ManifestBytes:
        """Return the manifest with this digest, or the one that index.json calls `name`; "" takes the only one."""
        if ":" in name and (digest := digest_or_none(name)) is not None:
            return ManifestBytes(self._read(digest), "", digest)
        entry = self._entry(name)
        data = self._read(entry.digest)
        if len(data) != entry.size:
            raise TransportError(
                f"{self.path}: manifest {entry.digest} is {len(data)} bytes long; index.json says {entry.size}"
            )
        return ManifestBytes(data, entry.media_type, entry.digest)

    def blob(self, descriptor: Descriptor, sink: Ingest) -> None:
        try:
            with open_regular(self._path(descriptor.digest)) as file:
                while block := file.read(_BLOCK_BYTES):
                    sink.write(block)
        except OSError as error:
            raise self._failure(f"blob {descriptor.digest}", error) from error

    def _entry(self, name: str) -> Descriptor:
        try:
            with open_regular(f"{self.path}/index.json") as file:
                members = json.loads(_read_limited(file, _MAX_INDEX_BYTES)).get("manifests") or []
            entries = [descriptor_from_json(item, f"{self.path}/index.json") for item in members]
        except OSError as error:
            raise self._failure("index.json", error) from error
        except (ValueError, AttributeError, TypeError, RecursionError) as error:
            raise TransportError(f"{self.path}/index.json is not an image index: {error}") from error
        named = [entry for entry in entries if name in (_tag(entry), entry.annotations.get(CONTAINERD_NAME))]
        found = named or (entries if not name or (name == "latest" and len(entries) == 1) else [])
        if len(found) == 1:
            return found[0]
        names = ", ".join(sorted(filter(None, map(_tag, entries)))) or "none"
        reason = f"has no image {name!r}" if name and not found else f"has {len(found)} images; name one of them"
        raise TransportError(f"the image layout {self.path} {reason}: not found", hint=f"It names: {names}.")

    def _read(self, digest: Digest) -> bytes:
        try:
            with open_regular(self._path(digest)) as file:
                data = _read_limited(file, MAX_DOCUMENT_BYTES)
        except OSError as error:
            raise self._failure(f"manifest {digest}", error) from error
        if digest_of(data, digest.algorithm) != digest:
            raise TransportError(f"{self.path}: manifest {digest} has other bytes than its digest says")
        return data

    def _path(self, digest: Digest) -> str:
        return f"{self.path}/blobs/{digest.algorithm}/{digest.encoded}"

    def _failure(self, what: str, error: OSError) -> TransportError:
        reason = "not found" if isinstance(error, FileNotFoundError) else (error.strerror or str(error)).lower()
        return TransportError(f"the image layout {self.path}: {what}: {reason}")


def open_source(place: str, client: Callable[[], RegistryClient]) -> Source:
    """Return the source a place names. `client` is called only for registries."""
    if place.startswith(LAYOUT_SCHEME):
        return LayoutSource(place.removeprefix(LAYOUT_SCHEME))
    return RegistrySource(parse_reference(place), client())


def check_layout(path: str) -> None:
    """Raise TransportError unless `path` holds an image layout of the version we read.

    image-layout.md#oci-layout-file: every version of the specification so far calls its layout 1.0.0.
    """
    try:
        with open_regular(f"{path}/oci-layout") as file:
            document = json.loads(_read_limited(file, MAX_DOCUMENT_BYTES))
        version = document.get("imageLayoutVersion")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise TransportError(
            f"{path} is not an OCI image layout", hint="It needs the files oci-layout and index.json."
        ) from error
    except OSError as error:
        raise TransportError(
            f"the image layout {path}: oci-layout: {(error.strerror or str(error)).lower()}"
        ) from error
    except (ValueError, AttributeError, RecursionError) as error:
        raise TransportError(f"{path}/oci-layout is not what an image layout has there: {error}") from error
    if version != LAYOUT_VERSION:
        raise TransportError(
            f"{path} is an image layout of version {version!r:.40}; this pybuild reads {LAYOUT_VERSION}"
        )


def _read_limited(file: BinaryIO, limit: int) -> bytes:
    """Read a whole file that claims to be a small document. Raises TransportError beyond `limit` bytes."""
    data = bytearray()
    while block := file.read(limit + 1 - len(data)):
        data += block
        if len(data) > limit:
            raise TransportError(f"a document of the image layout is longer than {limit} bytes")
    return bytes(data)


def _tag(entry: Descriptor) -> str:
    return entry.annotations.get(REF_NAME, "")
