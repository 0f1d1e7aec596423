"""A scripted registry."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.registry import FakeRegistry


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake
