"""The images of an image layout, wherever its files lie: in a directory, or in one tar (image-spec image-layout.md).

What an image is called: the digest of its manifest; its name in index.json, the tag alone or in full; `@N`, the N-th
entry, from 0; "" when there is only one.
"""

from __future__ import annotations

import json
import os
import re
from typing import BinaryIO, Protocol

from builder.errors import TransportError, counted
from builder.oci.canonical import MAX_DOCUMENT_BYTES
from builder.oci.descriptor import CONTAINERD_NAME, REF_NAME, Descriptor
from builder.oci.digest import Digest, digest_of, digest_or_none
from builder.oci.manifest import index_entries_from_json
from builder.oci.reference import LAYOUT_SCHEME
from builder.store.checked import open_regular
from builder.transport.source import BlobFile, BlobSink, Document, OpenFile

LAYOUT_VERSION = "1.0.0"
MAX_INDEX_BYTES = 64 << 20
_BLOCK_BYTES = 1 << 20
_POSITION = re.compile(r"@([0-9]{1,9})")


class LayoutFiles(Protocol):
    """The files of a layout. `what` is how messages call it."""

    what: str

    def read(self, name: str, limit: int) -> bytes:
        """Return a small file whole. Raises TransportError, also beyond `limit` bytes."""
        ...

    def copy(self, name: str, sink: BlobSink) -> None:
        """Write a file to `sink`. Raises TransportError."""
        ...

    def open(self, name: str) -> BlobFile:
        """Open a file, to be read from anywhere. Raises TransportError."""
        ...


class LayoutFileSource:
    """The images of a layout. Raises TransportError for what is none."""

    is_checked = False

    def __init__(self, location: str, files: LayoutFiles) -> None:
        self.location = location
        self._files = files
        check_version(files.read("oci-layout", MAX_DOCUMENT_BYTES), files.what)

    def manifest(self, name: str) -> Document:
        """Return the manifest with this digest, or the one that index.json calls `name`; "" takes the only one."""
        # containerd's names of images have a colon as well, and are no digests.
        if ":" in name and (digest := digest_or_none(name)) is not None:
            data = self._read(digest)
            return Document(Descriptor(media_type="", digest=digest, size=len(data)), data)
        entry = self._entry(name)
        data = self._read(entry.digest)
        if len(data) != entry.size:
            raise TransportError(
                f"{self._files.what}: manifest {entry.digest} is {counted(len(data), 'byte')} long; "
                f"index.json says {entry.size}"
            )
        return Document(_nameless(entry), data)

    def blob(self, descriptor: Descriptor, sink: BlobSink) -> None:
        """Write a blob to `sink`. Raises TransportError."""
        self._files.copy(blob_path(descriptor.digest), sink)

    def open_blob(self, descriptor: Descriptor) -> BlobFile | None:
        """Open a blob. Raises TransportError."""
        return self._files.open(blob_path(descriptor.digest))

    def entries(self) -> tuple[Descriptor, ...]:
        """Return what index.json lists and can be checked here, in its order. Raises TransportError."""
        return tuple(entry for entry in self.positions() if entry is not None)

    def positions(self) -> tuple[Descriptor | None, ...]:
        """Return what index.json lists, None for what has a digest of an unknown algorithm. Raises TransportError."""
        what = f"{self._files.what}: index.json"
        try:
            document = json.loads(self._files.read("index.json", MAX_INDEX_BYTES))
            return index_entries_from_json(document.get("manifests") or [], what)
        except (ValueError, AttributeError, TypeError, RecursionError) as error:
            raise TransportError(f"{what} is not an image index: {error}") from error

    def _entry(self, name: str) -> Descriptor:
        positions = self.positions()
        entries = [entry for entry in positions if entry is not None]
        if position := _POSITION.fullmatch(name):
            number = int(position[1])
            found = [entry for entry in positions[number : number + 1] if entry is not None]
        else:
            named = [entry for entry in entries if name in (_tag(entry), entry.annotations.get(CONTAINERD_NAME))]
            # A reference without a tag says `latest`, which a layout of one image need not call it.
            found = named or (list(entries) if not name or (name == "latest" and len(entries) == 1) else [])
        if len(found) == 1 or len({entry.digest for entry in found}) == 1:
            return found[0]
        names = ", ".join(sorted(filter(None, map(_tag, entries)))) or "none"
        reason = (
            f"has no image {name!r}" if name and not found else f"has {counted(len(found), 'image')}; name one of them"
        )
        raise TransportError(f"{self._files.what} {reason}: not found", hint=f"It names: {names}.")

    def _read(self, digest: Digest) -> bytes:
        data = self._files.read(blob_path(digest), MAX_DOCUMENT_BYTES)
        if digest_of(data, digest.algorithm) != digest:
            raise TransportError(f"{self._files.what}: manifest {digest} has other bytes than its digest says")
        return data


