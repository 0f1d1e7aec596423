"""Blobs that mirrors may have: each is asked in turn, and one that sends other bytes than it should is not believed.

In: the places of a repository, the registry itself last. Out: the blob in a sink, whoever it came from. A place goes on
where the one before broke off. When what came together has another digest, it is taken back and the next place gives it
from the start; so mirrors cost their bytes, and never the pull.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from builder.errors import DigestMismatch, RegistryError
from builder.oci.descriptor import Descriptor
from builder.registry import download
from builder.registry.access import Access
from builder.registry.download import BLOCK_BYTES, Progress, Sink
from builder.registry.endpoint import Endpoint


def fetch_blob(
    access: Access, places: Sequence[Endpoint], descriptor: Descriptor, sink: Sink, progress: Progress | None = None
) -> None:
    """Write a blob's bytes to `sink` from the first of `places` that has them. Raises RegistryError, DigestMismatch."""
    if sink.restart():
        _fetch(access, places, descriptor, sink, progress)
        return
    # What the sink is given goes on at once, into an archive or another machine: only what is right may.
    with cast(BinaryIO, TemporaryFile()) as file:
        _fetch(access, places, descriptor, _FileSink(file), progress)
        file.seek(0)
        while block := file.read(BLOCK_BYTES):
            sink.write(block)


def _fetch(
    access: Access, places: Sequence[Endpoint], descriptor: Descriptor, sink: Sink, progress: Progress | None
) -> None:
    checked = _Checked(sink, descriptor)
    *mirrors, own = places
    givers: list[Endpoint] = []
    for mirror in mirrors:
        before = checked.written
        try:
            download.fetch_blob(access, mirror, descriptor, checked, progress)
            checked.finish()
            return
        except DigestMismatch as error:
            for giver in [*givers, mirror]:
                access.give_up(giver, error)
            givers.clear()
            checked.take_back(progress)
        except RegistryError as error:
            access.pass_over(mirror, error)
            if checked.written > before:
                givers.append(mirror)
    try:
        download.fetch_blob(access, own, descriptor, checked, progress)
        checked.finish()
    except DigestMismatch as error:
        if not givers:
            raise
        for giver in givers:
            access.give_up(giver, error)
        checked.take_back(progress)
        download.fetch_blob(access, own, descriptor, checked, progress)
        checked.finish()


class _Checked:
    """Passes a blob on and digests it: whoever it came from."""

    def __init__(self, sink: Sink, descriptor: Descriptor) -> None:
        self.written = 0
        self._sink = sink
        self._descriptor = descriptor
        self._hash = hashlib.new(descriptor.digest.algorithm)

    def write(self, data: bytes, /) -> int:
        """Pass on a block. Raises DigestMismatch as soon as there is more than there should be."""
        if self.written + len(data) > self._descriptor.size:
            raise self._wrong(f"is longer than the {self._descriptor.size} bytes it should have")
        self._sink.write(data)
        self._hash.update(data)
        self.written += len(data)
        return len(data)

    def restart(self) -> bool:
        """Begin anew, if the sink can."""
        self.written = 0
        self._hash = hashlib.new(self._descriptor.digest.algorithm)
        return self._sink.restart()

    def take_back(self, progress: Progress | None) -> None:
        """Begin anew, and say that the bytes so far do not count."""
        if progress is not None:
            progress(-self.written)
        self.restart()

    def finish(self) -> None:
        """Compare. Raises DigestMismatch."""
        if self._hash.hexdigest() != self._descriptor.digest.encoded:
            raise self._wrong(f"has other bytes: their digest is {self._hash.name}:{self._hash.hexdigest()}")

    def _wrong(self, reason: str) -> DigestMismatch:
        return DigestMismatch(f"blob {self._descriptor.digest} {reason}")


class _FileSink:
    """A file that a blob is kept in until it is known to be right."""

    def __init__(self, file: BinaryIO) -> None:
        self.written = 0
        self._file = file

    def write(self, data: bytes, /) -> int:
        self._file.write(data)
        self.written += len(data)
        return len(data)

    def restart(self) -> bool:
        self._file.seek(0)
        self._file.truncate()
        self.written = 0
        return True
