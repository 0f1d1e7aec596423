"""How values look on a screen."""

from __future__ import annotations

import pytest

from builder.cli.display.text import clipped


@pytest.mark.parametrize(
    ("title", "width", "rest", "shown"),
    [
        ("short", 80, 20, "short"),
        ("x" * 60, 80, 20, "x" * 60),
        ("x" * 61, 80, 20, "x" * 59 + "…"),
        ("x" * 61, 80, 70, "x" * 19 + "…"),
        ("x" * 61, 10, 70, "x" * 19 + "…"),
    ],
)
def test_a_title_leaves_room_for_what_became_of_the_step(title: str, width: int, rest: int, shown: str) -> None:
    assert clipped(title, width, rest) == shown
