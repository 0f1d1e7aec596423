"""`pybuild parse | plan | pin | context ls`: what a Dockerfile says, what a build of it would do, what it would see."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from builder.cli.arguments import add_root, build_parser, new_parser, parse_build_arguments
from builder.cli.files import write_file
from builder.cli.text import clean, size_text
from builder.errors import SourceError, UsageError
from builder.store.location import store_root

if TYPE_CHECKING:
    from builder.context.dockerfile_file import FoundDockerfile
    from builder.engine.pin import Pin


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
    arguments = parse_build_arguments(parser, argv)
    if arguments.path is None:
        raise UsageError("'pybuild plan' needs a context: PATH, URL or -")
    from builder.cli.build import request_from
    from builder.cli.plain import WarningsDisplay
    from builder.cli.plan_table import plan_lines, plan_to_json
    from builder.engine.build import dry_run

    result = dry_run(request_from(arguments), WarningsDisplay(sys.stderr))
    if arguments.json:
        print(json.dumps(plan_to_json(result), indent=2))
    else:
        width = os.get_terminal_size().columns if sys.stdout.isatty() else 0
        for line in plan_lines(result, width):
            print(f"{line[: width - 1]}…" if 0 < width < len(line) else line)
    return 0


def pin_command(argv: list[str]) -> int:
    """Give FROM lines the digests that their tags stand for; with --check only say whether any lacks one."""
    parser = new_parser("pybuild pin", "Rewrite the FROM lines of a Dockerfile so that each names its image by digest.")
    parser.add_argument("file", nargs="?", default="Dockerfile", metavar="FILE")
    parser.add_argument("--check", action="store_true", help="change nothing; 1 when an image has no digest")
    parser.add_argument("--stdout", action="store_true", help="print the result instead of rewriting the file")
    add_root(parser)
    arguments = parser.parse_args(argv)
    from builder.engine.pin import apply_pins

    text = _read(arguments.file).decode("utf-8", "surrogateescape")
    pins = _find_pins(text, arguments.file, None if arguments.check else store_root(arguments.root, os.environ))
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


def _find_pins(text: str, file: str, root: str | None) -> tuple[Pin, ...]:
    """Find the pins of a file by way of the store at `root`; without one, nobody is asked for digests."""
    from builder.engine.pin import find_pins

    try:
        if root is None:
            return find_pins(text, file, None)
        from builder.engine.build import base_digests

        with base_digests(root) as find_digest:
            return find_pins(text, file, find_digest)
    except SourceError as error:
        error.source = text
        raise


def context_command(argv: list[str]) -> int:
    """List what a build would see of a folder."""
    parser = new_parser("pybuild context", "List what a build sees of a context folder.")
    parser.usage = "pybuild context ls [--ignored] [--why] [-f FILE] [--root DIR] PATH"
    parser.add_argument("command", choices=("ls",))
    parser.add_argument("path", metavar="PATH")
    parser.add_argument("--ignored", action="store_true", help="list what is hidden instead")
    parser.add_argument("--why", action="store_true", help="name the rule that decided")
    parser.add_argument(
        "-f", "--file", default=None, metavar="FILE", help="a Dockerfile with an ignore file of its own"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    add_root(parser)
    arguments = parser.parse_args(argv)
    from builder.context.dockerfile_file import find_dockerfile
    from builder.context.ignore_file import find_ignore
    from builder.context.listing import list_context

    found = find_dockerfile(arguments.path, arguments.file) if arguments.file else None
    ignore, passed_over = find_ignore(arguments.path, found or _default_dockerfile(arguments.path))
    for sentence in passed_over:
        print(f"warning: {clean(sentence)}", file=sys.stderr)
    count = size = 0
    for file in list_context(arguments.path, ignore, store_root(arguments.root, os.environ)):
        if file.included is arguments.ignored:
            continue
        count, size = count + 1, size + file.size
        rule = str(file.rule) if file.rule else "no rule"
        if arguments.json:
            print(json.dumps({"path": file.path, "size": file.size, "included": file.included, "rule": rule}))
        else:
            print(f"{size_text(file.size):>8}  {clean(file.path)}" + (f"  ({clean(rule)})" if arguments.why else ""))
    if not arguments.json:
        print(f"{size_text(size):>8}  in {count} files {'hidden' if arguments.ignored else 'seen'}")
    return 0


def _default_dockerfile(path: str) -> FoundDockerfile | None:
    from builder.context.dockerfile_file import find_dockerfile
    from builder.errors import ContextError

    try:
        return find_dockerfile(path, None)
    except ContextError:
        return None  # a folder can be looked at without one


HANDLERS: dict[str, Callable[[list[str]], int]] = {
    "parse": parse_command,
    "plan": plan_command,
    "pin": pin_command,
    "context": context_command,
}
