"""`--filter` of docker's prune: which times and labels it takes, and what it lets go."""

from __future__ import annotations

import time

import pytest

from builder.errors import UsageError
from builder.image.prune_filter import CACHE_KEYS, PRUNE_KEYS, parse_prune_filters

HOUR = 3_600_000_000_000
MADE = [("team", "a"), ("keep", "")]


@pytest.fixture
def in_india(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("TZ", "XST-5:30")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("24h", 24 * HOUR),
        ("10m", HOUR // 6),
        ("1h30m", HOUR * 3 // 2),
        ("1.5h", HOUR * 3 // 2),
        ("-1h", -HOUR),
        ("0s", 0),
    ],
)
def test_a_time_is_so_long_ago(text: str, ago: int) -> None:
    before = time.time_ns()
    until = parse_prune_filters([f"until={text}"]).until
    assert until is not None
    assert before - ago <= until <= time.time_ns() - ago


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1767225600", 1767225600.0),
        ("1767225600.5", 1767225600.0),
        ("2026-01-01T00:00:00Z", 1767225600.0),
        ("2026-01-01T01:00:00.5+01:00", 1767225600.5),
        ("2026-01-01Z", 1767225600.0),
        ("2026-01-01T01+01:00", 1767225600.0),
        ("2026-01-01T05:30:00", 1767225600.0),
        ("2026-01-01T05:30", 1767225600.0),
        ("2026-01-01T05", 1767225600.0 - 1800),
        ("2026-01-01", 1767225600.0 - 19800),
    ],
)
@pytest.mark.usefixtures("in_india")
def test_a_time_is_a_date_of_this_machine_or_of_a_zone_or_seconds(text: str, seconds: float) -> None:
    assert parse_prune_filters([f"until={text}"]).until == int(seconds * 1e9)


@pytest.mark.parametrize(
    "words",
    [
        *(
            ["until"],
            ["until="],
            ["until=soon"],
            ["until=2026-13-01"],
            ["until=24" + "0" * 20],
            ["until=2026-01-01T25"],
        ),
        *(["until=h"], ["until=1h", "until=2h"], ["age=1h"], ["label!"], ["label="], ["dangling=true"]),
    ],
)
def test_what_is_no_filter_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError, match=r"--filter|until filter"):
        parse_prune_filters(words, PRUNE_KEYS)


def test_the_cache_has_no_labels_to_go_by() -> None:
    with pytest.raises(UsageError, match="label=x"):
        parse_prune_filters(["label=x"], CACHE_KEYS)


@pytest.mark.parametrize(
    ("words", "goes"),
    [
        ([], True),
        (["label=team"], True),
        (["label=team=a", "label=keep="], True),
        (["label=team=b"], False),
        (["label=team", "label=other"], False),
        (["label!=keep"], False),
        (["LABEL!=team=b"], True),
        (["label!=other", "label!=team"], False),
        (["until=1767225600"], True),
        (["until=1767225599"], False),
        (["until=1767225601", "label!=keep"], False),
    ],
)
def test_what_goes_is_old_enough_and_labelled(words: list[str], goes: bool) -> None:
    assert parse_prune_filters(words).takes(1767225600_000_000_000, MADE) is goes


def test_what_was_made_nobody_knows_when_stays_when_a_time_is_said() -> None:
    assert not parse_prune_filters(["until=0s"]).takes(None, MADE)
