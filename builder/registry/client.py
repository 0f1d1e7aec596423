"""The distribution client: names to manifests, descriptors to bytes, and back (distribution-spec v1.1).

    pull      get_manifest, head_manifest, resolve_tag, fetch_blob       mirrors first (registries.conf)
    push      has_blob, push_blob, push_stream, put_manifest             the registry itself
    others    list_tags, list_repositories, search, referrers, delete_manifest, delete_blob

In: references and descriptors. Out: bytes that have been checked against their digest and size. Nothing is stored here:
blobs are written to a sink, and read from what opens them. Importing this file imports urllib3; a cached build doesn't.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Literal

from builder.errors import PybuildError, RegistryError
from builder.oci import canonical
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest
from builder.oci.manifest import parse_manifest
from builder.oci.reference import Reference
from builder.registry import download, listing, manifests, mirrored, referrers, upload
from builder.registry.access import Access
from builder.registry.authorization import FindCredentials
from builder.registry.connection import Connection
from builder.registry.download import Progress, Sink
from builder.registry.endpoint import Endpoint
from builder.registry.manifests import FetchedManifest
from builder.registry.upload import OpenAt

HUB_INDEX = "https://index.docker.io"
"""Where Docker Hub is searched; other registries have only their catalogue."""
Pushed = Literal["exists", "mounted", "sent"]
"""How a blob came to be in a repository."""


class RegistryClient:
    """Pulls from and pushes to any registry. Safe for threads."""

    def __init__(
        self,
        connection: Connection | None = None,
        environ: Mapping[str, str] = os.environ,
        *,
        credentials: FindCredentials | None = None,
        chunk_bytes: int | None = None,
        notify: Callable[[str], None] = lambda line: None,
    ) -> None:
        """`credentials` takes the place of credential files; `chunk_bytes` lets blobs go in chunks of that size;
        `notify` gets a line for what went wrong and did no harm: a mirror that is given up.
        """
        self.connection = connection or Connection(environ=environ)
        self._access = Access(self.connection, environ, credentials, notify)
        self._chunk_bytes = chunk_bytes
        self._lock = Lock()
        self._pushing: dict[tuple[str, str, Digest], Lock] = {}
        self._there: set[tuple[str, str, Digest]] = set()
        self._missing: set[tuple[str, str, Digest]] = set()
        """What repositories had and had not got when they were asked."""

    # --- pull

    def get_manifest(self, reference: Reference) -> FetchedManifest:
        """Fetch what a tag or digest names. Raises RegistryError; DigestMismatch when the bytes are other ones."""
        name, what = _name(reference), str(reference)

        def ask(place: Endpoint) -> FetchedManifest:
            fetched = manifests.get_manifest(self._access, place, name, reference.digest, what)
            if place.is_mirror:  # another place may have better ones than a manifest that nobody can read
                parse_manifest(fetched.data, fetched.media_type, what)
            return fetched

        return self._access.from_first(reference, ask)

    def head_manifest(self, reference: Reference) -> Descriptor | None:
        """Return the descriptor of what a tag or digest names, None when there is nothing. Raises RegistryError."""
        name, what = _name(reference), str(reference)
        endpoint = self._access.endpoint(reference.registry, reference.repository)
        try:
            return manifests.describe(self._access, endpoint, name, reference.digest, what)
        except RegistryError as error:
            if error.status != 404:
                raise
            return None

    def resolve_tag(self, reference: Reference) -> Digest | None:
        """Ask what a tag names without fetching it; None when the registry doesn't tell. Raises RegistryError."""
        name, what = _name(reference), str(reference)
        return self._access.from_first(
            reference, lambda place: manifests.head_manifest(self._access, place, name, what)[1]
        )

    def fetch_blob(
        self, reference: Reference, descriptor: Descriptor, sink: Sink, progress: Progress | None = None
    ) -> None:
        """Write a blob's bytes to `sink`, resuming where the connection breaks. The sink checks digest and size.

        Raises RegistryError when the registry has not got it or keeps breaking off.
        """
        *mirrors, own = self._access.places(reference)
        if mirrors:
            mirrored.fetch_blob(self._access, [*mirrors, own], descriptor, sink, progress)
        else:
            download.fetch_blob(self._access, own, descriptor, sink, progress)

    # --- push

    def has_blob(self, reference: Reference, descriptor: Descriptor) -> bool:
        """Ask whether the repository has a blob, unless it is known here. Raises RegistryError."""
        key = (reference.registry, reference.repository, descriptor.digest)
        if key in self._there:
            return True
        endpoint = self._access.endpoint(reference.registry, reference.repository)
        there = upload.has_blob(self._access, endpoint, descriptor)
        (self._there if there else self._missing).add(key)
        return there

    def push_blob(
        self, reference: Reference, descriptor: Descriptor, open_at: OpenAt, *, mount_from: str = "",
        progress: Progress | None = None,
    ) -> Pushed:  # fmt: skip
        """Bring a blob into the repository, unless it has it, and say how.

        `mount_from` is a repository of the same registry that may have it. Of several threads that push the same blob
        one sends it. Raises RegistryError, and what `open_at` or reading raises; the upload is cancelled then.
        """
        key = (reference.registry, reference.repository, descriptor.digest)
        with self._lock:
            pushing = self._pushing.setdefault(key, Lock())
        with pushing:
            if key in self._there or (key not in self._missing and self.has_blob(reference, descriptor)):
                return "exists"
            what = f"blob {descriptor.digest}"
            one = self._upload(reference, open_at, progress, what)
            is_mounted = one.run(lambda: descriptor, descriptor.size, mount_from)
            self._there.add(key)
        return "mounted" if is_mounted else "sent"

    def push_stream(
        self, reference: Reference, open_at: OpenAt, finish: Callable[[], Descriptor], progress: Progress | None = None
    ) -> Descriptor:
        """Send a blob while it is still being made; return its descriptor, which `finish` says after the last byte.

        Readers wait for bytes that are to come. Raises as push_blob does.
        """
        self._upload(reference, open_at, progress, "a blob").run(finish, None)
        descriptor = finish()
        self._there.add((reference.registry, reference.repository, descriptor.digest))
        return descriptor

    def put_manifest(self, reference: Reference, data: bytes, media_type: str = "") -> Digest:
        """Store exact bytes under the tag of `reference`, or under its digest if it has one; return their digest.

        What they name must be there already, children of an index too. Where the registry does not know of subjects the
        list of referrers is kept up to date. Raises RegistryError, DigestMismatch, ImageError.
        """
        what = str(reference)
        endpoint = self._access.endpoint(reference.registry, reference.repository)
        document = canonical.decode(data, what)
        subject = referrers.subject_of(document, what)
        digest, is_understood = manifests.put_manifest(self._access, endpoint, _name(reference), data, media_type, what)
        if subject is not None and not is_understood:
            kind = media_type or str(document["mediaType"])
            referrer = referrers.referrer_descriptor(document, kind, digest, len(data))
            with self._lock:
                writing = self._pushing.setdefault((reference.registry, reference.repository, subject), Lock())
            with writing:
                referrers.add_referrer(self._access, endpoint, subject, referrer)
        return digest

    # --- what is there

    def list_tags(self, reference: Reference, limit: int | None = None) -> list[str]:
        """Return the tags of a repository: all, or pages until there are `limit`. Raises RegistryError."""
        endpoint = self._access.endpoint(reference.registry, reference.repository)
        return listing.list_tags(self._access, endpoint, f"tags of {reference.name}", limit)

    def list_repositories(self, registry: str, limit: int | None = None) -> list[str]:
        """Return the repositories in a registry's catalogue, where it has one. Raises RegistryError."""
        return listing.list_repositories(self._access, self._access.endpoint(registry, ""), limit)

    def search(self, term: str, limit: int = 25, index: str = HUB_INDEX) -> list[dict[str, Any]]:
        """Return what an index, a URL, finds: name, description, star_count, is_official. Raises RegistryError."""
        scheme, _, host = index.partition("://")
        return listing.search_index(self._access, Endpoint(host, host, scheme), term, limit)

    def referrers(self, reference: Reference, artifact_type: str = "") -> tuple[Descriptor, ...]:
        """Return what refers to the digest of `reference`; each has `artifactType` in `extra`. Raises RegistryError."""
        endpoint = self._access.endpoint(reference.registry, reference.repository)
        if reference.digest is None:
            raise RegistryError(f"{reference}: referrers are those of a digest")
        return referrers.list_referrers(self._access, endpoint, reference.digest, artifact_type)

    def delete_manifest(self, reference: Reference) -> None:
        """Delete a manifest by its digest, or only a tag. Raises RegistryError.

        A manifest that is deleted is taken off the list of referrers of its subject.
        """
        endpoint = self._access.endpoint(reference.registry, reference.repository)
        subject = None if reference.digest is None else self._subject(reference)
        manifests.delete(self._access, endpoint, f"manifests/{_name(reference)}", str(reference))
        if subject is not None and reference.digest is not None:
            referrers.drop_referrer(self._access, endpoint, subject, reference.digest)

    def delete_blob(self, reference: Reference, digest: Digest) -> None:
        """Delete a blob from the repository. Raises RegistryError."""
        endpoint = self._access.endpoint(reference.registry, reference.repository)
        manifests.delete(self._access, endpoint, f"blobs/{digest}", f"blob {digest}")
        self._there.discard((reference.registry, reference.repository, digest))

    def _upload(self, reference: Reference, open_at: OpenAt, progress: Progress | None, what: str) -> upload.BlobUpload:
        endpoint = self._access.endpoint(reference.registry, reference.repository)
        return upload.BlobUpload(self._access, endpoint, open_at, progress, self._chunk_bytes, what)

    def _subject(self, reference: Reference) -> Digest | None:
        try:
            data = self.get_manifest(reference).data
            return referrers.subject_of(canonical.decode(data, str(reference)), str(reference))
        except PybuildError:
            return None  # it cannot be read, and can be deleted nevertheless


def _name(reference: Reference) -> str:
    return reference.digest or reference.tag
