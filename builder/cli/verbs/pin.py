"""`pybuild pin`: a Dockerfile with the digests of its base images."""

from __future__ import annotations

import argparse
import sys

from builder.cli.arguments import add_root, new_parser, root_of
from builder.cli.display.results import write_file
from builder.cli.options import parse_pairs
from builder.cli.verbs.parse import read_dockerfile
from builder.engine.pin import apply_pins, resolve_pins


def pin_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild pin`."""
    parser = new_parser("pybuild pin", "Rewrite the FROM lines of a Dockerfile so that each names its image by digest.")
    parser.add_argument(
        "file", nargs="?", default="Dockerfile", metavar="FILE", help="default: Dockerfile; - is standard input"
    )
    parser.add_argument("--check", action="store_true", help="change nothing; 1 when an image has no digest")
    parser.add_argument("--stdout", action="store_true", help="print the result instead of rewriting the file")
    parser.add_argument(
        "--build-context", action="append", default=[], metavar="NAME=WHERE", help="leave NAME alone, as in a build"
    )
    add_root(parser)
    return parser


def pin_command(argv: list[str]) -> int:
    """Give FROM lines the digests that their tags stand for; with --check only say whether any lacks one."""
    arguments = pin_parser().parse_args(argv)
    text = read_dockerfile(arguments.file).decode("utf-8", "surrogateescape")
    named = parse_pairs(arguments.build_context, "--build-context")
    pins = resolve_pins(text, arguments.file, None if arguments.check else root_of(arguments), named)
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
