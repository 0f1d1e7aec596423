"""Plain aligned columns, the same on a terminal and in a pipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from builder.cli.text import clean


def table_lines(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()
) -> Iterator[str]:
    """Yield the head and the rows with aligned columns; those numbered in `right` are flush right."""
    cells = [[clean(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        line = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        )
        yield "   ".join(line).rstrip()
