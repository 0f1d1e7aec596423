"""A scripted registry with one blob."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.registry.asking import BLOB
from tests.support.registry import FakeRegistry, sha256


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        fake.blobs[sha256(BLOB)] = BLOB
        yield fake
