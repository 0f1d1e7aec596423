"""Compressed streams in and out. Layers lie uncompressed here; compression happens at the edges, once.

    open_decompressed(file) ──▶ .read(n)          gzip, zstd, bzip2, xz or nothing, found by its first bytes
    Compressor(write, "gzip") ◀── .write(bytes)   the same bytes for the same input, on this machine at least

Media types are not believed: mislabelled layers exist. The codecs are imported where they are used, as a build that
finds everything in its cache needs none.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Literal, Protocol

from builder.errors import LayerError
from builder.layer.limits import ANY_GROWTH, LIMITS, MIB, Limits, outgrown
from builder.layer.tar_reader import Readable

Compression = Literal["uncompressed", "gzip", "zstd", "bzip2", "xz"]

_GZIP_WINDOW = 31
"""zlib's wbits for a 32 KiB window and a gzip wrapper, which then has no name and no time (zlib.h, deflateInit2)."""
_FAST_GZIP_LEVEL = 1
"""isal above 2 gives other bytes on other processors."""
_REPRODUCIBLE_GZIP_LEVEL = 6
_ZSTD_LEVEL = 3
_READ_BYTES = MIB
_OUTPUT_BYTES = MIB
_MAGIC: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
)
_ZSTD_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
"""A frame of metadata may come first (RFC 8878, 3.1.2); zstd:chunked and others write them."""
SNIFF_BYTES = 8


