"""How layers are to be packed, as a value; packing.py does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Compression = Literal["uncompressed", "gzip", "zstd"]
LEVELS: Mapping[Compression, range] = {"uncompressed": range(1), "gzip": range(10), "zstd": range(23)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How layers are packed for an image that leaves the store."""

    compression: Compression = "gzip"
    level: int | None = None
    """The codec's own scale; None is our choice."""
    force: bool = False
    """Also repack layers that came compressed."""
