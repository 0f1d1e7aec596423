"""What is suggested for a mistake: the nearest keyword (X1), and the name most like the one given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.suggest import did_you_mean, levenshtein, mimic_case, most_alike, nearest


@pytest.mark.rule("X1")
@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("FNTRYPOINT", ["FROM", "ENTRYPOINT"], "ENTRYPOINT"),
        ("rUM", ["RUN"], "run"),
        ("foo", ["FROM"], "from"),
        ("FOO", ["from"], "FROM"),
        ("INSTALL", ["RUN", "FROM"], ""),
        ("RUN", ["RUN", "RUM"], ""),
    ],
)
def test_the_nearest_keyword_is_suggested_in_the_casing_of_the_user(word: str, known: list[str], expected: str) -> None:
    assert nearest(word, known, case_sensitive=False) == expected


def test_a_suggestion_is_put_after_a_message() -> None:
    assert did_you_mean("chwon", ["chmod", "chown"]) == " (did you mean chmod?)"
    assert did_you_mean("x" * 100_000, ["chmod"]) == ""


def test_casing_is_mimicked() -> None:
    assert [mimic_case("From", model) for model in ("FRM", "frm", "Frm")] == ["FROM", "from", "from"]


def distance(a: str, b: str) -> int:
    """The definition of the edit distance, written as such."""
    if not a or not b:
        return len(a) + len(b)
    return min(distance(a[1:], b) + 1, distance(a, b[1:]) + 1, distance(a[1:], b[1:]) + (a[0] != b[0]))


@given(st.text("ab", max_size=5), st.text("ab", max_size=5), st.integers(1, 6))
def test_the_edit_distance_is_exact_below_its_limit(a: str, b: str, limit: int) -> None:
    assert levenshtein(a, b, limit) == min(distance(a, b), limit)


@pytest.mark.parametrize(
    ("name", "names", "expected"),
    [
        ("Dockerfile", ["dockerfil", "Dockerfile.prod", "README"], "dockerfil"),
        ("Dockerfile", ["Dockerfile.prod", "README"], "Dockerfile.prod"),
        ("D", ["d", "e"], "d"),
        ("1", ["2", "3"], ""),
        ("name", [], ""),
    ],
)
def test_the_name_that_is_most_alike_is_suggested_as_it_is_written(name: str, names: list[str], expected: str) -> None:
    assert most_alike(name, names, case_sensitive=False) == expected


def test_how_alike_and_in_what_case_is_the_callers_choice() -> None:
    assert most_alike("D", ["d"]) == ""
    assert most_alike("bokworm", ["bookworm"]) == "bookworm"
    assert most_alike("bokworm", ["bookworm"], cutoff=0.99) == ""
