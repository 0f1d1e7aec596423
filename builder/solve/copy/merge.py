"""Streams of what sources put where → one stream in tree order, every path once: where two meet, the later wins."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from builder.context.tree import Node
from builder.filesystem.entry import Entry, tree_key
from builder.layer.content import Content
from builder.solve.copy.destination import check_kinds


class Item(NamedTuple):
    """What a source puts at a path. Hard links are found among the names of one source only.

    `node` is what it was read from; None for members of archives, which may replace anything.
    """

    entry: Entry
    content: Content | None
    source: int
    """Its number in the Dockerfile's order."""
    identity: Hashable
    node: Node | None


def merge(streams: list[tuple[str, Iterator[Item]]], lose: Callable[[Item], None]) -> Iterator[Item]:
    """Merge streams in tree order, given where each begins at the earliest; at one path the last stream wins.

    A stream is started when its turn comes, so that a thousand of them do not all list directories at once.
    """
    if len(streams) == 1:
        yield from streams[0][1]
        return
    waiting = sorted(((tree_key(root), number) for number, (root, _) in enumerate(streams)), reverse=True)
    heap: list[tuple[bytes, int, Item]] = []
    best: Item | None = None
    while waiting or heap:
        while waiting and (not heap or waiting[-1][0] <= heap[0][0]):
            _push(heap, streams, waiting.pop()[1])
        if not heap:
            continue
        # By path, then by number: of one path the last source comes last, so one item is held back to see.
        _, number, item = heappop(heap)
        _push(heap, streams, number)
        if best is not None:
            if best.entry.path != item.entry.path:
                yield best
            else:
                check_kinds(item.entry.path, best.entry.kind, item.entry.kind)
                # What is replaced is in no layer, and still in the key: it was selected.
                lose(best)
        best = item
    if best is not None:
        yield best


def _push(heap: list[tuple[bytes, int, Item]], streams: list[tuple[str, Iterator[Item]]], number: int) -> None:
    item = next(streams[number][1], None)
    if item is not None:
        # A stream has each path once, so no two items have path and number in common, and items are never compared.
        heappush(heap, (tree_key(item.entry.path), number, item))
