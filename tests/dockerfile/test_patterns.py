"""Patterns of substitutions, compared with the regular expressions they stand for."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.dockerfile.patterns import PatternError, parse_pattern

PATTERNS = st.text(alphabet=st.sampled_from(list("ab*?\n")), max_size=7)
VALUES = st.text(alphabet=st.sampled_from(list("aabb\nc")), max_size=14)


def expression(pattern: str, star: str) -> str:
    return "".join({"*": star, "?": "."}.get(character, re.escape(character)) for character in pattern)


@given(PATTERNS, VALUES)
def test_trimming_a_prefix_is_what_the_regular_expression_says(pattern: str, value: str) -> None:
    for longest, star in ((False, ".*?"), (True, ".*")):
        match = re.match(expression(pattern, star), value)
        expected = value[match.end() :] if match else value
        assert parse_pattern(pattern).trim_prefix(value, longest=longest) == expected


@given(PATTERNS, VALUES)
def test_trimming_a_suffix_is_trimming_a_prefix_backwards(pattern: str, value: str) -> None:
    for longest in (False, True):
        backwards = parse_pattern(pattern[::-1]).trim_prefix(value[::-1], longest=longest)
        assert parse_pattern(pattern).trim_suffix(value, longest=longest) == backwards[::-1]


@given(PATTERNS, VALUES)
def test_replacing_once_takes_the_leftmost_match_of_the_greedy_expression(pattern: str, value: str) -> None:
    expected = re.sub(expression(pattern, ".*"), "<>", value, count=1)
    assert parse_pattern(pattern).replace(value, "<>", every=False, limit=1000) == expected


@given(PATTERNS, VALUES)
def test_replacing_all_is_what_go_does_with_the_expression(pattern: str, value: str) -> None:
    parts, copied, search = [], 0, 0
    compiled = re.compile(expression(pattern, ".*"))
    while search <= len(value) and (match := compiled.search(value, search)):
        parts.append(value[copied : match.start()])
        if match.end() > copied or match.start() == 0:
            parts.append("<>")
        copied = match.end()
        search = max(match.end(), search + 1)
    expected = "".join(parts) + value[copied:]
    assert parse_pattern(pattern).replace(value, "<>", every=True, limit=1000) == expected


@pytest.mark.parametrize("text", ["\\a", "a\\", "\\.", "\\["])
def test_an_escape_of_an_ordinary_character_is_refused(text: str) -> None:
    with pytest.raises(PatternError, match="invalid escape"):
        parse_pattern(text)


def test_a_result_beyond_the_limit_is_refused() -> None:
    with pytest.raises(PatternError, match="too long"):
        parse_pattern("a").replace("a" * 100, "b" * 100, every=True, limit=5000)
