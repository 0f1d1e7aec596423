"""`pybuild context ls`: what a build would see of a directory, and which rule hides the rest."""

from __future__ import annotations

import argparse
import json
import sys

from builder.cli.arguments import add_root, new_parser, root_of
from builder.cli.display.text import clean, size_text
from builder.engine.contexts import open_listing
from builder.errors import counted


def context_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild context`."""
    parser = new_parser("pybuild context", "List what a build sees of a context folder.")
    parser.usage = "pybuild context ls [--ignored] [--why] [-f FILE] [--root DIR] PATH"
    parser.add_argument("command", choices=("ls",), help="list the files")
    parser.add_argument("path", metavar="PATH", help="the context folder")
    parser.add_argument("--ignored", action="store_true", help="list what is hidden instead")
    parser.add_argument("--why", action="store_true", help="name the rule that decided")
    parser.add_argument(
        "-f", "--file", default=None, metavar="FILE", help="a Dockerfile with an ignore file of its own"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    add_root(parser)
    return parser


def context_command(argv: list[str]) -> int:
    """List what a build would see of a folder."""
    arguments = context_parser().parse_args(argv)
    listing = open_listing(arguments.path, arguments.file, root=root_of(arguments))
    for sentence in listing.warnings:
        print(f"warning: {clean(sentence)}", file=sys.stderr)
    count = size = 0
    for file in listing.files:
        if file.included is arguments.ignored:
            continue
        count, size = count + 1, size + file.size
        if arguments.json:
            print(json.dumps(file.to_json()))
        else:
            why = f"  ({clean(file.rule or 'no rule')})" if arguments.why else ""
            print(f"{size_text(file.size):>8}  {clean(file.path)}{why}")
    if not arguments.json:
        print(f"{size_text(size):>8}  in {counted(count, 'file')} {'hidden' if arguments.ignored else 'seen'}")
    return 0
