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
    """A path with a slash in front, or a link target: PATH_MAX without its NUL (limits.h)."""
    name_bytes: int = 255
    """One component: NAME_MAX (limits.h)."""
    header_bytes: int = MIB
    """One PAX header or GNU long name; also what the xattrs of one entry may take together."""
    pending_headers: int = 16
    """Extension headers in a row before the entry they are about."""
    total_bytes: int = 512 * GIB
    """Decompressed size of one archive."""
    ratio: int = 100
    """Read over stored size, of what is compressed and of files with holes. Logs and tables reach 50, bombs 1000."""
    ratio_free_bytes: int = 2 * GIB
    """Bytes before the ratio counts: a file of zeros is honest work (dd if=/dev/zero), and 1 GiB of them is usual."""
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
ANY_GROWTH = Limits(ratio_free_bytes=LIMITS.total_bytes)
"""For what somebody vouches for, and for what was let in before."""


def limits_for(*, large: bool) -> Limits:
    """Return the limits for what comes from outside; `large` is --allow-large-layers."""
    return ANY_GROWTH if large else LIMITS


def outgrown(what: str, limits: Limits) -> LayerError:
    """Return the error for `what` that grows beyond all proportion."""
    return LayerError(
        f"{what} grows more than {limits.ratio} times when it is unpacked, beyond {limits.ratio_free_bytes} bytes",
        hint="It looks like a decompression bomb. If you trust where it comes from, --allow-large-layers lets it in.",
    )
