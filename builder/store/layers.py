"""What is known of layers: their two digests, how big they are, and where their table of contents is.

    layer       diff ID → how it is stored here, what it holds
    blob        digest of a stored form → diff ID                       (one diff ID may have many forms)
    compressed  (diff ID, compression, level) → descriptor of the form that compression gives
    indexes/sha256/<hex>   table of contents of the layer with that diff ID

The uncompressed tar of a layer is the blob whose digest is its diff ID. For a pulled layer that blob is a by-product,
made when first needed, and pruned before anything else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock
from typing import Any, NamedTuple, Protocol

from builder.errors import DigestMismatch, LayerError
from builder.oci.descriptor import Descriptor
from builder.oci.digest import DiffID, Digest
from builder.store.content import ContentStore
from builder.store.database import Database
from builder.store.leases import Leases
from builder.store.os_errors import translated

_BLOCK_BYTES = 1 << 20

SCHEMA = """
CREATE TABLE layer (
    diff_id TEXT PRIMARY KEY, media_type TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL,
    entries INTEGER NOT NULL, files INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE blob (digest TEXT PRIMARY KEY, diff_id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE compressed (
    diff_id TEXT, compression TEXT, level INTEGER,
    media_type TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL,
    PRIMARY KEY (diff_id, compression, level)) WITHOUT ROWID;
"""


class LayerRecord(NamedTuple):
    """A layer in the store. `descriptor` names its stored form; the rest describes the uncompressed tar."""

    descriptor: Descriptor
    diff_id: DiffID
    entries: int = 0
    files: int = 0
    """Entries that are no directories."""
    bytes: int = 0
    """Sum of the sizes of the regular files."""


class Reader(Protocol):
    """What decompression gives: `read(n)` returns b"" at the end."""

    def read(self, size: int = -1, /) -> bytes: ...


class Layers:
    """The layers of one store."""

    def __init__(self, root: str, blobs: ContentStore, database: Database, leases: Leases) -> None:
        self._indexes = f"{root}/indexes"
        self._blobs = blobs
        self._database = database
        self._leases = leases
        self._unpacking = Lock()

    def find(self, diff_id: DiffID) -> LayerRecord | None:
        """Return what is known of a layer whose blob and index are both here or can be had, else None."""
        row = self._database.row(
            "SELECT media_type, digest, size, diff_id, entries, files, bytes FROM layer WHERE diff_id = ?", (diff_id,)
        )
        return self.present(row)

    def present(self, row: Any) -> LayerRecord | None:
        """Make a record of (media_type, digest, size, diff_id, entries, files, bytes) if its files can be had."""
        if row is None:
            return None
        record = _record(row)
        self._leases.pin(record.descriptor.digest, record.diff_id)
        if self._blobs.is_whole(record.descriptor.digest, record.descriptor.size) and os.path.exists(
            self.index_path(record.diff_id)
        ):
            return record
        # Whoever wants its bytes has them fetched then, and its index is made of them (transport/layer_index.py). What
        # is here and cut short would not be fetched.
        digest = record.descriptor.digest
        return record if not self._blobs.has(digest) and self._blobs.source.has(digest) else None

    def find_diff_id(self, blob: Digest) -> DiffID | None:
        """Return the diff ID of a stored form, when it was seen before."""
        row = self._database.row("SELECT diff_id FROM blob WHERE digest = ?", (blob,))
        return DiffID(row[0]) if row else None

    def put(self, record: LayerRecord) -> None:
        """Remember a layer; its blob and index must already be there."""
        self._database.change(lambda connection: put_layer(connection, record, self._blobs))

    def find_compressed(self, diff_id: DiffID, compression: str, level: int) -> Descriptor | None:
        """Return what compressing a layer gave before; its blob need not be here."""
        row = self._database.row(
            "SELECT media_type, digest, size FROM compressed WHERE diff_id = ? AND compression = ? AND level = ?",
            (diff_id, compression, level),
        )
        return Descriptor(media_type=row[0], digest=Digest(row[1]), size=row[2]) if row else None

    def compressed_sizes(self) -> dict[DiffID, int]:
        """Return the bytes of each layer that was ever compressed: as a push does it, or else as somebody wanted it."""
        rows = self._database.rows(
            "SELECT diff_id, size FROM compressed WHERE compression != 'uncompressed' "
            "ORDER BY compression = 'gzip', level = -1"  # the last one of a layer stays: packing.py's default
        )
        return {DiffID(diff_id): size for diff_id, size in rows}

    def put_compressed(self, diff_id: DiffID, compression: str, level: int, descriptor: Descriptor) -> None:

        def put(connection: Any) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO compressed VALUES (?, ?, ?, ?, ?, ?)",
                (diff_id, compression, level, descriptor.media_type, descriptor.digest, descriptor.size),
            )
            connection.execute("INSERT OR REPLACE INTO blob VALUES (?, ?)", (descriptor.digest, diff_id))

        self._database.change(put)

    def index_path(self, diff_id: DiffID) -> str:
        """Return where the layer's table of contents is, or would be."""
        algorithm, _, encoded = diff_id.partition(":")
        return f"{self._indexes}/{algorithm}/{encoded}"

    def keep_index(self, temporary: str, diff_id: DiffID) -> None:
        """Move a finished index to its place; its bytes reach the disk before its name, which records trust."""
        self._leases.pin(diff_id)
        with translated(f"writing the index of layer {diff_id}"):
            descriptor = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(temporary, self.index_path(diff_id))

    def uncompressed_path(self, record: LayerRecord, open_decompressed: Callable[[Reader], Reader]) -> str:
        """Return a path of the uncompressed tar, decompressing it into the store when it isn't there.

        `open_decompressed` is builder.layer.compression's. Raises DigestMismatch when the bytes are not those of the
        diff ID, StoreError, LayerError.
        """
        if record.descriptor.digest == record.diff_id:
            return self._blobs.ensure(record.diff_id)
        with self._unpacking:  # stages that run in parallel ask for the same base at the same moment
            if not self._blobs.has(record.diff_id):
                self._unpack(record, open_decompressed)
        return self._blobs.ensure(record.diff_id)

    def _unpack(self, record: LayerRecord, open_decompressed: Callable[[Reader], Reader]) -> None:
        digest = record.descriptor.digest
        try:
            with self._blobs.stream(digest) as file, self._blobs.ingest(record.diff_id) as blob:
                stream = open_decompressed(file)
                while block := stream.read(_BLOCK_BYTES):
                    blob.write(block)
                file.finish()
                blob.commit()
        except (LayerError, DigestMismatch) as error:
            self._blobs.verify(digest)  # raises with better words, when it is the blob that is damaged
            raise DigestMismatch(
                f"layer {digest} does not unpack to its diff ID: {error.message}",
                hint="The image is damaged or its config names other layers; pull it again.",
            ) from error

    def walk(self) -> list[LayerRecord]:
        """Return every remembered layer, sorted by diff ID, whether or not its files are there."""
        return [
            _record(row)
            for row in self._database.rows(
                "SELECT media_type, digest, size, diff_id, entries, files, bytes FROM layer ORDER BY diff_id"
            )
        ]


def put_layer(connection: Any, record: LayerRecord, blobs: ContentStore) -> None:
    """Write the rows of one layer, as part of a transaction.

    A layer that is here uncompressed stays known by that form: pulling it once more, compressed, must not change what
    a cached step gives.
    """
    descriptor = record.descriptor
    connection.execute("INSERT OR REPLACE INTO blob VALUES (?, ?)", (descriptor.digest, record.diff_id))
    known = connection.execute("SELECT digest FROM layer WHERE diff_id = ?", (record.diff_id,)).fetchone()
    if known and known[0] == record.diff_id != descriptor.digest and blobs.has(record.diff_id):
        return
    connection.execute(
        "INSERT OR REPLACE INTO layer VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            record.diff_id, descriptor.media_type, descriptor.digest, descriptor.size,
            record.entries, record.files, record.bytes,
        ),
    )  # fmt: skip


def _record(row: Any) -> LayerRecord:
    media_type, digest, size, diff_id, entries, files, bytes_ = row
    return LayerRecord(
        descriptor=Descriptor(media_type=media_type, digest=Digest(digest), size=size),
        diff_id=DiffID(diff_id),
        entries=entries,
        files=files,
        bytes=bytes_,
    )
