"""A repository of a registry as a place (builder.registry speaks the protocol)."""

from __future__ import annotations

from collections.abc import Sequence
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from builder.oci.descriptor import Descriptor
from builder.oci.digest import parse_digest
from builder.oci.reference import Reference
from builder.registry.client import RegistryClient
from builder.store.repositories import Repositories
from builder.transport.destination import copy_to_file
from builder.transport.source import BlobFile, BlobSink, Document, OpenFile, Source
from builder.web.stretch import FileStretch

_PARALLEL = 4


class RegistrySource:
    """A repository to pull from."""

    is_checked = False

    def __init__(self, reference: Reference, client: RegistryClient) -> None:
        self.location = reference.name
        self._reference = Reference(reference.registry, reference.repository)
        self._client = client

    def manifest(self, name: str) -> Document:
        """Return what a tag or digest names. Raises RegistryError, DigestMismatch."""
        reference = self._reference
        reference = reference.with_digest(parse_digest(name)) if ":" in name else reference.with_tag(name)
        fetched = self._client.get_manifest(reference)
        descriptor = Descriptor(media_type=fetched.media_type, digest=fetched.digest, size=len(fetched.data))
        return Document(descriptor, fetched.data)

    def blob(self, descriptor: Descriptor, sink: BlobSink) -> None:
        """Write a blob to `sink`, going on where a connection broke. Raises RegistryError."""
        self._client.fetch_blob(self._reference, descriptor, sink)

    def open_blob(self, descriptor: Descriptor) -> None:
        """Return None: it has to be fetched."""


class RegistryDestination:
    """A repository to push to. The registry checks what it is given."""

    parallel = _PARALLEL
    documents_are_blobs = False

    def __init__(self, reference: Reference, client: RegistryClient, known: Repositories | None = None) -> None:
        """A blob that is `known` to be in another repository of the registry is asked to be mounted from there."""
        self.location = reference.name
        self._known = known
        self._reference = Reference(reference.registry, reference.repository)
        self._client = client

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Ask whether the repository has the blob. Raises RegistryError."""
        return self._client.has_blob(self._reference, descriptor)

    def put_blob(self, descriptor: Descriptor, source: Source) -> None:
        """Send a blob, or have it mounted. Raises RegistryError, and what the source raises."""
        opened: list[BlobFile] = []

        def open_at(offset: int) -> _Part:
            if not opened:  # what is mounted need not be fetched
                opened.append(source.open_blob(descriptor) or _fetched(source, descriptor))
            return _Part(opened[0], offset)

        try:
            self._client.push_blob(self._reference, descriptor, open_at, mount_from=self._repository_with(descriptor))
        finally:
            for blob in opened:
                blob.close()

    def _repository_with(self, blob: Descriptor) -> str:
        if self._known is None:
            return ""
        return self._known.repository_with(blob.digest, self._reference.registry, self._reference.name)

    def put_manifest(self, document: Document) -> None:
        """Send a manifest by its digest. Raises RegistryError."""
        self._put(self._reference.with_digest(document.descriptor.digest), document)

    def finish(self, top: Document, names: Sequence[Reference]) -> None:
        """Send the manifest or index under each tag; without any, by its digest. Raises RegistryError."""
        if not names:
            self.put_manifest(top)
        for name in names:
            self._put(self._reference.with_tag(name.tag), top)

    def _put(self, reference: Reference, document: Document) -> None:
        self._client.put_manifest(reference, document.data, document.descriptor.media_type)


def _fetched(source: Source, descriptor: Descriptor) -> BlobFile:
    """Fetch a blob into a file that has no name: it may have to be sent twice."""
    file = cast(BinaryIO, TemporaryFile())  # noqa: SIM115  # whoever is given it closes it
    try:
        copy_to_file(source, descriptor, file)
        file.flush()
    except BaseException:
        file.close()
        raise
    return OpenFile(file)


class _Part:
    """Reads a blob from an offset on."""

    def __init__(self, blob: BlobFile, offset: int) -> None:
        self._blob = blob
        self._offset = offset

    def read(self, size: int, /) -> bytes:
        data = self._blob.read_at(self._offset, size)
        self._offset += len(data)
        return data

    def stretch(self, size: int, /) -> FileStretch:
        stretch = self._blob.stretch_at(self._offset, size)
        self._offset += stretch.size
        return stretch

    def close(self) -> None:
        """Do nothing: the blob is closed by who opened it."""
