"""Parser directives (D-*)."""

from __future__ import annotations

import pytest

from builder.dockerfile.directives import detect_syntax, is_foreign
from builder.dockerfile.parser import parse_dockerfile
from tests.dockerfile.reading import errors


@pytest.mark.rule("D-1")
@pytest.mark.parametrize("line", ["# escape=`", "#escape=`", "  #\tESCAPE = `  ", "# escape\t=\t`\t"])
def test_a_directive_has_free_blanks_and_any_casing(line: str) -> None:
    assert parse_dockerfile(f"{line}\nFROM scratch\nRUN a `\n b\n").escape == "`"


@pytest.mark.rule("D-1")
def test_the_three_directives_are_read_with_their_values_and_places() -> None:
    text = "# syntax=docker/dockerfile:1\n# escape=`\n# check=skip=A,B; error=true\nFROM scratch\n"
    directives = parse_dockerfile(text).directives
    assert [(d.name, d.value) for d in directives] == [
        ("syntax", "docker/dockerfile:1"),
        ("escape", "`"),
        ("check", "skip=A,B; error=true"),
    ]
    assert directives[1].location[1:] == (2, 1, 2, 11)


@pytest.mark.rule("D-2")
@pytest.mark.parametrize("before", ["# a comment\n", "\n", "# unknown=1\n", "ARG a\n", "#\n"])
def test_anything_else_ends_the_directives(before: str) -> None:
    assert parse_dockerfile(f"{before}# escape=`\nFROM scratch\n").escape == "\\"


@pytest.mark.rule("D-3")
def test_the_same_directive_twice_is_refused() -> None:
    (error,) = errors("# syntax=a\n# syntax=b\nFROM scratch\n")
    assert error.message == "only one syntax parser directive can be used"
    assert error.location is not None
    assert error.location.line == 2


@pytest.mark.rule("D-4")
@pytest.mark.parametrize("value", ["x", "/", "\\\\", "``"])
def test_an_escape_character_is_a_backslash_or_a_backtick(value: str) -> None:
    (error,) = errors(f"# escape={value}\nFROM scratch\n")
    assert error.message == f"invalid escape token '{value}' does not match ` or \\"


@pytest.mark.rule("D-5")
@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("# syntax=a/b:1\nFROM x\n", "a/b:1"),
        ("# escape=`\n# Syntax = a/b:1  \nFROM x\n", "a/b:1"),
        ("#!/usr/bin/env docker\n# syntax=a/b:1\nFROM x\n", "a/b:1"),
        ("//syntax=a/b:1\nx\n", "a/b:1"),
        ("// other\n// syntax = a/b:1\nx\n", "a/b:1"),
        ('{"syntax": "a/b:1", "x": 1}', "a/b:1"),
        ('{"syntax": 1}', ""),
        ('{"syntax": "a"', ""),
        ("[" * 100_000, ""),
        ("# comment\n# syntax=a\nFROM x\n", ""),
        ("FROM x\n", ""),
    ],
)
def test_the_frontend_a_file_asks_for_is_found_in_all_its_places(text: str, image: str) -> None:
    assert detect_syntax(text) == image


@pytest.mark.rule("D-5")
@pytest.mark.parametrize(
    ("frontend", "foreign"),
    [
        ("docker/dockerfile:1", False),
        ("docker.io/docker/dockerfile:1.7-labs", False),
        ("mirror.example:5000/hub/docker/dockerfile:1@sha256:" + "a" * 64, False),
        ("docker/dockerfile-upstream:master", False),
        ("docker/dockerfile:1 with words", False),
        ("", False),
        ("  ", False),
        ("acme/yaml-builder:2", True),
        ("acme/dockerfile-x", True),
        ("dockerfile/other:dockerfile", True),
    ],
)
def test_a_mirror_of_the_dockerfile_frontend_is_not_foreign(frontend: str, foreign: bool) -> None:
    assert is_foreign(frontend) is foreign


def test_flags_keep_the_backslash_under_another_escape_character() -> None:
    text = "# escape=`\nFROM scratch\nCOPY --chown=a\\ b c d\n"
    assert parse_dockerfile(text).stages[0].statements[0].syntax.flags[0].value == "a b"