def sniff(head: bytes) -> Compression:
    """Say how a stream that begins with `head` (SNIFF_BYTES of it, or all there is) is compressed."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    return "zstd" if len(head) >= 4 and int.from_bytes(head[:4], "little") in _ZSTD_SKIPPABLE else "uncompressed"


class Decompressed:
    """The plain bytes of a stream, whatever it is packed in: `.read(n)`. `compression` says what it was."""

    def __init__(self, stream: Readable, limits: Limits = LIMITS) -> None:
        self._stream = stream
        self._limits = limits
        self._input = stream.read(_READ_BYTES)
        while 0 < len(self._input) < SNIFF_BYTES and (more := stream.read(_READ_BYTES)):
            self._input += more
        self.compression = sniff(self._input[:SNIFF_BYTES])
        self._taken = len(self._input)
        self._given = 0
        self._decoder: Any = None if self.compression == "uncompressed" else _decoder(self.compression, limits)
        self._at_start = True

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes (all when negative); b"" at the end. Raises LayerError."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_OUTPUT_BYTES), b""))
        if self._decoder is None:
            data = self._input[:size] or self._stream.read(size)
            self._input = self._input[size:]
            return data
        try:
            return self._decoded(size)
        except LayerError:
            raise
        # Each codec has an error class of its own (zlib.error, ZstdError, LZMAError, OSError from bz2).
        except Exception as error:
            raise LayerError(f"the {self.compression} stream is damaged: {error}") from error

    def _decoded(self, size: int) -> bytes:
        while True:
            if self._decoder.eof and not self._next_member():
                return b""
            if not self._input and self._decoder.needs_input:
                self._input = self._more()
                if not self._input:
                    if self._at_start:
                        return b""
                    raise LayerError(f"the {self.compression} stream is cut short")
            data: bytes = self._decoder.decompress(self._input, size)
            self._input = b""
            self._at_start = False
            if data:
                self._given += len(data)
                self._check_ratio()
                return data

    def _more(self) -> bytes:
        data = self._stream.read(_READ_BYTES)
        self._taken += len(data)
        return data

    def _next_member(self) -> bool:
        """A stream may be several one after another (RFC 1952, 2.2); zeros after them are padding."""
        rest = self._decoder.unused_data or self._more()
        while rest and not rest.strip(b"\0"):
            rest = self._more()
        if not rest:
            return False
        while len(rest) < SNIFF_BYTES and (more := self._more()):
            rest += more
        if sniff(rest[:SNIFF_BYTES]) != self.compression:
            raise LayerError(f"the {self.compression} stream is followed by something else")
        self._decoder = _decoder(self.compression, self._limits)
        self._input = rest
        return True

    def _check_ratio(self) -> None:
        if self._given > self._limits.total_bytes:
            raise LayerError(f"the archive is longer than {self._limits.total_bytes} bytes when decompressed")
        if self._limits.are_outgrown(self._given, self._taken):
            raise outgrown(f"the {self.compression} stream", self._limits)


def open_decompressed(stream: Readable, limits: Limits = LIMITS) -> Decompressed:
    """Return a reader of the plain bytes of `stream`. Reads ahead. Raises LayerError, also while it is read."""
    return Decompressed(stream, limits)


def open_stored(stream: Readable) -> Decompressed:
    """Return a reader of the plain bytes of a layer that is in the store: it was let in, however much it grows."""
    return Decompressed(stream, ANY_GROWTH)


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


def _decoder(compression: Compression, limits: Limits) -> Any:
    if compression == "gzip":
        return _Deflated(_deflate().decompressobj(_GZIP_WINDOW))
    if compression == "zstd":
        zstd = _zstd()
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: limits.zstd_window_log})
    if compression == "bzip2":
        import bz2  # rare: only ADD and context archives

        return bz2.BZ2Decompressor()
    import lzma  # rare, as above

    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=limits.xz_memory_bytes)


class Encoder(Protocol):
    """What compresses: zlib's, isal's and zstd's objects."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class Compressor:
    """Compress what is written and hand it to `write`. Call `finish` at the end.

    Input is cut into blocks of 1 MiB first: isal's output depends on how it is cut. `reproducible` chooses zlib at
    level 6 for gzip, which is the same on every processor; by default isal at level 1, ten times as fast.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        compression: Compression,
        *,
        level: int | None = None,
        reproducible: bool = False,
    ) -> None:
        """`level` is the codec's own scale; None is our choice. Raises LayerError for what cannot be written."""
        self._write = write
        self._encoder = _encoder(compression, level, reproducible)
        self._held: list[bytes] = []
        self._held_bytes = 0

    def write(self, data: bytes) -> None:
        """Take more bytes."""
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes >= MIB:
            self._pass_on(final=False)

    def finish(self) -> None:
        """Write what is held back, and the end of the stream."""
        self._pass_on(final=True)
        if self._encoder is not None:
            self._write(self._encoder.flush())

    def _pass_on(self, *, final: bool) -> None:
        data = memoryview(b"".join(self._held))
        end = len(data) if final else len(data) - len(data) % MIB
        for at in range(0, end, MIB):
            block = bytes(data[at : min(at + MIB, end)])
            compressed = block if self._encoder is None else self._encoder.compress(block)
            if compressed:
                self._write(compressed)
        self._held = [bytes(data[end:])] if end < len(data) else []
        self._held_bytes = len(data) - end


def _encoder(compression: Compression, level: int | None, reproducible: bool) -> Encoder | None:
    if compression == "uncompressed":
        return None
    if compression == "zstd":
        encoder: Encoder = _zstd().ZstdCompressor(level=_ZSTD_LEVEL if level is None else level)
        return encoder
    if compression != "gzip":
        raise LayerError(f"layers cannot be written as {compression}", hint="Use gzip, zstd or uncompressed.")
    if reproducible or level is not None:
        return zlib.compressobj(_REPRODUCIBLE_GZIP_LEVEL if level is None else level, zlib.DEFLATED, _GZIP_WINDOW)
    fast = _deflate()
    fastest: Encoder = fast.compressobj(_FAST_GZIP_LEVEL, fast.DEFLATED, _GZIP_WINDOW)
    return fastest


def _deflate() -> Any:
    """isal where it is installed: twice as fast as zlib at reading, ten times at writing; else zlib."""
    try:
        from isal import isal_zlib  # start-up time, and not on every machine
    except ImportError:
        return zlib
    return isal_zlib


def _zstd() -> Any:
    try:
        from compression import zstd  # Python 3.14
    except ImportError:
        try:
            from backports import zstd
        except ImportError as error:
            raise LayerError(
                "zstd streams need the package backports.zstd", hint="Install it with pip, or use gzip."
            ) from error
    return zstd
