"""`pybuild parse` and `pybuild plan`: what a Dockerfile says, and what a build of it would do."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

from builder.cli.arguments import add_root, build_parser, new_parser, split_boolean_values
from builder.errors import SourceError, UsageError


def parse_command(argv: list[str]) -> int:
    """Print the syntax tree of each file as one line of JSON; 1 when any of them is in error."""
    parser = new_parser("pybuild parse", "Print the syntax tree of Dockerfiles as JSON, one line a file (- is stdin).")
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--pretty", action="store_true", help="indent the JSON")
    add_root(parser)
    arguments = parser.parse_args(argv)
    from builder.dockerfile.parser import read_dockerfile, to_json

    code = 0
    for file in arguments.files:
        document: dict[str, object]
        try:
            document = to_json(read_dockerfile(_read(file), file))
        except SourceError as error:
            location = error.location
            place = {"line": location.line, "column": location.column} if location else {"line": 0, "column": 0}
            document = {"file": file, "error": {"message": error.message} | place}
            code = 1
        except OSError as error:
            document = {"file": file, "error": {"message": f"{error.strerror}", "line": 0, "column": 0}}
            code = 1
        print(json.dumps(document, ensure_ascii=True, indent=2 if arguments.pretty else None))
    return code


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb") as stream:
        return stream.read()


def plan_command(argv: list[str]) -> int:
    """Print the steps of a build with their cache keys; nothing is executed."""
    parser = build_parser()
    parser.prog, parser.usage = "pybuild plan", "pybuild plan [OPTIONS] PATH"
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    arguments = parser.parse_args(split_boolean_values(argv))
    if arguments.path is None:
        raise UsageError("'pybuild plan' needs a context: PATH, URL or -")
    from builder.cli.build import request_from
    from builder.cli.plan_table import plan_lines, plan_to_json
    from builder.engine import forecast

    result = forecast(request_from(arguments))
    if arguments.json:
        print(json.dumps(plan_to_json(result), indent=2))
    else:
        for line in plan_lines(result):
            print(line)
    return 0


HANDLERS: dict[str, Callable[[list[str]], int]] = {"parse": parse_command, "plan": plan_command}
