"""A layer compressed on its way out: the same bytes for the same input, on this machine at least.

    Compressor(write, "gzip") ◀── .write(bytes)

Layers lie uncompressed in the store; compression.py is the way in.
"""

from __future__ import annotations

from collections.abc import Callable

from builder.layer.codecs import new_encoder
from builder.layer.compression import Compression
from builder.layer.limits import MIB


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
        self._encoder = new_encoder(compression, level, reproducible=reproducible)
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
