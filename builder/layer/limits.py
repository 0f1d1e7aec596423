"""What a layer may ask of us, in one table. Each number stands well above what real images hold.

The archive is hostile until it has been read to its end: everything here is checked while it streams.
"""

from __future__ import annotations

from dataclasses import dataclass

from builder.errors import LayerError

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Beyond any of these, reading stops with a LayerError that names it."""

    entries: int = 5_000_000
    """Members of one archive."""
    path_bytes: int = 4095
    """A path or link target: PATH_MAX without its NUL (limits.h)."""
    name_bytes: int = 255
    """One component: NAME_MAX (limits.h)."""
    depth: int = 512
    """Components of a path: directories held open on the way down."""
    header_bytes: int = MIB
    """One PAX header or GNU long name; also what the xattrs of one entry may take together."""
    pending_headers: int = 16
    """Extension headers in a row before the entry they are about."""
    total_bytes: int = 512 * GIB
    """Decompressed size of one archive."""
    ratio: int = 1100
    """Decompressed over compressed size. Deflate cannot exceed 1032; zstd and xz can, and a bomb does."""
    ratio_free_bytes: int = 4 * GIB
    """Decompressed bytes before the ratio counts: a file of zeros is honest work (dd if=/dev/zero)."""
    sparse_extents: int = 1_000_000
    """Parts of one file with holes."""
    zstd_window_log: int = 27
    """128 MiB: what `zstd -d` accepts without being told to (zstd(1), --memory)."""
    xz_memory_bytes: int = 192 * MIB
    """What an xz dictionary may claim; `xz -9` needs 65 MiB (xz(1))."""

    def are_outgrown(self, given: int, taken: int) -> bool:
        """Say whether `taken` bytes that became `given` have grown too much."""
        return given > self.ratio_free_bytes and given > self.ratio * taken


LIMITS = Limits()


def outgrown(what: str, limits: Limits) -> LayerError:
    """Return the error for `what` that grows beyond all proportion."""
    return LayerError(
        f"{what} grows more than {limits.ratio} times when it is read", hint="It looks like a decompression bomb."
    )
