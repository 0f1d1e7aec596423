"""A layer's tar in, its table of contents and its diff ID out, in one pass. index.py reads what is written here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol

from builder.errors import LayerError
from builder.filesystem.entry import Entry
from builder.layer.index_format import LayerStatistics
from builder.layer.index_writer import IndexWriter
from builder.layer.limits import LIMITS, Limits
from builder.layer.paths import LayerPaths, place_entry
from builder.layer.tar_reader import SCATTERED, Readable, TarMember, read_tar
from builder.oci.digest import DiffID

_READ_BYTES = 1 << 20


class Contents(Protocol):
    """Takes the contents of the files of a tar, one after the other."""

    def begin(self) -> int:
        """Return where the next content begins, which is another place for each."""
        ...

    def write(self, data: bytes, /) -> object: ...


def build_index(
    stream: Readable, index_path: str, limits: Limits = LIMITS, keep: Contents | None = None
) -> tuple[DiffID, LayerStatistics]:
    """Read an uncompressed layer tar to its end; write its index, and return its diff ID and statistics.

    Paths in the index are places: links that the layer itself makes are followed (paths.py). Of two entries for one
    path the last counts. Offsets are those in the tar, or with `keep` those at which it takes the contents; without,
    files with holes are refused. Raises LayerError for a malformed or hostile archive, StoreError when it cannot be
    written.
    """
    hashing = _Hashing(stream)
    paths = LayerPaths()
    with IndexWriter(index_path, keep_last=True) as index:
        for member in read_tar(hashing, limits):
            entry = place_entry(member.entry, paths)
            if entry is None:
                continue
            if keep is None and member.offset == SCATTERED:
                raise _sparse(entry)
            offset = member.offset if keep is None else keep.begin()
            index.add(entry, entry.mtime, offset, _digest(member, None if keep is None else keep.write))
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


def _digest(member: TarMember, write: Callable[[bytes], object] | None) -> bytes:
    if member.entry.kind != "file":
        return b""
    digest = hashlib.sha256()
    while block := member.read(_READ_BYTES):
        digest.update(block)
        if write is not None:
            write(block)
    return digest.digest()


def _sparse(entry: Entry) -> LayerError:
    return LayerError(
        f"{entry.path!r} of the layer is a sparse file, which is not supported in layers (image-spec, layer.md)",
        hint="Make the image again with a tool that writes whole files; ADD unpacks archives that hold such files.",
    )
