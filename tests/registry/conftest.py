"""Scripted registries: one with a blob, and an empty one where each repository has its own."""

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


@pytest.fixture
def empty() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        fake.owned = set()
        yield fake
