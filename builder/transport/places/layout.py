"""An OCI image layout in a directory (image-spec image-layout.md).

oci-layout                                      {"imageLayoutVersion": "1.0.0"}
index.json                                      the images by name, as containerd and as the specification name them
blobs/<algorithm>/<encoded>                     exactly the bytes of that digest
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from builder.errors import DigestMismatch, TransportError
from builder.filesystem.unfinished import replacing
from builder.oci import canonical
from builder.oci.canonical import MAX_DOCUMENT_BYTES
from builder.oci.descriptor import CONTAINERD_NAME, REF_NAME, Descriptor, descriptor_from_json
from builder.oci.digest import Digest, digest_of, digest_or_none
from builder.oci.media_type import OCI_INDEX
from builder.oci.reference import LAYOUT_SCHEME, Reference
from builder.store.checked import open_checked, open_regular
from builder.store.store import LAYOUT
from builder.transport.destination import copy_blob
from builder.transport.source import BlobSink, Document, OpenFile, Source

LAYOUT_VERSION = "1.0.0"
_BLOCK_BYTES = 1 << 20
_MAX_INDEX_BYTES = 64 << 20
_BLOB_MODE = 0o644


class LayoutSource:
    """The images of a layout. Raises TransportError for what is none."""

    is_checked = False

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self.location = LAYOUT_SCHEME + self.path
        check_layout(self.path)

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
                f"{self.path}: manifest {entry.digest} is {len(data)} bytes long; index.json says {entry.size}"
            )
        return Document(_nameless(entry), data)

    def blob(self, descriptor: Descriptor, sink: BlobSink) -> None:
        """Write a blob to `sink`. Raises TransportError."""
        try:
            with open_regular(f"{self.path}/{blob_path(descriptor.digest)}") as file:
                while block := file.read(_BLOCK_BYTES):
                    sink.write(block)
        except OSError as error:
            raise self._failure(f"blob {descriptor.digest}", error) from error

    def open_blob(self, descriptor: Descriptor) -> OpenFile:
        """Open a blob. Raises TransportError."""
        try:
            return OpenFile(open_regular(f"{self.path}/{blob_path(descriptor.digest)}"))
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
        # A reference without a tag says `latest`, which a layout of one image need not call it.
        found = named or (entries if not name or (name == "latest" and len(entries) == 1) else [])
        if len(found) == 1:
            return found[0]
        names = ", ".join(sorted(filter(None, map(_tag, entries)))) or "none"
        reason = f"has no image {name!r}" if name and not found else f"has {len(found)} images; name one of them"
        raise TransportError(f"the image layout {self.path} {reason}: not found", hint=f"It names: {names}.")

    def _read(self, digest: Digest) -> bytes:
        try:
            with open_regular(f"{self.path}/{blob_path(digest)}") as file:
                data = _read_limited(file, MAX_DOCUMENT_BYTES)
        except OSError as error:
            raise self._failure(f"manifest {digest}", error) from error
        if digest_of(data, digest.algorithm) != digest:
            raise TransportError(f"{self.path}: manifest {digest} has other bytes than its digest says")
        return data

    def _failure(self, what: str, error: OSError) -> TransportError:
        reason = "not found" if isinstance(error, FileNotFoundError) else (error.strerror or str(error)).lower()
        return TransportError(f"the image layout {self.path}: {what}: {reason}")


class LayoutDestination:
    """A layout to write or extend: other images there stay, names move. Raises TransportError."""

    parallel = 1
    documents_are_blobs = True

    def __init__(self, directory: str) -> None:
        self.location = directory
        with self._writing():
            os.makedirs(directory, exist_ok=True)
            _present_entries(directory)  # raises for what is something else

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Say whether an earlier export left the blob here, whole and as it should be."""
        with self._writing():
            try:
                with open_checked(self._path(descriptor), descriptor.digest) as file:
                    return os.fstat(file.fileno()).st_size == descriptor.size
            except (FileNotFoundError, DigestMismatch):
                return False

    def put_blob(self, descriptor: Descriptor, source: Source) -> None:
        """Write a blob: a copy and never a hard link, as whoever edits the layout must not edit where it came from."""
        with self._writing():
            target = self._path(descriptor)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with replacing(target) as file:
                os.fchmod(file.fileno(), _BLOB_MODE)
                copy_blob(source, descriptor, file.write)

    def put_manifest(self, document: Document) -> None:
        """Do nothing: it came as a blob."""

    def finish(self, top: Document, names: Sequence[Reference]) -> None:
        """Name the image in index.json, beside those that are there."""
        with self._writing(), _locked(self.location):
            _put(f"{self.location}/oci-layout", LAYOUT)
            own = index_entries(top.descriptor, names)
            taken = {(entry.get("annotations") or {}).get(REF_NAME) for entry in own} - {None}
            # Read again: others may have named images of theirs since we began.
            kept = [entry for entry in _present_entries(self.location) if not _superseded(entry, own, taken)]
            _put(f"{self.location}/index.json", index_document([*kept, *own]))

    def _path(self, descriptor: Descriptor) -> str:
        return f"{self.location}/{blob_path(descriptor.digest)}"

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise TransportError(
                f"writing the image layout {self.location}: {reason} ({error.filename or ''})"
            ) from error


