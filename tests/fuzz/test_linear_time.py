"""Ten times the input takes about ten times as long: the worst inputs of 1 MB beside those of 100 KB (V-8, I-3).

Quadratic work would take a hundred times as long. There is no bound in seconds, for machines have other things to do;
only an input that would not end in a minute is given up by the runner of the tests.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable

import pytest

from builder.context.glob import PatternError, match_glob, parse_glob
from builder.context.ignore import parse_ignore
from builder.dockerfile.git_url import GitReferenceError, parse_git_ref
from builder.dockerfile.mounts import parse_mount
from builder.dockerfile.parser import parse_partially
from builder.dockerfile.words import expand, expand_words
from builder.errors import DockerfileSyntaxError, ReferenceFormatError, SourceError
from builder.oci.reference import parse_reference
from tests.fuzz.targets import PLACE

pytestmark = pytest.mark.alone

SMALL, LARGE = 100_000, 1_000_000
TOLERANCE = 20
"""Ten is linear, a hundred quadratic; data that no longer fits into a processor's cache costs some of the rest."""
ROUNDS = 4
"""Measurements of each size, by turns, so that a busy moment of the machine can't hit one size alone."""
FLOOR_SECONDS = 0.03
"""Below this a measurement says more about the machine than about the work."""

REFUSALS = (DockerfileSyntaxError, SourceError, PatternError, ReferenceFormatError, GitReferenceError)

