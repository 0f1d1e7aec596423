"""Lines: comments, continuations, blanks, odd bytes (X-*)."""

from __future__ import annotations

import pytest

from builder.dockerfile.parser import parse_dockerfile
from builder.dockerfile.syntax import read_dockerfile
from tests.dockerfile.reading import errors, instruction, words


@pytest.mark.rule("X-1")
def test_a_byte_order_mark_is_dropped() -> None:
    assert parse_dockerfile(b"\xef\xbb\xbfFROM scratch\n").stages[0].base.image.text == "scratch"
    assert parse_dockerfile(b"\xef\xbb\xbf# escape=`\nFROM scratch\n").escape == "`"


@pytest.mark.rule("X-2", "Z-15")
@pytest.mark.parametrize("size", [65_535, 65_536, 1 << 20])
def test_a_line_may_be_of_any_length(size: int) -> None:
    assert len(words(f"RUN {'x' * size}\n")[0]) == size


@pytest.mark.rule("X-3")
def test_carriage_returns_before_line_ends_are_dropped() -> None:
    assert words("RUN a \\\r\n b\r\n") == ["a  b"]
    assert words("COPY a b\r\r\n") == ["a", "b"]


@pytest.mark.rule("X-3")
def test_blanks_before_an_instruction_go_and_those_of_continuation_lines_stay() -> None:
    assert words(" \t RUN a\\\n   b\n") == ["a   b"]


@pytest.mark.rule("X-4")
@pytest.mark.parametrize("end", ["\\", "\\ ", "\\\t", "\\ \t "])
def test_an_escape_character_at_the_end_continues_the_line_even_with_blanks_after_it(end: str) -> None:
    assert words(f"RUN a{end}\nb\n") == ["ab"]


@pytest.mark.rule("X-4")
def test_an_escaped_escape_character_continues_nothing() -> None:
    assert [i.keyword for i in read_dockerfile("RUN a\\\\\nRUN b\n").instructions] == ["RUN", "RUN"]


@pytest.mark.rule("Z-8")
@pytest.mark.parametrize(("count", "continues"), [(1, True), (2, False), (3, True), (4, False), (5, True)])
def test_an_odd_number_of_escape_characters_continues_the_line(count: int, continues: bool) -> None:
    read = read_dockerfile(f"RUN a{chr(92) * count}\nRUN b\n").instructions
    assert len(read) == (1 if continues else 2)
    assert read[0].arguments[0].text.startswith("a" + "\\" * (count - 1 if continues else count))


@pytest.mark.rule("X-5", "X-8")
def test_comment_lines_inside_a_continuation_vanish_and_other_hash_signs_stay() -> None:
    assert words("RUN a \\\n# one\n  # two \\\n b # three\n") == ["a  b # three"]


@pytest.mark.rule("X-6", "B-3")
def test_blank_lines_inside_a_continuation_are_dropped_with_a_warning() -> None:
    read = read_dockerfile("FROM scratch\nCOPY a \\\n\n  \nb\n")
    assert [word.text for word in read.instructions[1].arguments] == ["a", "b"]
    assert [(message, location.line) for message, location in read.warnings] == [("Empty continuation line", 5)]


@pytest.mark.rule("X-7")
@pytest.mark.parametrize("end", ["\\", "\\\n", "\\\n\n", "\\\n# c"])
def test_a_continuation_at_the_end_of_the_file_is_accepted(end: str) -> None:
    assert words(f"RUN a {end}") == ["a"]


@pytest.mark.rule("X-9")
@pytest.mark.parametrize("blank", ["\t", "\v", "\f", "\r", " ", " \t\v\f"])
def test_plain_words_are_separated_by_five_ascii_blanks(blank: str) -> None:
    assert words(f"COPY{blank}a{blank}b{blank}c\n") == ["a", "b", "c"]


@pytest.mark.rule("X-9")
def test_a_no_break_space_is_part_of_a_plain_word() -> None:
    assert words("COPY a\u00a0b c\n") == ["a\u00a0b", "c"]
    (error,) = errors("FROM scratch\nRUN\u00a0make\n")
    assert error.message.startswith("unknown instruction: RUN")
    assert error.hint == "The blank after the keyword is not an ordinary space."


@pytest.mark.rule("X-10", "X6")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the Dockerfile cannot be empty"),
        ("\n", "file with no instructions"),
        ("# only a comment\n", "file with no instructions"),
    ],
)
def test_a_file_without_instructions_is_refused(text: str, message: str) -> None:
    assert [error.message for error in errors(text)] == [message]


@pytest.mark.rule("X-11", "Z-3")
def test_comments_above_an_instruction_belong_to_it_across_blank_lines() -> None:
    text = "# one\n\n# two\nFROM scratch\n# gone\n#\n# three\nRUN a \\\n# inside\n b\nRUN c\n"
    assert [i.comments for i in read_dockerfile(text).instructions] == [("one", "two"), ("three",), ()]


def test_bytes_that_are_not_utf8_survive_reading() -> None:
    (_, run) = read_dockerfile(b"FROM scratch\nRUN \xff\xc3\n").instructions
    assert run.arguments[0].text.encode("utf-8", "surrogateescape") == b"\xff\xc3"


def test_nul_bytes_and_lone_carriage_returns_are_text() -> None:
    assert words("RUN a\0b\rc\n") == ["a\0b\rc"]


def test_a_lone_escape_character_is_no_instruction() -> None:
    (error,) = errors("FROM scratch\n\\\n")
    assert error.message == "unknown instruction: "


def test_a_keyword_may_be_split_over_lines() -> None:
    assert instruction("EX\\\nPOSE 80\n").keyword == "EXPOSE"
