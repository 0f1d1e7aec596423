"""`pybuild parse`: Dockerfiles as data."""

from __future__ import annotations

import argparse
import json
import os
import sys

from builder.cli.arguments import add_root, new_parser
from builder.engine.syntax import parse_syntax


def parse_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild parse`."""
    parser = new_parser("pybuild parse", "Print the syntax tree of Dockerfiles as JSON, one line a file (- is stdin).")
    parser.add_argument("files", nargs="+", metavar="FILE", help="a Dockerfile, or - for standard input")
    parser.add_argument("--pretty", action="store_true", help="indent the JSON")
    add_root(parser)
    return parser


def parse_command(argv: list[str]) -> int:
    """Print the syntax tree of each file as one line of JSON; 1 when any of them is in error."""
    arguments = parse_parser().parse_args(argv)
    code = 0
    for file in arguments.files:
        document = _syntax_document(file)
        code |= "error" in document
        print(json.dumps(document, ensure_ascii=True, indent=2 if arguments.pretty else None))
    return code


def _syntax_document(file: str) -> dict[str, object]:
    """Return the document of one file, or one with an `error` and its place, 0:0 where there is none."""
    try:
        tree = parse_syntax(read_dockerfile(file), file)
    except OSError as error:
        return {"file": file, "error": {"message": f"{error.strerror}", "line": 0, "column": 0}}
    if tree.error is None:
        return tree.document
    location = tree.error.location
    line, column = (location.line, location.column) if location else (0, 0)
    return {"file": file, "error": {"message": tree.error.message, "line": line, "column": column}}


def read_dockerfile(file: str) -> bytes:
    """Read a file, or standard input for "-". Raises OSError."""
    if file == "-":
        return sys.stdin.buffer.read()
    # A FIFO that nobody has open for writing must not keep us waiting; the pipe of a shell's <(…) has to.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    with open(descriptor, "rb") as stream:
        return stream.read()
