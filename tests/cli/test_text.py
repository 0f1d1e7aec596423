"""How values look on a screen."""

from __future__ import annotations

import pytest

from builder.cli.display.text import age_text, clipped


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


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "Less than a second"),
        (0.9, "Less than a second"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "About a minute"),
        (120, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (5400, "2 hours"),
        (47.4 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (13 * 86_400, "13 days"),
        (14 * 86_400, "2 weeks"),
        (59 * 86_400, "8 weeks"),
        (60 * 86_400, "2 months"),
        (729 * 86_400, "24 months"),
        (730 * 86_400, "2 years"),
    ],
)
def test_ages_are_in_docker_s_words(seconds: float, words: str) -> None:
    assert age_text(seconds) == f"{words} ago"
