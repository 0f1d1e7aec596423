"""A store or an image layout of another machine: `ssh://HOST/PATH`, of which only missing blobs are moved.

Blobs are digested there before they get their names; index.json changes under the lock that local writers take as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from builder.errors import DigestMismatch, TransportError
from builder.oci.descriptor import Descriptor
from builder.oci.digest import digest_or_none
from builder.oci.reference import Reference, parse_reference
from builder.store.names import renamed
from builder.transport.destination import copy_blob
from builder.transport.places.layout import index_entries, merged_index
from builder.transport.places.layout_source import MAX_INDEX_BYTES, LayoutFileSource, shown_path
from builder.transport.places.ssh_session import SshSession
from builder.transport.source import BlobFile, BlobSink, Document, Source

_STORE = "store"


class SshSource(LayoutFileSource):
    """The images of another machine. Raises TransportError for what is none."""

    def __init__(self, session: SshSession) -> None:
        if session.kind in ("absent", "empty", "other"):
            reason = {"absent": "does not exist", "empty": "holds no image yet"}.get(
                session.kind, "is no store and no layout"
            )
            raise TransportError(f"{session.location}: {session.location.path} {reason}: not found")
        super().__init__(str(session.location), _RemoteFiles(session))
        self._is_store = session.kind == _STORE

    def manifest(self, name: str) -> Document:
        """As for layouts; a store has whole names. Raises as `LayoutFileSource.manifest`, ReferenceFormatError."""
        if self._is_store and name and not name.startswith("@") and digest_or_none(name) is None:
            name = str(parse_reference(name))
        return super().manifest(name)

    def open_blob(self, descriptor: Descriptor) -> None:
        """Return None: it has to be fetched."""


class _RemoteFiles:
    """The files of a layout, fetched one after the other."""

    def __init__(self, session: SshSession) -> None:
        self.what = str(session.location)
        self._session = session

    def read(self, name: str, limit: int) -> bytes:
        """Return a small file whole. Raises TransportError, also beyond `limit` bytes."""
        collected = bytearray()
        self._get(name, collected.extend, limit)
        return bytes(collected)

    def copy(self, name: str, sink: BlobSink) -> None:
        """Write a file to `sink`. Raises TransportError."""
        self._get(name, sink.write, None)

    def open(self, name: str) -> BlobFile:
        """Never called: `SshSource.open_blob` opens nothing."""
        raise NotImplementedError

    def _get(self, name: str, write: Callable[[bytes], object], limit: int | None) -> None:
        with self._session.lock:
            answer = self._session.ask("get", name)
            if answer[:1] != ["yes"]:
                raise TransportError(f"{self.what}: {shown_path(name)}: not found")
            size = int(answer[1])
            if limit is not None and size > limit:
                raise TransportError(f"{self.what}: {name} is longer than {limit} bytes")
            self._session.receive(write, size)


class SshDestination:
    """A store or layout of another machine to write to; where nothing is, a layout is made. Raises TransportError."""

    parallel = 1
    documents_are_blobs = True

    def __init__(self, session: SshSession) -> None:
        self.location = str(session.location)
        self._session = session
        if session.kind == "other":
            raise TransportError(
                f"{self.location}: {session.location.path} is no store, no image layout, and not empty",
                hint="Name another directory.",
            )
        if session.kind == _STORE and session.locking == "none":
            raise TransportError(
                f"{self.location}: a store is shared by locks, and that machine has no flock(1)",
                hint="Install util-linux there, or name a directory that is no store: it becomes an image layout.",
            )
        if session.exact == "none":
            raise TransportError(f"{self.location}: neither head nor dd there can read a number of bytes")
        session.ask("begin")

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Say whether the blob is there, whole and as it should be: what is damaged is sent again."""
        digest = descriptor.digest
        return self._session.ask("has", digest.algorithm, digest.encoded, descriptor.size) == ["yes"]

    def put_blob(self, descriptor: Descriptor, source: Source) -> None:
        """Send a blob, from where the last try broke off. Raises DigestMismatch."""
        begun_at, found = self._put(descriptor, source)
        if found and begun_at:  # what the last try had left was not what it should be; it is gone now
            _, found = self._put(descriptor, source)
        if found:
            raise DigestMismatch(
                f"blob {descriptor.digest} arrived at {self.location} with other bytes: their digest is "
                f"{descriptor.digest.algorithm}:{found}"
            )

    def _put(self, descriptor: Descriptor, source: Source) -> tuple[int, str]:
        """Send the rest of a blob; return where it began, and the digest if it came out wrong."""
        digest = descriptor.digest
        begun_at = int(self._session.ask("put", digest.algorithm, digest.encoded, descriptor.size)[1])
        skipped = _Skipping(self._session, begun_at)
        try:
            copy_blob(source, descriptor, skipped.write)
        except BaseException:
            self._session.hang_up()  # the other side waits for bytes that nobody has
            raise
        answer = self._session.answer()
        return begun_at, "" if answer == ["done"] else " ".join(answer[1:])

    def put_manifest(self, document: Document) -> None:
        """Do nothing: it came as a blob."""

    def finish(self, top: Document, names: Sequence[Reference]) -> None:
        """Name the image in index.json, beside those that are there."""
        session, what = self._session, f"{self.location}: index.json"
        answer, present = session.ask("index"), bytearray()
        if answer[:1] == ["yes"]:
            if int(answer[1]) > MAX_INDEX_BYTES:
                raise TransportError(f"{what} is longer than {MAX_INDEX_BYTES} bytes")
            session.receive(present.extend, int(answer[1]))
        data = self._new_index(bytes(present), top.descriptor, names, what)
        session.send(b"write %d\n" % len(data) + data)
        session.answer()

    def _new_index(self, present: bytes, top: Descriptor, names: Sequence[Reference], what: str) -> bytes:
        image = self._session.location.image
        if self._session.kind == _STORE:
            return renamed(present, what, top, [parse_reference(image)] if image else names)
        try:
            entries: list[Any] = list(json.loads(present).get("manifests") or []) if present else []
        except (ValueError, AttributeError, TypeError, RecursionError) as error:
            raise TransportError(f"{what} is not an image index: {error}") from error
        return merged_index(entries, index_entries(top, names, image))


class _Skipping:
    """Sends a blob without its first bytes, which are there."""

    def __init__(self, session: SshSession, skip: int) -> None:
        self._session = session
        self._skip = skip

    def write(self, data: bytes) -> None:
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        if skipped < len(data):
            self._session.send(data[skipped:])
