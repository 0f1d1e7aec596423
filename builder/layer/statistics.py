"""What a layer holds, in numbers."""

from __future__ import annotations

from typing import NamedTuple


class LayerStatistics(NamedTuple):
    """Members of the tar, those that are no directories, and bytes in regular files."""

    entries: int
    files: int
    bytes_: int
