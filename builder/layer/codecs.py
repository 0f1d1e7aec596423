"""The codecs of layers and archives behind one interface: zlib or isal, zstd, bzip2, xz.

Most builds read and write plain tars alone, and load none of them: compression.py comes here when a stream turns out to
be compressed, compressor.py when one is to be.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from contextlib import suppress
from importlib import import_module
from typing import Any, Protocol

from builder.errors import LayerError
from builder.layer.compression import Compression
from builder.layer.limits import Limits

_GZIP_WINDOW = 31
"""zlib's wbits for a 32 KiB window and a gzip wrapper, which then has no name and no time (zlib.h, deflateInit2)."""
_FAST_GZIP_LEVEL = 1
"""isal above 2 gives other bytes on other processors."""
_REPRODUCIBLE_GZIP_LEVEL = 6
_ZSTD_LEVEL = 3


def _first_of(*names: str) -> Any:
    """Return the first of several modules that is installed, or None."""
    for name in names:
        with suppress(ImportError):
            return import_module(name)
    return None


_deflate = _first_of("isal.isal_zlib", "zlib")
"""isal is not on every machine: twice as fast as zlib at reading, ten times at writing."""
_zstd = _first_of("compression.zstd", "backports.zstd")
"""Of Python 3.14, or the same for older ones."""


class Encoder(Protocol):
    """What compresses: zlib's, isal's and zstd's objects."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class _Deflated:
    """zlib's and isal's decompressobj with the interface of the other three: input left over is kept inside."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder

    @property
    def eof(self) -> bool:
        return bool(self._decoder.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._decoder.unused_data)

    @property
    def needs_input(self) -> bool:
        return not self._decoder.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return bytes(self._decoder.decompress(self._decoder.unconsumed_tail + data, max_length))


def new_decoder(compression: Compression, limits: Limits) -> Any:
    """Return what decompresses one member of a stream, with the interface of bz2's. Raises LayerError."""
    match compression:
        case "gzip":
            return _Deflated(_deflate.decompressobj(_GZIP_WINDOW))
        case "zstd":
            options = {_found_zstd().DecompressionParameter.window_log_max: limits.zstd_window_log}
            return _found_zstd().ZstdDecompressor(options=options)
        case "bzip2":
            return bz2.BZ2Decompressor()
        case "xz":
            return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=limits.xz_memory_bytes)
        case _:
            raise AssertionError("what is plain needs no decoder")


def new_encoder(compression: Compression, level: int | None, *, reproducible: bool) -> Encoder | None:
    """Return what compresses a stream, None for one that stays plain; see Compressor. Raises LayerError."""
    if compression == "uncompressed":
        return None
    if compression == "zstd":
        encoder: Encoder = _found_zstd().ZstdCompressor(level=_ZSTD_LEVEL if level is None else level)
        return encoder
    if compression != "gzip":
        raise LayerError(f"layers cannot be written as {compression}", hint="Use gzip, zstd or uncompressed.")
    if reproducible or level is not None:
        return zlib.compressobj(_REPRODUCIBLE_GZIP_LEVEL if level is None else level, zlib.DEFLATED, _GZIP_WINDOW)
    fastest: Encoder = _deflate.compressobj(_FAST_GZIP_LEVEL, _deflate.DEFLATED, _GZIP_WINDOW)
    return fastest


def _found_zstd() -> Any:
    if _zstd is None:
        raise LayerError("zstd streams need the package backports.zstd", hint="Install it with pip, or use gzip.")
    return _zstd
