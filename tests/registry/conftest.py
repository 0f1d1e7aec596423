"""A scripted registry with one blob, and an empty store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.store.store import Store, open_store
from tests.registry.asking import BLOB
from tests.support.registry import FakeRegistry, sha256


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        fake.blobs[sha256(BLOB)] = BLOB
        yield fake


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(str(tmp_path / "store")) as opened:
        yield opened
