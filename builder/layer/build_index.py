"""A layer's tar in, its table of contents and its diff ID out, in one pass. index.py reads what is written here."""

from __future__ import annotations

import hashlib

from builder.layer.index_writer import IndexWriter
from builder.layer.limits import LIMITS, Limits
from builder.layer.paths import LayerPaths, place_entry
from builder.layer.reader import Readable, TarMember, read_tar
from builder.layer.statistics import LayerStatistics
from builder.oci.digest import DiffID

_READ_BYTES = 1 << 20


def build_index(stream: Readable, index_path: str, limits: Limits = LIMITS) -> tuple[DiffID, LayerStatistics]:
    """Read an uncompressed layer tar to its end; write its index, and return its diff ID and statistics.

    Paths in the index are places: links that the layer itself makes are followed (paths.py). Of two entries for one
    path the last counts. Raises LayerError for a malformed or hostile archive, StoreError when it cannot be written.
    """
    hashing = _Hashing(stream)
    paths = LayerPaths()
    with IndexWriter(index_path, keep_last=True) as index:
        for member in read_tar(hashing, limits):
            entry = place_entry(member.entry, paths)
            if entry is not None:
                index.add(entry, entry.mtime, member.offset, _digest(member))
        statistics = index.finish()
    return DiffID("sha256:" + hashing.digest.hexdigest()), statistics


class _Hashing:
    """A stream that digests what passes through it."""

    def __init__(self, stream: Readable) -> None:
        self._read = stream.read
        self.digest = hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        data = self._read(size)
        self.digest.update(data)
        return data


def _digest(member: TarMember) -> bytes:
    if member.entry.kind != "file":
        return b""
    size = member.entry.size
    if size <= _READ_BYTES:
        return hashlib.sha256(member.read(size)).digest()
    digest = hashlib.sha256()
    while block := member.read(_READ_BYTES):
        digest.update(block)
    return digest.digest()