class LayoutSource(LayoutFileSource):
    """The images of a layout in a directory. Raises TransportError for what is none."""

    def __init__(self, path: str) -> None:
        path = os.path.abspath(path)
        super().__init__(LAYOUT_SCHEME + path, DirectoryFiles(path, f"the image layout {path}"))


class DirectoryFiles:
    """Files below a directory."""

    def __init__(self, directory: str, what: str) -> None:
        self.what = what
        self._directory = directory

    def read(self, name: str, limit: int) -> bytes:
        """Return a small file whole. Raises TransportError, also beyond `limit` bytes."""
        try:
            with open_regular(f"{self._directory}/{name}") as file:
                return _read_limited(file, limit, f"{self.what}: {name}")
        except OSError as error:
            raise self._failure(name, error) from error

    def copy(self, name: str, sink: BlobSink) -> None:
        """Write a file to `sink`. Raises TransportError."""
        try:
            with open_regular(f"{self._directory}/{name}") as file:
                while block := file.read(_BLOCK_BYTES):
                    sink.write(block)
        except OSError as error:
            raise self._failure(name, error) from error

    def open(self, name: str) -> OpenFile:
        """Open a file. Raises TransportError."""
        try:
            return OpenFile(open_regular(f"{self._directory}/{name}"))
        except OSError as error:
            raise self._failure(name, error) from error

    def _failure(self, name: str, error: OSError) -> TransportError:
        is_absent = isinstance(error, FileNotFoundError | NotADirectoryError)
        if is_absent and name == "oci-layout":
            return TransportError(
                f"{self._directory} is not an OCI image layout", hint="It needs the files oci-layout and index.json."
            )
        reason = "not found" if is_absent else (error.strerror or str(error)).lower()
        return TransportError(f"{self.what}: {shown_path(name)}: {reason}")


def shown_path(path: str) -> str:
    """Return how messages call a file of a layout: a blob by its digest."""
    parts = path.split("/")
    return f"blob {parts[1]}:{parts[2]}" if len(parts) == 3 and parts[0] == "blobs" else path


def blob_path(digest: Digest) -> str:
    """Return where a layout has the blob, without a leading slash."""
    return f"blobs/{digest.algorithm}/{digest.encoded}"


def check_layout(path: str) -> None:
    """Raise TransportError unless `path` holds an image layout of the version we read."""
    what = f"the image layout {path}"
    check_version(DirectoryFiles(path, what).read("oci-layout", MAX_DOCUMENT_BYTES), what)


def check_version(data: bytes, what: str) -> None:
    """Raise TransportError unless `data` is an oci-layout file of the version we read.

    image-layout.md#oci-layout-file: every version of the specification so far calls its layout 1.0.0.
    """
    try:
        version = json.loads(data).get("imageLayoutVersion")
    except (ValueError, AttributeError, RecursionError) as error:
        raise TransportError(f"{what}: oci-layout is not what an image layout has there: {error}") from error
    if version != LAYOUT_VERSION:
        raise TransportError(f"{what} is of version {version!r:.40}; this pybuild reads {LAYOUT_VERSION}")


def _read_limited(file: BinaryIO, limit: int, what: str) -> bytes:
    """Read a whole file that claims to be a small document. Raises TransportError beyond `limit` bytes."""
    data = bytearray()
    while block := file.read(limit + 1 - len(data)):
        data += block
        if len(data) > limit:
            raise TransportError(f"{what} is longer than {limit} bytes")
    return bytes(data)


def _nameless(entry: Descriptor) -> Descriptor:
    """Return what an entry of index.json says of its image: its name belongs to the layout."""
    kept = {key: text for key, text in entry.annotations.items() if key not in (REF_NAME, CONTAINERD_NAME)}
    return entry._replace(annotations=kept)


def _tag(entry: Descriptor) -> str:
    return entry.annotations.get(REF_NAME, "")
