"""Bars for the blobs of a transfer, on a terminal. Imports rich, which whoever has no terminal does without."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from builder.cli.display.text import size_text
from builder.oci.digest import short_digest
from builder.solve import events as e

_REFRESH_PER_SECOND = 10
_BAR_COLUMNS = 20


def live_bars(stream: TextIO, moving: Callable[[], Iterable[e.BlobProgress]]) -> Live:
    """Return a view of what is moving, not started yet; it leaves nothing behind."""

    def render() -> Table:
        grid = Table.grid(padding=0)
        for blob in moving():
            grid.add_row(blob_row(blob))
        return grid

    console = Console(file=stream, highlight=False)
    return Live(get_renderable=render, console=console, refresh_per_second=_REFRESH_PER_SECOND, transient=True)


def blob_row(blob: e.BlobProgress) -> Text:
    """Return the row of a blob on its way: a bar, bytes of all, and bytes a second."""
    # A blob of no bytes is there at once.
    filled = _BAR_COLUMNS * blob.done // blob.size if blob.size else _BAR_COLUMNS
    row = Text(f" ↕ {short_digest(blob.digest)}  ", style="cyan", no_wrap=True, overflow="ellipsis")
    row.append("█" * filled + "░" * (_BAR_COLUMNS - filled))
    row.append(f"  {size_text(blob.done)}/{size_text(blob.size)}", style="dim")
    if blob.seconds:
        row.append(f"  {size_text(blob.done / blob.seconds)}/s", style="dim")
    return row
