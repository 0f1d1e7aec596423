"""Short ways to parse a piece of a Dockerfile in a test."""

from __future__ import annotations

from typing import Any

from builder.dockerfile.instructions import Dockerfile, Instruction
from builder.dockerfile.parser import parse_dockerfile
from builder.dockerfile.syntax import read_dockerfile
from builder.errors import DockerfileSyntaxError


def statements(text: str) -> tuple[Any, ...]:
    """Return the statements of a stage that consists of `text`."""
    return parse_dockerfile("FROM scratch\n" + text).stages[0].statements


def statement(text: str) -> Any:
    """Return the one statement in `text`."""
    (only,) = statements(text)
    return only


def instruction(text: str) -> Instruction:
    """Return the syntax of the one instruction in `text`."""
    (only,) = read_dockerfile(text).instructions
    return only


def words(text: str) -> list[str]:
    """Return the arguments of the one instruction in `text`."""
    return [word.text for word in instruction(text).arguments]


def errors(text: bytes | str) -> list[DockerfileSyntaxError]:
    """Return every error of a whole file, in order; an empty list when there is none."""
    try:
        parse_dockerfile(text)
    except DockerfileSyntaxError as error:
        others: tuple[Any, ...] = error.others
        return [error, *others]
    return []


def message(text: str) -> str:
    """Return the message of the only error that a stage of `text` has."""
    (only,) = errors("FROM scratch\n" + text)
    return only.message


def parsed(text: bytes | str) -> Dockerfile:
    """Parse a whole file."""
    return parse_dockerfile(text)