DOCKERFILES: dict[str, Callable[[int], str]] = {
    "heredocs": lambda n: "FROM scratch\n" + "RUN <<A <<B\nx\nA\ny\nB\n" * (n // 20),
    "a heredoc without end": lambda n: "FROM scratch\nRUN <<A\n" + "B\n" * (n // 2),
    "nested defaults": lambda n: "FROM scratch\nENV a=" + "${a:-" * (n // 5),
    "one continued line": lambda n: "FROM scratch\nRUN x" + " \\\n  y" * (n // 6),
    "an array": lambda n: "FROM scratch\nCMD [" + '"\\u0041",' * (n // 9) + '"b"]',
    "wrong instructions": lambda n: "FROM scratch\n" + "FRUN x\n" * (n // 7),
}
WORDS: dict[str, Callable[[int], str]] = {
    "variables": lambda n: "$v" * (n // 2),
    "nested defaults": lambda n: "${none:-" * (n // 9) + "}" * (n // 9),
    "defaults side by side": lambda n: "${none:-x}" * (n // 10),
    "quotes": lambda n: "'\"'\"" * (n // 4),
    "escapes": lambda n: "\\" * n,
    "blanks": lambda n: " " * n,
    "unclosed braces": lambda n: "${v" * (n // 3),
    "a long name": lambda n: "$" + "v" * n,
    "a pattern of stars": lambda n: "${v#" + "*" * n + "}",
    "a pattern that never matches": lambda n: "${v##" + "*a" * (n // 2) + "!}",
    "a pattern without end": lambda n: "${v/" + "a" * n,
    "slashes": lambda n: "${v//" + "/" * n + "}",
}
VALUES: dict[str, Callable[[int], tuple[str, str]]] = {
    "a value of one letter, its prefix": lambda n: ("${v##*b}", "a" * n),
    "a value of one letter, its suffix": lambda n: ("${v%%b*}", "a" * n),
    "every letter replaced": lambda n: ("${v//a/b}", "a" * n),
    "a star between letters": lambda n: ("${v//a*b/c}", "a" * n),
    "stars between letters": lambda n: ("${v//a*a*a*b/c}", "a" * n),
    "lines": lambda n: ("${v//a*b/c}", "a\n" * (n // 2)),
    "marks": lambda n: ("${v//????b/c}", "a" * n),
}
RULES: dict[str, Callable[[int], str]] = {
    "names": lambda n: "name\n" * (n // 5),
    "comments": lambda n: "# c\n" * (n // 4),
    "rules by turns": lambda n: "a*\n!b*\n" * (n // 7),
    "one long name": lambda n: "a" * n,
    "stars": lambda n: "*" * n,
    "double stars": lambda n: "**/" * (n // 3) + "a",
    "stars and letters": lambda n: "*a" * (n // 2),
    "classes": lambda n: "[a-c]" * (n // 5),
    "an open class": lambda n: "[" + "a" * n,
    "escapes": lambda n: "\\a" * (n // 2),
    "dots": lambda n: "../" * (n // 3) + "a",
    "slashes": lambda n: "/" * n + "a",
    "blanks": lambda n: " " * n,
    "exclamation marks": lambda n: "!" * n,
}
NAMES: dict[str, Callable[[int], tuple[str, str]]] = {
    "a star and a name of one letter": lambda n: ("*b", "a" * n),
    "stars and a name of one letter": lambda n: ("*a*a*a*b", "a" * n),
    "a pattern of stars": lambda n: ("*" * n, "a"),
    "a pattern of classes": lambda n: ("[a-z]" * (n // 5), "a" * (n // 5)),
    "a class of many": lambda n: ("[" + "b" * n + "]", "a"),
    "an open class": lambda n: ("[" + "b" * n, "a"),
    "marks": lambda n: ("?" * n, "a" * n),
}
OTHERS: dict[str, Callable[[int], Callable[[], object]]] = {
    "mount of fields": lambda n: lambda: parse_mount("type=cache,target=/a" + ",ro" * (n // 3), str, PLACE),
    "mount of quotes": lambda n: lambda: parse_mount('target="' + '""' * (n // 2), str, PLACE),
    "reference of slashes": lambda n: lambda: parse_reference("a/" * (n // 2) + "b"),
    "reference of dashes": lambda n: lambda: parse_reference("a" + "-" * n),
    "reference of marks": lambda n: lambda: parse_reference("a._" * (n // 3) + "@"),
    "repository": lambda n: lambda: parse_git_ref("https://h/" + "a/" * (n // 2) + "r.git#" + ":" * 9),
    "repository of options": lambda n: lambda: parse_git_ref("https://h/r.git?" + "ref=a&" * (n // 6)),
}


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of `work`. The garbage of what ran before is none of its business."""
    gc.collect()
    gc.disable()
    try:
        start = time.process_time()
        with contextlib.suppress(*REFUSALS):
            work()
        return time.process_time() - start
    finally:
        gc.enable()


def assert_linear(work_of: Callable[[int], Callable[[], object]]) -> None:
    """Take the best of several, since a measurement is only ever too long."""
    small_work, large_work = work_of(SMALL), work_of(LARGE)
    small = large = float("inf")
    for measured in range(1, ROUNDS + 1):
        small = min(small, seconds(small_work), seconds(small_work))
        large = min(large, seconds(large_work))
        if measured > 1 and large < TOLERANCE * max(FLOOR_SECONDS, small):
            return
    pytest.fail(f"{SMALL} bytes took {small:.3f} s, {LARGE} bytes {large:.3f} s")


@pytest.mark.parametrize("write", DOCKERFILES.values(), ids=DOCKERFILES.keys())
def test_a_dockerfile_is_read_in_linear_time(write: Callable[[int], str]) -> None:
    def work(size: int) -> Callable[[], object]:
        text = write(size)
        return lambda: parse_partially(text)

    work(1000)()
    assert_linear(work)


@pytest.mark.parametrize("write", WORDS.values(), ids=WORDS.keys())
def test_a_word_is_expanded_and_split_in_linear_time(write: Callable[[int], str]) -> None:
    def work(size: int) -> Callable[[], object]:
        word = write(size)
        return lambda: (expand(word, {"v": "aaa"}.get), expand_words(word, {"v": "aaa"}.get))

    assert_linear(work)


@pytest.mark.parametrize("write", VALUES.values(), ids=VALUES.keys())
def test_a_value_is_trimmed_and_replaced_in_linear_time(write: Callable[[int], tuple[str, str]]) -> None:
    def work(size: int) -> Callable[[], object]:
        word, value = write(size)
        return lambda: expand(word, {"v": value}.get)

    assert_linear(work)


@pytest.mark.parametrize("write", RULES.values(), ids=RULES.keys())
def test_an_ignore_file_is_read_and_asked_in_linear_time(write: Callable[[int], str]) -> None:
    def work(size: int) -> Callable[[], object]:
        text = write(size)
        return lambda: parse_ignore(text, ".dockerignore").state_of("a/b/c/name")

    assert_linear(work)


@pytest.mark.parametrize("write", NAMES.values(), ids=NAMES.keys())
def test_a_wildcard_is_matched_in_linear_time(write: Callable[[int], tuple[str, str]]) -> None:
    def work(size: int) -> Callable[[], object]:
        pattern, name = write(size)
        return lambda: match_glob(parse_glob(pattern), name)

    assert_linear(work)


@pytest.mark.parametrize("work", OTHERS.values(), ids=OTHERS.keys())
def test_mounts_and_references_are_read_in_linear_time(work: Callable[[int], Callable[[], object]]) -> None:
    assert_linear(work)
