"""An empty store, and a scripted registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.store.store import Store, open_store
from tests.support.registry import FakeRegistry


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(str(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake
