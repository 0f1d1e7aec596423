"""Wildcards of one name, as Go's filepath.Match has them."""

from __future__ import annotations

import time

import pytest

from builder.context.glob import PatternError, has_wildcards, match_glob, parse_glob


@pytest.mark.rule("C-10")
@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("abc", "abc", True), ("*", "", True), ("*", "abc", True), ("*c", "abc", True), ("a*", "a", True),
        ("a*", "abc", True), ("ab[c]", "abc", True), ("ab[b-d]", "abc", True), ("ab[e-g]", "abc", False),
        ("ab[^c]", "abc", False), ("ab[^b-d]", "abc", False), ("ab[^e-g]", "abc", True), ("a\\*b", "a*b", True),
        ("a\\*b", "ab", False), ("a?b", "a☺b", True), ("a[^a]b", "a☺b", True), ("a???b", "a☺b", False),
        ("[a-ζ]*", "α", True), ("*[a-ζ]", "A", False), ("[\\]a]", "]", True), ("[\\-]", "-", True),
        ("[x\\-]", "x", True),
        ("[x\\-]", "-", True), ("[x\\-]", "z", False), ("[\\-x]", "a", False), ("*x", "xxx", True),
        ("a*b*c", "abbbc", True),
        ("a*b*c", "acb", False), ("[!a]", "b", False), ("[!a]", "!", True), ("**", "ab", True), ("[z-a]", "b", False),
    ],
)  # fmt: skip
def test_a_name_matches_as_in_go(pattern: str, name: str, expected: bool) -> None:
    assert match_glob(parse_glob(pattern), name) is expected


@pytest.mark.parametrize("pattern", ["[", "[^", "[^bc", "a[", "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "a\\", "[\\"])
def test_a_malformed_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        parse_glob(pattern)


@pytest.mark.rule("C-16")
@pytest.mark.parametrize(
    ("path", "expected"),
    [("a%20b+c", False), ("ü/ñ", False), ("a\\*b", False), ("a]", False), ("a*", True), ("a/[b]", True)],
)
def test_only_three_characters_make_a_pattern(path: str, expected: bool) -> None:
    assert has_wildcards(path) is expected


def test_attack_many_stars_against_a_long_name_take_no_time() -> None:
    tokens = parse_glob("*a" * 100 + "b")
    started = time.process_time()
    assert not match_glob(tokens, "a" * 5000)
    assert time.process_time() - started < 2
