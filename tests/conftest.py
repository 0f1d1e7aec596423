"""What all tests share: markers, and an empty store."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.store.store import Store, open_store

THINNED = {
    "tests/builds/test_differential.py": 12,
    "tests/builds/test_recorded.py": 6,
    "tests/cli/test_foreign_flags.py": 4,
    "tests/cli/test_reasons.py": 3,
    "tests/sandbox/test_lent.py": 2,
    "tests/sandbox/test_standard_streams.py": 2,
}
"""Of long tables one row in so many is tried, always the same ones; THOROUGH=1 tries all."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("THOROUGH") == "1" or config.option.keyword or any("::" in word for word in config.args):
        return
    left_out = [item for item in items if _is_left_out(item.nodeid)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not _is_left_out(item.nodeid)]


def _is_left_out(node: str) -> bool:
    return zlib.crc32(node.encode()) % THINNED.get(node.partition("::")[0], 1) != 0


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "rule(id): the rule of the Dockerfile language that this test proves")
    config.addinivalue_line("markers", "alone: this test compares times, and runs when no other does")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(str(tmp_path / "store")) as opened:
        yield opened
