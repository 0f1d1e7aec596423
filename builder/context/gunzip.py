"""A body with `Content-Encoding: gzip` (RFC 1952): coded bytes in, its own bytes out, bounded at every step.

Every member counts, and bytes behind the last one are an error, as in Go's reader, which BuildKit uses.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from builder.errors import ContextError

_GZIP = 16 + zlib.MAX_WBITS
_BLOCK_BYTES = 1 << 20
_RATIO = 200
"""Decoded over coded bytes beyond which a body is taken for a bomb; text has 5 to 20, deflate's end is 1032."""
_RATIO_FREE_BYTES = 1 << 30
"""Decoded bytes before the ratio counts: a file of zeros is honest work."""


class Gunzip:
    """`shown` names the body in errors; `limit` is the most that it may become, in bytes."""

    def __init__(
        self,
        write: Callable[[bytes], object],
        limit: int,
        shown: str,
        *,
        ratio: int = _RATIO,
        ratio_free_bytes: int = _RATIO_FREE_BYTES,
    ) -> None:
        self._write = write
        self._limit = limit
        self._shown = shown
        self._ratio, self._free = ratio, ratio_free_bytes
        self._member = zlib.decompressobj(_GZIP)
        self._begun = False
        self._coded = 0
        self._decoded = 0

    def write(self, data: bytes) -> None:
        """Take the next coded bytes. Raises ContextError for what is not gzip, and for too much."""
        self._coded += len(data)
        full = False
        while data or full:
            self._begun = True
            try:
                block = self._member.decompress(data, _BLOCK_BYTES)
            except zlib.error as error:
                raise self._refused("is not the gzip that its Content-Encoding says") from error
            self._pass_on(block)
            # A call gives one block at most, and zlib may hold more of it when no input is left: so it is asked again,
            # with nothing, until a block is not full.
            full = len(block) == _BLOCK_BYTES and not self._member.eof
            data = self._member.unconsumed_tail
            if self._member.eof:
                data = self._member.unused_data
                self._member, self._begun = zlib.decompressobj(_GZIP), False

    def finish(self) -> None:
        """Say that nothing follows. Raises ContextError in the middle of a member."""
        if self._begun:
            raise self._refused("was cut short: its gzip has no end")

    def _pass_on(self, block: bytes) -> None:
        self._decoded += len(block)
        if self._decoded > self._limit:
            raise self._refused(f"is longer than {self._limit} bytes, the most that is accepted")
        if self._decoded > max(self._free, self._ratio * self._coded):
            raise self._refused(
                f"became {self._decoded} bytes out of {self._coded} that were sent, more than {self._ratio} for one",
                hint="Unpack it with other means first, if it is meant to be so.",
            )
        if block:
            self._write(block)

    def _refused(self, reason: str, hint: str = "") -> ContextError:
        return ContextError(f"{self._shown} {reason}", hint=hint)
