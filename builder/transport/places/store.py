"""The store as a place: what others are copied into, and what an image leaves from."""

from __future__ import annotations

from collections.abc import Sequence

from builder.errors import TransportError
from builder.image.by_id import find_by_id
from builder.oci.canonical import MAX_DOCUMENT_BYTES
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest, digest_or_none
from builder.oci.reference import Reference, reference_or_none
from builder.store.store import Store
from builder.transport.places.transport_names import transport_meant
from builder.transport.source import BlobSink, Document, OpenFile, Source

_BLOCK_BYTES = 1 << 20
_PARALLEL = 4


class StoreSource:
    """Images of a store, byte for byte as they lie there; builder.transport.packing makes what is to be compressed."""

    is_checked = True

    def __init__(self, store: Store) -> None:
        self.location = store.root
        self._store = store

    def manifest(self, name: str) -> Document:
        """Return what a digest, a name of the store or the beginning of an image ID stands for.

        Raises BlobNotFound, DigestMismatch, StoreError, TransportError.
        """
        digest = digest_or_none(name)
        if digest is None or not self._store.blobs.has(digest):
            digest = self._find(name) or digest
        if digest is None:
            meant = transport_meant(name)
            hint = f"Did you mean {meant}?" if meant else "`pybuild images` lists what is there."
            raise TransportError(f"{name}: no such image in the store: not found", hint=hint)
        data = self._store.blobs.read(digest, MAX_DOCUMENT_BYTES)
        return Document(Descriptor(media_type="", digest=digest, size=len(data)), data)

    def _find(self, name: str) -> Digest | None:
        reference = reference_or_none(name)
        found = self._store.names.find(reference) if reference is not None else None
        found = found or find_by_id(self._store, name)
        return None if found is None else found.digest

    def blob(self, descriptor: Descriptor, sink: BlobSink) -> None:
        """Write a blob to `sink`. Raises BlobNotFound, DigestMismatch."""
        with self._store.blobs.stream(descriptor.digest) as file:
            while block := file.read(_BLOCK_BYTES):
                sink.write(block)

    def open_blob(self, descriptor: Descriptor) -> OpenFile:
        """Open a blob; one that is not known to be sound is read once before. Raises BlobNotFound, DigestMismatch."""
        with self._store.blobs.stream(descriptor.digest):
            return OpenFile(self._store.blobs.open(descriptor.digest))


class StoredBytes(StoreSource):
    """The same images, for whoever checks them: blobs as they are, believed to be nothing."""

    is_checked = False

    def open_blob(self, descriptor: Descriptor) -> OpenFile:
        """Open a blob. Raises BlobNotFound."""
        return OpenFile(self._store.blobs.open(descriptor.digest))


class StoreDestination:
    """The store, which an image need not be whole in: layers may stay where they are until a step needs them."""

    parallel = _PARALLEL
    documents_are_blobs = False

    def __init__(self, store: Store) -> None:
        self.location = store.root
        self._store = store

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Say whether the blob is here, as long as it should be."""
        return self._store.blobs.is_whole(descriptor.digest, descriptor.size)

    def put_blob(self, descriptor: Descriptor, source: Source) -> None:
        """Take a blob in. Raises DigestMismatch, StoreError."""
        with self._store.blobs.ingest(descriptor.digest, descriptor.size) as blob:
            source.blob(descriptor, blob)
            blob.commit()

    def put_manifest(self, document: Document) -> None:
        """Take a manifest or index in, exact bytes."""
        self._store.blobs.put(document.data, document.descriptor.digest)

    def finish(self, top: Document, names: Sequence[Reference]) -> None:
        """Give an image its names; without any, keep it as it is."""
        self.put_manifest(top)
        self._name(top, names)

    def _name(self, top: Document, names: Sequence[Reference]) -> None:
        self._store.names.set_all((name, top.descriptor) for name in names)
        if not names:
            self._store.names.add(top.descriptor)
