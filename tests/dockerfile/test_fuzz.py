"""Whatever a file holds: our own errors or an AST, spans inside the file, and BuildKit's reading where it has one."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import Any

from hypothesis import HealthCheck, given, settings

from builder.dockerfile.instructions import Dockerfile, Statement
from builder.dockerfile.lines import decode
from builder.dockerfile.parser import parse_dockerfile, parse_partially, parse_trigger
from builder.dockerfile.source import excerpt
from builder.dockerfile.syntax import to_json
from builder.errors import DockerfileSyntaxError, Location
from builder.lint.finding import LintInputs
from builder.lint.linter import lint
from tests.dockerfile.test_differential import assert_same
from tests.dockerfile.writing import anything, soups, valid_files

EXAMPLES = int(os.environ.get("PYBUILD_FUZZ_EXAMPLES", "300"))
quickly = settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])


def parse(source: bytes | str) -> Dockerfile | list[DockerfileSyntaxError]:
    try:
        return parse_dockerfile(source)
    except DockerfileSyntaxError as error:
        return [error, *(other for other in error.others if isinstance(other, DockerfileSyntaxError))]


def locations(value: Any) -> list[Location]:
    """Return every location in an AST."""
    found: list[Location] = []
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, Location):
            found.append(item)
        elif isinstance(item, tuple):
            pending.extend(item)
        elif dataclasses.is_dataclass(item):
            pending.extend(getattr(item, field.name) for field in dataclasses.fields(item))
    return found


def assert_inside(location: Location, text: str) -> None:
    lines = text.split("\n")
    assert 1 <= location.line <= location.end_line <= max(1, len(lines)), location
    assert 1 <= location.column <= len(lines[location.line - 1]) + 1, location
    assert 1 <= location.end_column <= len(lines[location.end_line - 1]) + 1, location
    assert (location.line, location.column) <= (location.end_line, location.end_column), location


@quickly
@given(anything)
def test_every_file_gives_an_ast_or_our_own_errors_with_spans_inside_the_file(source: bytes | str) -> None:
    text = decode(source)
    result = parse(source)
    if isinstance(result, Dockerfile):
        for location in locations(result):
            assert_inside(location, text)
        to_json(result)
        return
    for error in result:
        assert error.message
        assert "\n" not in error.message
        assert error.location is not None
        assert_inside(error.location, text)
        assert all(line.text.isprintable() for line in excerpt(text, error.location))


@quickly
@given(soups() | valid_files())
def test_buildkits_parser_reads_every_written_file_the_same(text: str) -> None:
    assert_same(decode(text))


@quickly
@given(valid_files())
def test_a_valid_file_has_no_errors(text: str) -> None:
    assert isinstance(parse(text), Dockerfile)


@quickly
@given(valid_files())
def test_the_words_stand_where_they_say(text: str) -> None:
    result = parse(text)
    assert isinstance(result, Dockerfile)
    lines = result.text.split("\n")
    for instruction in result.instructions:
        for word in instruction.arguments:
            line, column, end_line, end_column = word.location[1:]
            if line == end_line:
                written = lines[line - 1][column - 1 : end_column - 1]
                assert written == word.text or (instruction.json and written == f'"{word.text}"')


@quickly
@given(anything)
def test_lint_never_fails_on_what_could_be_parsed(source: bytes | str) -> None:
    text = decode(source)
    try:
        dockerfile, _ = parse_partially(source)
        findings = lint(dockerfile, LintInputs(enable=frozenset({"all", "advice"})))
    except DockerfileSyntaxError:
        return
    for finding in findings:
        assert_inside(finding.location, text)


@quickly
@given(soups())
def test_triggers_give_a_statement_or_our_own_error(text: str) -> None:
    place = Location("Dockerfile", 7, 1, 7, 5)
    with contextlib.suppress(DockerfileSyntaxError):
        assert isinstance(parse_trigger(text, place), Statement)
