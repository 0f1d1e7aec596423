"""Dockerfile text → instructions: the syntax alone, for which no grammar is loaded.

    read_dockerfile    as lenient as BuildKit's parser: no stages, no checks; what `pybuild parse` prints
    to_json            its document

parser.py goes on from here, and shares what both do with a file and with its faults.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from builder.dockerfile.instructions import Dockerfile, Instruction
from builder.dockerfile.lines import decode
from builder.dockerfile.reader import MAX_FAULTS, Source, read_source
from builder.dockerfile.source import printable
from builder.errors import DockerfileSyntaxError, Location

_LONGEST_MESSAGE = 1000


def read_dockerfile(text: bytes | str, file: str = "Dockerfile") -> Dockerfile:
    """Read the syntax of a Dockerfile: no stages, no checks of flags and arity. Raises DockerfileSyntaxError."""
    decoded = decode(text)
    with collector_paused():
        source = read_instructions(decoded, file)
    raise_first(source.faults)
    return Dockerfile(
        file=file,
        text=decoded,
        directives=source.directives,
        escape=source.escape,
        instructions=tuple(source.instructions),
        warnings=tuple(source.warnings),
    )


def to_json(dockerfile: Dockerfile) -> dict[str, Any]:
    """Return the document that `pybuild parse` prints for one file."""
    return {
        "file": dockerfile.file,
        "directives": {directive.name: directive.value for directive in dockerfile.directives},
        "instructions": [_instruction_to_json(instruction) for instruction in dockerfile.instructions],
    }


def _instruction_to_json(instruction: Instruction) -> dict[str, Any]:
    return {
        "keyword": instruction.keyword,
        "flags": [
            f"--{flag.name}" if flag.value is None else f"--{flag.name}={flag.value}" for flag in instruction.flags
        ],
        "args": [word.text for word in instruction.arguments],
        "json": instruction.json,
        "heredocs": [{"name": heredoc.name, "content": heredoc.written} for heredoc in instruction.heredocs],
        "start_line": instruction.location.line,
        "end_line": instruction.location.end_line,
    }


def read_instructions(text: str, file: str) -> Source:
    source = read_source(text, file)
    if not source.instructions and not source.faults:
        message = "file with no instructions" if text else "the Dockerfile cannot be empty"
        raise DockerfileSyntaxError(message, Location(file, 1, 1, 1, 1), hint="Begin with FROM.")
    return source


def raise_first(faults: list[DockerfileSyntaxError]) -> None:
    if faults:
        first, *others = tidy(faults)
        first.others = tuple(others)
        raise first


def tidy(faults: list[DockerfileSyntaxError]) -> list[DockerfileSyntaxError]:
    """Sort the faults, and make their messages fit for a terminal: a word in one may be anything, and as long."""
    kept = sorted(faults, key=lambda fault: fault.location or Location("", 0))[:MAX_FAULTS]
    for fault in kept:
        fault.message = printable(fault.message[:_LONGEST_MESSAGE])
        fault.args = (fault.message,)
    return kept


@contextmanager
def collector_paused() -> Iterator[None]:
    """Hold the cycle collector: it would look at the growing AST again and again, a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
