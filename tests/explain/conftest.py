"""Indexes that tests open are closed again: other tests of the process have few descriptors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from builder.layer.index import LayerIndex, open_index
from tests.layer import archives


@pytest.fixture(autouse=True)
def closed_indexes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    opened: list[LayerIndex] = []

    def opening(path: str) -> LayerIndex:
        opened.append(open_index(path))
        return opened[-1]

    monkeypatch.setattr(archives, "open_index", opening)
    yield
    for index in opened:
        index.close()
