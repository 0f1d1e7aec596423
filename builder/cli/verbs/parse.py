"""`pybuild parse | pin`: Dockerfiles as data, and with the digests of their base images."""

from __future__ import annotations

import json
import os
import sys

from builder.cli.arguments import add_root, new_parser
from builder.cli.display.results import write_file
from builder.engine.location import store_root
from builder.engine.syntax import parse_syntax


def parse_command(argv: list[str]) -> int:
    """Print the syntax tree of each file as one line of JSON; 1 when any of them is in error."""
    parser = new_parser("pybuild parse", "Print the syntax tree of Dockerfiles as JSON, one line a file (- is stdin).")
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--pretty", action="store_true", help="indent the JSON")
    add_root(parser)
    arguments = parser.parse_args(argv)
    code = 0
    for file in arguments.files:
        document = _syntax_document(file)
        code |= "error" in document
        print(json.dumps(document, ensure_ascii=True, indent=2 if arguments.pretty else None))
    return code


def _syntax_document(file: str) -> dict[str, object]:
    """Return the document of one file, or one with an `error` and its place, 0:0 where there is none."""
    try:
        tree = parse_syntax(_read(file), file)
    except OSError as error:
        return {"file": file, "error": {"message": f"{error.strerror}", "line": 0, "column": 0}}
    if tree.error is None:
        return tree.document
    location = tree.error.location
    line, column = (location.line, location.column) if location else (0, 0)
    return {"file": file, "error": {"message": tree.error.message, "line": line, "column": column}}


def pin_command(argv: list[str]) -> int:
    """Give FROM lines the digests that their tags stand for; with --check only say whether any lacks one."""
    parser = new_parser("pybuild pin", "Rewrite the FROM lines of a Dockerfile so that each names its image by digest.")
    parser.add_argument("file", nargs="?", default="Dockerfile", metavar="FILE")
    parser.add_argument("--check", action="store_true", help="change nothing; 1 when an image has no digest")
    parser.add_argument("--stdout", action="store_true", help="print the result instead of rewriting the file")
    add_root(parser)
    arguments = parser.parse_args(argv)
    from builder.engine.pin import apply_pins, resolve_pins  # store and registries: `parse` needs neither

    text = _read(arguments.file).decode("utf-8", "surrogateescape")
    pins = resolve_pins(text, arguments.file, None if arguments.check else store_root(arguments.root, os.environ))
    for pin in pins:
        what = f"has no digest{f' ({pin.reason})' if pin.reason else ''}" if arguments.check or pin.reason else "pinned"
        print(f"{arguments.file}:{pin.location.line}: {pin.written} {what}", file=sys.stderr)
    if arguments.check:
        return 1 if pins else 0
    result = apply_pins(text, pins).encode("utf-8", "surrogateescape")
    if arguments.stdout or arguments.file == "-":
        sys.stdout.buffer.write(result)
    elif any(pin.pinned for pin in pins):
        write_file(arguments.file, result)
    return 1 if any(pin.reason for pin in pins) else 0


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    # A FIFO that nobody has open for writing must not keep us waiting; the pipe of a shell's <(…) has to.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    with open(descriptor, "rb") as stream:
        return stream.read()
