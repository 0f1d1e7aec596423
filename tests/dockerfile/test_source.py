"""Excerpts: what an error shows of the file (§3.2)."""

from __future__ import annotations

import pytest

from builder.dockerfile.source import MAX_CELLS, ExcerptLine, excerpt, printable, width
from builder.errors import Location

TEXT = "one\ntwo\nthree words here\nfour\nfive\nsix\n"


def test_one_line_is_shown_with_two_around_it_and_its_words_underlined() -> None:
    assert excerpt(TEXT, Location("Dockerfile", 3, 7, 3, 12)) == (
        ExcerptLine(1, "one"),
        ExcerptLine(2, "two"),
        ExcerptLine(3, "three words here", marked=True, underline=(6, 11)),
        ExcerptLine(4, "four"),
        ExcerptLine(5, "five"),
    )


def test_several_lines_are_shown_with_one_around_them() -> None:
    lines = excerpt(TEXT, Location("Dockerfile", 3, 1, 4, 5))
    assert [(line.number, line.marked) for line in lines] == [(2, False), (3, True), (4, True), (5, False)]


def test_the_window_ends_with_the_file() -> None:
    assert [line.number for line in excerpt(TEXT, Location("f", 1, 1, 1, 2))] == [1, 2, 3]


def test_of_a_long_instruction_the_middle_is_left_out() -> None:
    lines = excerpt("x\n" * 100, Location("f", 10, 1, 90, 1))
    assert [line.number for line in lines] == [9, 10, 11, 12, 13, 14, 15, 16, 17, 0, 89, 90, 91]


def test_a_tab_before_the_words_moves_the_underline() -> None:
    line = next(line for line in excerpt("\tRUN\tx y\n", Location("f", 1, 6, 1, 7)) if line.marked)
    assert line.text == "        RUN     x y"
    assert line.underline == (16, 17)


def test_wide_characters_take_two_cells() -> None:
    line = next(line for line in excerpt("日本 x 語\n", Location("f", 1, 6, 1, 7)) if line.marked)
    assert line.underline == (7, 9)
    assert (width("日本"), width("e\u0301"), width("abc")) == (4, 1, 3)


@pytest.mark.parametrize(
    "hostile", ["\x1b[31mred", "\x1b]0;title\x07", "a\x08b", "\x9b31m", "\u202egnp", "\udc80", "\u2028x"]
)
def test_nothing_a_terminal_would_obey_comes_through(hostile: str) -> None:
    assert printable(hostile).isprintable()
    assert all(line.text.isprintable() for line in excerpt(f"RUN {hostile}\n", Location(hostile, 1, 1, 1, 4)))


def test_a_long_line_is_cut_so_that_the_words_are_seen() -> None:
    text = "x" * 500 + " fault " + "y" * 100_000
    line = excerpt(text, Location("f", 1, 502, 1, 507))[0]
    assert line.underline is not None
    assert line.text[slice(*line.underline)] == "fault"
    assert width(line.text) <= MAX_CELLS + 1


@pytest.mark.parametrize("location", [(0, 0, 0, 0), (99, 1, 99, 1), (1, 99, 1, 100), (1, 4, 1, 1), (2, 1, 1, 1)])
def test_an_impossible_place_still_gives_an_excerpt(location: tuple[int, int, int, int]) -> None:
    assert excerpt(TEXT, Location("f", *location))
    assert excerpt("", Location("f", *location))
