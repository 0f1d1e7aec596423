"""Blobs by digest: the `blobs/` directory of an OCI image layout (image-spec image-layout.md#blobs).

    ROOT/blobs/<algorithm>/<encoded>     mode 0644, exactly the bytes its name says

A blob appears by rename, whole and synced, or not at all. In: bytes. Out: a digest. What refers to what is not known
here, nor which other place (blob_source.py) has a blob that is not.

Disks fail and people edit: whatever reads a blob to its end checks it (`read`, `stream`, `verify`). Whatever asks for a
blob is a use of it, which prune respects (leases.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import BinaryIO

from builder.errors import BlobNotFound, DigestMismatch, ReferenceFormatError, StoreError, counted
from builder.filesystem import sound
from builder.oci.digest import Digest, digest_of, parse_digest
from builder.store import atomic
from builder.store.blob_source import BlobSource, NoBlobs
from builder.store.checked import CheckedFile, damaged, open_checked, open_regular
from builder.store.known_files import WORTH_BYTES
from builder.store.leases import Leases
from builder.store.os_errors import store_error, translated
from builder.store.pipeline import Pipeline
from builder.store.stat_cache import has_fine_times
from builder.store.temporary import TemporaryFiles

BLOB_MODE = 0o644
_PARALLEL_FROM_BYTES = 4 << 20


class ContentStore:
    """The blobs of one store. Safe for threads and processes: a blob never changes once it is there."""

    def __init__(self, root: str, temporary: TemporaryFiles, leases: Leases, source: BlobSource | None = None) -> None:
        """`source` is asked for blobs that are wanted and not here."""
        self.source = source or NoBlobs()
        self.directory = f"{root}/blobs"
        self._temporary = temporary
        self._leases = leases

    def path(self, digest: Digest) -> str:
        """Return where the blob is, or would be."""
        algorithm, _, encoded = digest.partition(":")
        return f"{self.directory}/{algorithm}/{encoded}"

    def ensure(self, digest: Digest) -> str:
        """Return the path of a blob, which is fetched first where it is not here.

        Raises BlobNotFound, StoreError, DigestMismatch when the source gives other bytes.
        """
        path = self.path(digest)
        if not self.has(digest):
            if not self.source.has(digest):
                raise _missing(digest)
            with self.ingest(digest) as blob:
                self.source.fetch(digest, blob.write)
                blob.commit()
        return path

    def has(self, digest: Digest) -> bool:
        """Say whether the blob is here already."""
        self._leases.pin(digest)
        return os.path.exists(self.path(digest))

    def is_whole(self, digest: Digest, size: int) -> bool:
        """Say whether the blob is here and `size` bytes long: one that a crash cut short is as good as none."""
        self._leases.pin(digest)
        try:
            return os.stat(self.path(digest)).st_size == size
        except OSError:
            return False

    def size(self, digest: Digest) -> int:
        """Return its size in bytes. Raises BlobNotFound."""
        self._leases.pin(digest)
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            return os.stat(self.ensure(digest)).st_size
        except OSError as error:
            raise store_error(error, f"looking for blob {digest}") from error

    def open(self, digest: Digest) -> BinaryIO:
        """Open for reading, unbuffered and unchecked. Raises BlobNotFound, StoreError."""
        self._leases.pin(digest)
        try:
            return open_regular(self.path(digest))
        except FileNotFoundError:
            return open_regular(self.ensure(digest))
        except OSError as error:
            raise store_error(error, f"opening blob {digest}") from error

    def stream(self, digest: Digest, *, believe: bool = True) -> CheckedFile:
        """Open for reading from end to end: a context manager. Raises BlobNotFound, StoreError; at its end, where the
        bytes are not those of the digest, DigestMismatch. `believe` is open_checked's.
        """
        self._leases.pin(digest)
        try:
            return open_checked(self.path(digest), digest, believe=believe)
        except FileNotFoundError:
            return open_checked(self.ensure(digest), digest, believe=believe)
        except OSError as error:
            raise store_error(error, f"opening blob {digest}") from error

    def verify(self, digest: Digest) -> None:
        """Read a blob to check it. Raises BlobNotFound, StoreError, DigestMismatch."""
        with self.stream(digest, believe=False), translated(f"reading blob {digest}"):
            pass

    def read(self, digest: Digest, limit: int) -> bytes:
        """Return the whole blob, checked. Raises BlobNotFound, DigestMismatch, and StoreError when it is longer than
        `limit` bytes.
        """
        data = self.read_unchecked(digest, limit)
        actual = digest_of(data, digest.algorithm)
        if actual != digest:
            raise damaged(self.path(digest), digest, actual)
        return data

    def read_unchecked(self, digest: Digest, limit: int) -> bytes:
        """As `read`, for who makes the best of what is there."""
        with self.open(digest) as file, translated(f"reading blob {digest}"):
            data = bytearray()
            while len(data) <= limit and (block := file.read(limit + 1 - len(data))):
                data += block
        if len(data) > limit:
            raise StoreError(f"blob {digest} is longer than the {counted(limit, 'byte')} expected of it")
        return bytes(data)

    def ingest(self, expected: Digest | None = None, size: int | None = None, *, replace: bool = False) -> Ingest:
        """Begin to write a blob; with `expected` and `size` (bytes), nothing else is accepted.

        `replace` puts it in the place of one that is there: which may be damaged.
        """
        return Ingest(self, self._temporary.path("blob"), expected, size, replace)

    def put(self, data: bytes, expected: Digest | None = None) -> Digest:
        """Store a small blob that is in memory; nothing is written when it is there already, and sound."""
        digest = digest_of(data)
        if expected in (None, digest) and self._holds(digest, data):
            return digest
        with self.ingest(expected, len(data), replace=True) as blob:
            blob.write(data)
            return blob.commit()

    def _holds(self, digest: Digest, data: bytes) -> bool:
        self._leases.pin(digest)
        try:
            with open_regular(self.path(digest)) as file:
                return os.fstat(file.fileno()).st_size == len(data) and file.read() == data
        except OSError:
            return False  # not here: whoever has the bytes need not fetch them

    def delete(self, digest: Digest) -> int:
        """Remove a blob; returns the bytes freed, 0 when it was not there."""
        path = self.path(digest)
        with translated(f"deleting blob {digest}"):
            try:
                size = os.lstat(path).st_size
            except FileNotFoundError:
                return 0
            return size if atomic.remove(path) else 0

    def stamps(self) -> Iterator[sound.Stamp]:
        """Yield what stat(2) says of every blob."""
        for digest, _ in self.walk():
            with suppress(FileNotFoundError):  # it went meanwhile
                yield sound.stamp(os.lstat(self.path(digest)))

    def walk(self) -> Iterator[tuple[Digest, int]]:
        """Yield digest and size of every blob, sorted; files that are no blobs are passed over."""
        for algorithm in sorted(_names(self.directory)):
            for encoded in sorted(_names(f"{self.directory}/{algorithm}")):
                try:
                    digest = parse_digest(f"{algorithm}:{encoded}")
                    yield digest, os.lstat(self.path(digest)).st_size
                except (ReferenceFormatError, FileNotFoundError):
                    continue  # image-layout.md: unknown files are not an error; or it went meanwhile


class Ingest:
    """One blob being written. Leaving the `with` block without `commit` removes what there was."""

    def __init__(
        self, store: ContentStore, temporary: str, expected: Digest | None, size: int | None, replaces: bool
    ) -> None:
        self.written = 0
        self._replaces = replaces
        self._store = store
        self._temporary = temporary
        self._expected = expected
        self._size = size
        self._done = False
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with translated("writing a blob"):
            self._descriptor = os.open(temporary, flags, 0o600)
        self._pipeline = Pipeline(self._descriptor, expected.algorithm if expected else "sha256")

    def __enter__(self) -> Ingest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._done:
            self._abandon()

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take a block. Raises StoreError, and DigestMismatch as soon as there is more than there should be."""
        length = len(data)
        if self._size is not None and self.written + length > self._size:
            raise DigestMismatch(f"{self._label()} is longer than the {counted(self._size, 'byte')} it should have")
        self.written += length
        if self.written > _PARALLEL_FROM_BYTES:
            self._pipeline.parallel()
        with translated(f"writing {self._label()}"):
            self._pipeline.write(bytes(data))  # no copy when it is bytes already
        return length

    def restart(self) -> bool:
        """Forget what was written: it was not the blob. Raises StoreError."""
        with translated(f"writing {self._label()}"):
            self._pipeline.finish()
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._pipeline = Pipeline(self._descriptor, self._pipeline.hash.name)
        self.written = 0
        return True

    def commit(self) -> Digest:
        """Make the blob durable and visible; returns its digest. Raises DigestMismatch, StoreError."""
        with translated(f"writing {self._label()}"):
            self._pipeline.finish()
            digest = Digest(f"{self._pipeline.hash.name}:{self._pipeline.hash.hexdigest()}")
            self._check(digest)
            if self._replaces or not self._store.is_whole(digest, self.written):
                self._place(digest, self._store.path(digest))
        self._abandon()
        return digest

    def _place(self, digest: Digest, target: str) -> None:
        os.fchmod(self._descriptor, BLOB_MODE)
        os.fsync(self._descriptor)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        atomic.rename(self._temporary, target)
        status = os.fstat(self._descriptor)  # after rename(2), which sets the ctime
        # Others may believe it: whoever changes it now has one tick to do so unseen, where ticks are short.
        sound.remember(sound.stamp(status), digest, lasting=self.written >= WORTH_BYTES and has_fine_times(status))

    def _check(self, digest: Digest) -> None:
        # Size first, then digest (descriptor.md#digests): the cheaper answer names the commoner fault.
        if self._size is not None and self.written != self._size:
            raise DigestMismatch(f"{self._label()} is {counted(self.written, 'byte')} long, not {self._size}")
        if self._expected is not None and digest != self._expected:
            raise DigestMismatch(f"{self._label()} has other bytes: their digest is {digest}")

    def _abandon(self) -> None:
        """Free everything; after a commit the temporary file is already elsewhere."""
        if self._done:
            return
        self._done = True
        with suppress(OSError):  # write or commit reported it, or nobody wants to know any more
            self._pipeline.finish()
        os.close(self._descriptor)
        atomic.remove(self._temporary)

    def _label(self) -> str:
        return f"blob {self._expected}" if self._expected else "a blob"


def _missing(digest: Digest) -> BlobNotFound:
    return BlobNotFound(f"blob {digest} is not in the store")


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
