"""One image in a directory, as skopeo's `dir:` has it: exact bytes under flat names, for looking at and for carrying.

version              Directory Transport Version: 1.1       (1.2 where there are digests other than sha256)
manifest.json        the manifest or index, byte for byte
<hex>                a blob of the digest sha256:<hex>; of another algorithm <algorithm>-<hex>
<hex>.manifest.json  a manifest that an index names
signature-<n>        signatures, which are neither read nor written

`version` is written first, so that who was interrupted may begin again, and manifest.json last: without it there is no
image.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from threading import Lock

from builder.errors import TransportError
from builder.filesystem.unfinished import replacing
from builder.oci.canonical import MAX_DOCUMENT_BYTES
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest, digest_of, digest_or_none
from builder.oci.reference import Reference
from builder.transport.destination import copy_to_file, writing
from builder.transport.places.layout_source import DirectoryFiles
from builder.transport.source import BlobFile, BlobSink, Document, Source

_VERSION = re.compile(rb"Directory Transport Version: (1\.[0-9]{1,4})\n?")
_VERSION_LINE = b"Directory Transport Version: %s\n"
_VERSIONS = ("1.0", "1.1", "1.2")
_MAX_VERSION_BYTES = 1 << 10
_MANIFEST = "manifest.json"
_OURS = re.compile(
    r"version|manifest\.json|signature-[0-9]+|(?:(?:[0-9a-f]{64}|sha512-[0-9a-f]{128})(?:\.manifest\.json)?)"
    r"|(?:[0-9a-f]{64}|sha512-[0-9a-f]{128})-signature-[0-9]+"
)
_PARALLEL = 4


class DirSource:
    """The image of a directory. Raises TransportError for what is none."""

    is_checked = False

    def __init__(self, directory: str) -> None:
        path = os.path.abspath(directory)
        self.location = f"dir:{path}"
        self._files = DirectoryFiles(path, self.location)
        _check_version(path, self.location)

    def manifest(self, name: str) -> Document:
        """Return the manifest with this digest; "" is the image itself, which has no other name here."""
        data = self._files.read(_MANIFEST, MAX_DOCUMENT_BYTES)
        digest = digest_or_none(name)
        if digest is None and name:
            raise TransportError(f"{self.location} holds one image without a name: {name!r}: not found")
        if digest is None or digest_of(data, digest.algorithm) == digest:
            return _document(data, digest)
        child = f"{file_name(digest)}.{_MANIFEST}"
        if not os.path.lexists(f"{self.location.partition(':')[2]}/{child}"):
            raise TransportError(f"{self.location}: manifest {digest}: not found")
        data = self._files.read(child, MAX_DOCUMENT_BYTES)
        if digest_of(data, digest.algorithm) != digest:
            raise TransportError(f"{self.location}: manifest {digest} has other bytes than its digest says")
        return _document(data, digest)

    def blob(self, descriptor: Descriptor, sink: BlobSink) -> None:
        """Write a blob to `sink`. Raises TransportError."""
        self._files.copy(file_name(descriptor.digest), sink)

    def open_blob(self, descriptor: Descriptor) -> BlobFile:
        """Open a blob. Raises TransportError."""
        return self._files.open(file_name(descriptor.digest))


class DirDestination:
    """A directory that an image is written to, in place of one that is there. Raises TransportError.

    Nothing is touched before the first blob comes. What is no part of the format stays.
    """

    parallel = _PARALLEL
    documents_are_blobs = False

    def __init__(self, directory: str) -> None:
        self.location = directory
        self._begun = False
        self._beginning = Lock()
        self._written: set[Digest] = set()
        self._documents: list[Document] = []
        with self._writing():
            os.makedirs(directory, exist_ok=True)
            if os.listdir(directory):
                _check_version(directory, f"dir:{directory}", hint="Empty it, or name another one.")

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Say whether this copy has written the blob."""
        return descriptor.digest in self._written

    def put_blob(self, descriptor: Descriptor, source: Source) -> None:
        """Write a blob. Raises DigestMismatch."""
        if source.location.startswith("dir:") and os.path.samefile(source.location.removeprefix("dir:"), self.location):
            raise TransportError(f"{source.location} is both what is copied and what is overwritten")
        with self._writing():
            self._begin()
            with replacing(f"{self.location}/{file_name(descriptor.digest)}") as file:
                copy_to_file(source, descriptor, file)
        self._written.add(descriptor.digest)

    def put_manifest(self, document: Document) -> None:
        """Keep a document that an index names: without any blob there would be nothing here yet."""
        self._documents.append(document)

    def finish(self, top: Document, names: Sequence[Reference]) -> None:
        """Write the documents. There is no place for names."""
        documents = {document.descriptor.digest: document.data for document in self._documents}
        with self._writing():
            self._begin()
            if any(digest.algorithm != "sha256" for digest in {top.descriptor.digest, *documents, *self._written}):
                self._put("version", _VERSION_LINE % b"1.2")
            for digest, data in documents.items():
                self._put(f"{file_name(digest)}.{_MANIFEST}", data)
            self._put(_MANIFEST, top.data)

    def _begin(self) -> None:
        """Remove the image that is here, its manifest first."""
        with self._beginning:
            if self._begun:
                return
            for name in sorted(filter(_OURS.fullmatch, os.listdir(self.location)), key=lambda name: name != _MANIFEST):
                if name != "version":
                    os.unlink(f"{self.location}/{name}")
            self._put("version", _VERSION_LINE % b"1.1")
            self._begun = True

    def _put(self, name: str, data: bytes) -> None:
        with replacing(f"{self.location}/{name}") as file:
            file.write(data)

    def _writing(self) -> AbstractContextManager[None]:
        return writing(f"dir:{self.location}")


def file_name(digest: Digest) -> str:
    """Return what a blob is called in the directory."""
    return digest.encoded if digest.algorithm == "sha256" else f"{digest.algorithm}-{digest.encoded}"


def _document(data: bytes, digest: Digest | None) -> Document:
    return Document(Descriptor(media_type="", digest=digest or digest_of(data), size=len(data)), data)


def _check_version(directory: str, what: str, hint: str = "") -> None:
    """Raise TransportError unless a directory says that it is of this format, in a version that we read."""
    if not os.path.lexists(f"{directory}/version"):
        reason = (
            "holds other things" if hint else "not found" if not os.path.isdir(directory) else "has no file `version`"
        )
        raise TransportError(f"{what} is no image directory: {reason}", hint=hint or "`dir:` is skopeo's format.")
    match = _VERSION.fullmatch(DirectoryFiles(directory, what).read("version", _MAX_VERSION_BYTES))
    if match is None or match[1].decode() not in _VERSIONS:
        raise TransportError(
            f"{what} is no image directory: its file `version` names none of {', '.join(_VERSIONS)}", hint=hint
        )
