"""A repository of a registry as a place (builder.registry speaks the protocol)."""

from __future__ import annotations

from builder.oci.descriptor import Descriptor
from builder.oci.digest import parse_digest
from builder.oci.reference import Reference
from builder.registry.client import RegistryClient
from builder.transport.source import BlobSink, Document


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
