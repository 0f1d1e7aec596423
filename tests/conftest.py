"""What all tests share: markers."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "rule(id): the rule of the Dockerfile language that this test proves")
    config.addinivalue_line("markers", "alone: this test compares times, and runs when no other does")
