"""Compressed streams, read. Layers lie uncompressed here; compression happens at the edges, once.

    open_decompressed(file) ──▶ .read(n)          gzip, zstd, bzip2, xz or nothing, found by its first bytes

Media types are not believed: mislabelled layers exist. compressor.py is the way out, codecs.py has the codecs.
"""

from __future__ import annotations

from typing import Any, Literal

from builder.errors import LayerError
from builder.layer.limits import ANY_GROWTH, LIMITS, MIB, Limits, outgrown
from builder.layer.tar_reader import Readable

Compression = Literal["uncompressed", "gzip", "zstd", "bzip2", "xz"]

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
        self._decoder: Any = None if self.compression == "uncompressed" else _new_decoder(self.compression, limits)
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
        self._decoder = _new_decoder(self.compression, self._limits)
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


def _new_decoder(compression: Compression, limits: Limits) -> Any:
    from builder.layer.codecs import new_decoder  # gate: rare. Layers here are plain

    return new_decoder(compression, limits)
