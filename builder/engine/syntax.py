"""The verb that reads a Dockerfile and no further: its directives and instructions, as data."""

from __future__ import annotations

from typing import NamedTuple

from builder.dockerfile.syntax import read_dockerfile, to_json
from builder.errors import SourceError
from builder.oci.canonical import JsonObject


class SyntaxTree(NamedTuple):
    """What a file says: the document of docs/parse.md, or the error that there is none."""

    document: JsonObject
    error: SourceError | None = None


def parse_syntax(text: bytes, file: str) -> SyntaxTree:
    """Read the syntax of one file: no stages are made, and neither flags nor numbers of arguments are checked."""
    try:
        return SyntaxTree(to_json(read_dockerfile(text, file)))
    except SourceError as error:
        return SyntaxTree({}, error)