def blob_path(digest: Digest) -> str:
    """Return where a layout has the blob, without a leading slash."""
    return f"blobs/{digest.algorithm}/{digest.encoded}"


def index_entries(top: Descriptor, names: Sequence[Reference]) -> list[dict[str, Any]]:
    """Return the entries of index.json for one image: each name as containerd writes it, and the tag alone."""
    entries = [
        top._replace(annotations={**top.annotations, CONTAINERD_NAME: str(name), REF_NAME: name.tag}) for name in names
    ]
    return [entry.to_json() for entry in entries or [top]]


def index_document(entries: Sequence[Any]) -> bytes:
    """Return index.json of these entries."""
    return canonical.encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries)})


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


def _present_entries(directory: str) -> list[Any]:
    try:
        with open_regular(f"{directory}/index.json") as file:
            document = json.loads(file.read())
        check_layout(directory)
        return list(document.get("manifests") or [])
    except FileNotFoundError:
        if os.listdir(directory) and not os.path.exists(f"{directory}/oci-layout"):
            raise TransportError(
                f"{directory} is neither empty nor an image layout", hint="Name another directory with dest=."
            ) from None
        return []
    except (ValueError, AttributeError, TypeError) as error:
        raise TransportError(f"{directory}/index.json is not an image index: {error}") from error


def _superseded(entry: Any, own: list[dict[str, Any]], taken: set[str | None]) -> bool:
    if not isinstance(entry, dict):
        return True
    name = (entry.get("annotations") or {}).get(REF_NAME)
    return name in taken or (name is None and any(entry.get("digest") == new["digest"] for new in own))


@contextmanager
def _locked(directory: str) -> Iterator[None]:
    """Hold the lock of a layout while its index.json is changed: on the directory, as nothing else of it lasts."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # a file system without locks: there two writers may undo each other
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _put(path: str, data: bytes) -> None:
    with replacing(path) as file:
        file.write(data)


def _read_limited(file: BinaryIO, limit: int) -> bytes:
    """Read a whole file that claims to be a small document. Raises TransportError beyond `limit` bytes."""
    data = bytearray()
    while block := file.read(limit + 1 - len(data)):
        data += block
        if len(data) > limit:
            raise TransportError(f"a document of the image layout is longer than {limit} bytes")
    return bytes(data)


def _nameless(entry: Descriptor) -> Descriptor:
    """Return what an entry of index.json says of its image: its name belongs to the layout."""
    kept = {key: text for key, text in entry.annotations.items() if key not in (REF_NAME, CONTAINERD_NAME)}
    return entry._replace(annotations=kept)


def _tag(entry: Descriptor) -> str:
    return entry.annotations.get(REF_NAME, "")
