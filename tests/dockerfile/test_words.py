"""Word expansion against its table (fixtures/words/cases.txt), the splitter, the displays, and hostile words."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.dockerfile.words import MAX_DEPTH, Lookup, WordError, expand, expand_words, go_quote

CASES = Path(__file__).parents[2] / "fixtures" / "words" / "cases.txt"


def table() -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """Return the environment and the (kind, word, expected) rows of the table."""
    environment: dict[str, str] = {}
    rows: list[tuple[str, str, str]] = []
    for line in CASES.read_text("utf-8").split("\n"):
        kind, _, rest = line.partition("\t")
        if kind == "env":
            name, _, value = rest.partition("=")
            environment[name] = value
        elif kind in ("word", "error"):
            word, _, expected = rest.partition("\t")
            rows.append((kind, word, expected))
    return environment, rows


ENVIRONMENT, ROWS = table()


def test_the_table_has_at_least_250_cases() -> None:
    assert len(ROWS) >= 250


@pytest.mark.parametrize(("kind", "word", "expected"), ROWS, ids=[f"{row[1]}" for row in ROWS])
def test_a_word_of_the_table_expands_as_written_there(kind: str, word: str, expected: str) -> None:
    if kind == "word":
        assert expand(word, ENVIRONMENT.get).text == expected
    else:
        with pytest.raises(WordError) as caught:
            expand(word, ENVIRONMENT.get)
        assert caught.value.reason == expected
        assert caught.value.message == f"failed to process {go_quote(word)}: {expected}"
        assert 0 <= caught.value.offset <= len(word)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("80 443", ("80", "443")),
        ("$TWO", ("one", "two")),
        ('"$TWO"', ("one two",)),
        ("a$TWO", ("aone", "two")),
        ("${TWO}b c", ("one", "twob", "c")),
        ("'a b' c", ("a b", "c")),
        ("a\\ b c", ("a b", "c")),
        ("$MISSING", ()),
        ("a $MISSING b", ("a", "b")),
        ("''", ()),
        ("a '' b", ("a", "b")),
        ("  a \t b  ", ("a", "b")),
        ("${MISSING:-x y}", ("x", "y")),
        ('${MISSING:-"x y"}', ("x", "y")),
        ("a\u00a0b", ("a", "b")),
        ("a\u2003b", ("a", "b")),
        ("a\x1fb", ("a\x1fb",)),
        ("", ()),
        ("plain", ("plain",)),
        ("'a'b\"c\" d", ("abc", "d")),
    ],
)
def test_words_split_at_blanks_that_are_not_protected(text: str, words: tuple[str, ...]) -> None:
    assert expand_words(text, ENVIRONMENT.get) == words


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("`$NAME", "$NAME"),
        ("a\\b", "a\\b"),
        ("\\$NAME", "\\value"),
        ('"`"q`""', '"q"'),
        ("C:\\$NAME`\\x", "C:\\value\\x"),
        ("a`", "a"),
        ("``", "`"),
        ("${FRUIT#b\\*}", "banana"),
    ],
)
def test_a_backtick_may_be_the_escape_character(word: str, text: str) -> None:
    assert expand(word, ENVIRONMENT.get, escape="`").text == text


@pytest.mark.rule("H-9")
@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("\"quotes\" and 'quotes'\n", "\"quotes\" and 'quotes'\n"),
        ("\\\n", "\n"),
        ("\\\\\n", "\\\n"),
        ("\\$\n", "$\n"),
        ("\\$NAME $NAME\n", "$NAME value\n"),
        ('\\"q\\" \\a\n', '"q" a\n'),
        ("'$NAME' \"${NAME}\"\n", "'value' \"value\"\n"),
        ('${MISSING:-"x y"}\n', '"x y"\n'),
        ('${NAME/a/"}\n', 'v"lue\n'),
        ("it's fine\n", "it's fine\n"),
        ("cost: 5$ $1\n", "cost: 5$ \n"),
        ("x\\", "x"),
    ],
)
def test_quotes_are_ordinary_characters_in_a_heredoc_body(body: str, text: str) -> None:
    assert expand(body, ENVIRONMENT.get, quotes="literal").text == text


def test_displays_keep_quotes_and_unset_variables() -> None:
    def shown(word: str) -> str:
        return expand(word, ENVIRONMENT.get, quotes="keep", keep_unset=True).text

    assert shown("echo \"$NAME\" '$NAME' $MISSING") == "echo \"value\" '$NAME' $MISSING"
    assert shown("${MISSING} ${MISSING:-x} ${NAME:-y}") == "${MISSING} ${MISSING:-x} value"
    assert shown("${MISSING#a*} ${MISSING/a/b} ${MISSING//a/b}") == "${MISSING#a*} ${MISSING/a/b} ${MISSING//a/b}"


def test_used_and_missing_names_are_reported_in_order() -> None:
    result = expand("$B$NOPE-${A:-$C}-${GONE:-x}-${LOST#p}-$B", {"A": "1", "B": "2"}.get)
    assert result.text == "2-1-x--2"
    assert result.used == ("B", "A")
    assert result.missing == ("NOPE", "C", "LOST")


def test_an_error_says_where_in_the_word_it_is_and_which_variable_it_concerns() -> None:
    with pytest.raises(WordError) as caught:
        expand("abc${X:?needed}def", dict[str, str]().get)
    assert (caught.value.offset, caught.value.variable) == (3, "X")
    assert caught.value.message == 'failed to process "abc${X:?needed}def": X: needed'


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("plain", '"plain"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("tab\tnl\n\x00\x1b\x7f", '"tab\\tnl\\n\\x00\\x1b\\x7f"'),
        ("한é", '"한é"'),
        ("\u200b\ufeff\u00a0", '"\\u200b\\ufeff\\u00a0"'),
        ("\udcff", '"\\xff"'),
        ("\U000e0001", '"\\U000e0001"'),
    ],
)
def test_quoting_follows_go(text: str, quoted: str) -> None:
    assert go_quote(text) == quoted


def timed(word: str, lookup: Lookup) -> float:
    start = time.process_time()
    with contextlib.suppress(WordError):
        expand(word, lookup)
    return time.process_time() - start


DEEP = 100_000
BOMBS = {
    "nested defaults": "${a:-" * DEEP + "x" + "}" * DEEP,
    "nested defaults with text": "${a:-x" * DEEP + "}" * DEEP,
    "nested defaults never closed": "${a:-" * DEEP,
    "nested quotes": '"${a:-' * DEEP,
    "nested patterns": "${a#" * DEEP + "}" * DEEP,
    "nested replacements": "${a/" * DEEP,
    "many dollars": "$" * 500_000,
    "many braces": "${}" * 100_000,
    "many escapes": "\\" * 500_001,
    "many quotes": "''" * 250_000,
    "many variables": "$l" * 300_000,
    "stars": "${v#" + "*" * 500_000 + "}",
    "stars that fail": "${v%%" + "*a" * 200_000 + "b}",
    "question marks": "${v##*" + "?a" * 50_000 + "b}",
    "stars replaced": "${v//" + "*" * 300_000 + "/x}",
    "lines": "${n//" + "*\n" * 30_000 + "x/y}",
    "a result that grows": "${v//a/${v}}",
}


@pytest.mark.alone
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_hostile_word_is_expanded_or_refused_in_time(bomb: str) -> None:
    values = {"v": "a" * 300_000, "n": "\n" * 60_000, "l": "x" * 5_000}
    assert timed(bomb, values.get) < 5.0


def test_nesting_beyond_the_limit_is_refused_with_our_own_error() -> None:
    with pytest.raises(WordError, match="nested deeper"):
        expand("${a:-" * (MAX_DEPTH + 5) + "}" * (MAX_DEPTH + 5), dict[str, str]().get)
    depth = MAX_DEPTH - 1
    assert expand("${a:-" * depth + "x" + "}" * depth, dict[str, str]().get).text == "x"


SHELLISH = st.text(alphabet=st.sampled_from(list("abAB_1 ${}:-+?#%/*'\"\\`\n한")), max_size=40)


@given(SHELLISH, st.sampled_from(["\\", "`"]), st.sampled_from(["remove", "keep", "literal"]), st.booleans())
def test_any_text_is_expanded_or_refused_with_a_word_error(
    word: str, escape: str, quotes: str, keep_unset: bool
) -> None:
    values = {"a": "banana", "b": "", "A": "x\ny*?", "한": "\\}"}
    outcomes: list[tuple[int, set[str], set[str]]] = []
    try:
        result = expand(word, values.get, escape=escape, quotes=quotes, keep_unset=keep_unset)  # type: ignore[arg-type]
        outcomes.append((0, set(result.used), set(result.missing)))
    except WordError as error:
        outcomes.append((error.offset, set(), set()))
    offset, used, missing = outcomes[0]
    assert 0 <= offset <= len(word)
    assert used <= set(values)
    assert not missing & set(values)


@given(st.text(max_size=60))
def test_single_quotes_keep_any_text_and_the_splitter_agrees_with_the_word(text: str) -> None:
    text = text.replace("'", "")
    assert expand(f"'{text}'", dict[str, str]().get).text == text
    assert expand_words(f"'{text}'", dict[str, str]().get) == ((text,) if text else ())
