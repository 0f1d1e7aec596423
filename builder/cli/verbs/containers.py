"""`pybuild start | ps | rm | diff | commit`, `pybuild container inspect`: containers that stay."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence

from builder.cli.arguments import add_container, new_store_parser, root_of
from builder.cli.display.diagnostics import render_error
from builder.cli.display.inspected import add_format, document_printer
from builder.cli.display.template import formatted, with_column
from builder.cli.display.text import age_text, print_note, size_text
from builder.containers.changes import CommitRequest, commit_container, container_diff
from builder.containers.listing import ListedContainer, describe_containers, list_containers
from builder.containers.remove import remove_containers
from builder.containers.run import OWN_ERROR, start_container
from builder.errors import PybuildError, UsageError

_COMMAND_COLUMNS = 20
_STATES = ("created", "running", "exited")
_HEADS = {
    "ID": "CONTAINER ID", "Image": "IMAGE", "Command": "COMMAND", "CreatedAt": "CREATED AT", "RunningFor": "CREATED",
    "State": "STATE", "Status": "STATUS", "Size": "SIZE", "Names": "NAMES", "Labels": "LABELS", "Mounts": "MOUNTS",
    "Networks": "NETWORKS", "Ports": "PORTS",
}  # fmt: skip
"""Fields of a line of `ps`, docker's; there are no ports."""


def start_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild start`."""
    parser = new_store_parser(
        "start", "Run the command of a container again, in the foreground, on the same writable layer."
    )
    add_container(parser)
    parser.add_argument("-a", "--attach", action="store_true", help="accepted; a container is always attached")
    parser.add_argument("-i", "--interactive", action="store_true", help="connect stdin, and the terminal")
    return parser


def start_command(argv: list[str]) -> int:
    """Run a container's command again, on the same writable layer; return its exit code."""
    try:
        arguments = start_parser().parse_args(argv)
    except PybuildError as error:
        error.exit_code = OWN_ERROR
        raise
    stdin = 0 if arguments.interactive else os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    return start_container(root_of(arguments), arguments.container, stdin=stdin, notify=print_note)


def ps_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild ps`."""
    parser = new_store_parser("ps", "List containers: those that run, with -a all.")
    parser.add_argument("-a", "--all", action="store_true", help="also those that have ended, or were only made")
    parser.add_argument("-q", "--quiet", action="store_true", help="only IDs")
    parser.add_argument(
        "-s", "--size", action="store_true", help="bytes in the container's own layer, and with its image (virtual)"
    )
    parser.add_argument("-n", "--last", type=int, default=0, metavar="N", help="the N made last, in any state")
    parser.add_argument("-l", "--latest", action="store_true", help="the one made last, in any state")
    parser.add_argument("--no-trunc", action="store_true", help="do not shorten anything")
    parser.add_argument("--format", default="", metavar="FORMAT", help="json, 'table TEMPLATE' or TEMPLATE")
    parser.add_argument(
        "-f",
        "--filter",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="status, name, id, ancestor, label or exited; may be repeated",
    )
    return parser


def ps_command(argv: list[str]) -> int:
    """List containers: those that run, with -a all."""
    arguments = ps_parser().parse_args(argv)
    tests = [_filter(word) for word in arguments.filter]
    last = 1 if arguments.latest else arguments.last
    wants_size = arguments.size or ".Size" in arguments.format
    every = arguments.all or last or any(word.startswith(("status=", "exited=")) for word in arguments.filter)
    found = list_containers(root_of(arguments), sizes=wants_size and not arguments.quiet, notify=print_note)
    found = tuple(one for one in found if (every or one.record.state == "running") and _passes(one, tests))
    _print_list(found[:last] if last else found, arguments)
    return 0


_Test = tuple[str, Callable[[ListedContainer], bool]]


def _filter(word: str) -> _Test:
    key, _, value = word.partition("=")
    tests: dict[str, Callable[[ListedContainer], bool]] = {
        "status": lambda one: one.record.state == value,
        "name": lambda one: value in one.record.name,
        "id": lambda one: one.record.id.startswith(value),
        "ancestor": lambda one: _stands_on(one, value),
        "label": lambda one: _has_label(one, value),
        "exited": lambda one: one.record.state == "exited" and str(one.record.exit_code) == value,
    }
    if key not in tests or not value:
        raise UsageError(f"--filter {word!r} is not known", hint=f"KEY=VALUE, where KEY is {', '.join(tests)}.")
    if key == "status" and value not in _STATES:
        raise UsageError(f"--filter {word!r}: a container is {', '.join(_STATES)}")
    return key, tests[key]


def _passes(one: ListedContainer, tests: Sequence[_Test]) -> bool:
    """Say whether a container passes each key; values of one key are alternatives, as with docker."""
    keys = {key for key, _ in tests}
    return all(any(test(one) for name, test in tests if name == key) for key in keys)


def _stands_on(one: ListedContainer, value: str) -> bool:
    names = {one.image, one.image.removesuffix(":latest"), one.record.image}
    return value.removesuffix(":latest") in names or one.record.image_id.encoded.startswith(value)


def _has_label(one: ListedContainer, value: str) -> bool:
    key, equals, text = value.partition("=")
    labels = dict(one.record.runtime.labels)
    return key in labels and (not equals or labels[key] == text)


def _print_list(found: Sequence[ListedContainer], arguments: argparse.Namespace) -> None:
    rows = [_row(one, whole=arguments.no_trunc) for one in found]
    if arguments.quiet:
        lines = iter([row["ID"] for row in rows])
    else:
        columns = ["ID", "Image", "Command", "RunningFor", "Status", "Names", *(["Size"] if arguments.size else [])]
        template = with_column(arguments.format, "Size") if arguments.size else arguments.format
        lines = formatted(template, rows, _HEADS, columns)
    for line in lines:
        print(line)


def _row(one: ListedContainer, *, whole: bool) -> dict[str, str]:
    record = one.record
    command = " ".join(record.argv)
    if not whole and len(command) > _COMMAND_COLUMNS:
        command = command[: _COMMAND_COLUMNS - 1] + "…"
    created = time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC", time.gmtime(record.created // 1_000_000_000))
    return {
        "ID": record.id if whole else record.short_id,
        "Image": one.image,
        "Command": f'"{command}"',
        "CreatedAt": created,
        "RunningFor": _ago(record.created),
        "State": record.state,
        "Status": _status(one),
        "Size": f"{size_text(one.own_bytes)} (virtual {size_text(one.own_bytes + one.image_bytes)})",
        "Names": record.name,
        "Labels": ",".join(f"{key}={value}" for key, value in record.runtime.labels),
        "Mounts": ",".join(mount.source or mount.kind for mount in record.mounts),
        "Networks": record.network,
        "Ports": "",
    }


def _status(one: ListedContainer) -> str:
    record = one.record
    match record.state:
        case "running":
            return f"Up {_ago(record.started).removesuffix(' ago')}"
        case "exited":
            return f"Exited ({record.exit_code}) {_ago(record.finished)}"
        case _:
            return "Created"


def _ago(timestamp: int) -> str:
    return age_text(time.time() - timestamp / 1e9)


def container_inspect_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild container inspect`."""
    parser = new_store_parser("container inspect", "Print what containers are, as JSON.")
    add_container(parser, several=True)
    add_format(parser)
    return parser


def container_inspect_command(argv: list[str]) -> int:
    """Print what a container is, as JSON."""
    arguments = container_inspect_parser().parse_args(argv)
    show = document_printer(arguments.format)
    show(describe_containers(root_of(arguments), arguments.container, notify=print_note))
    return 0


def rm_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild rm`."""
    parser = new_store_parser("rm", "Remove containers with their writable layers.")
    add_container(parser, several=True)
    parser.add_argument(
        "-f", "--force", action="store_true", help="also one that runs, which is killed; ignore missing ones"
    )
    parser.add_argument("-v", "--volumes", action="store_true", help="accepted; there are no volumes")
    return parser


def rm_command(argv: list[str]) -> int:
    """Remove containers. Goes on after a failure, and then returns 1."""
    arguments = rm_parser().parse_args(argv)
    code = 0
    for one in remove_containers(root_of(arguments), arguments.container, force=arguments.force, notify=print_note):
        if one.error is None:
            print(one.text)
        else:
            print(render_error(one.error), file=sys.stderr)
            code = 1
    return code


def diff_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild diff`."""
    parser = new_store_parser(
        "diff", "Show what a container changed: A added, C changed, D deleted. A commit has the same in its layer."
    )
    add_container(parser)
    return parser


def diff_command(argv: list[str]) -> int:
    """Show what a container changed."""
    arguments = diff_parser().parse_args(argv)
    for letter, path in container_diff(root_of(arguments), arguments.container, notify=print_note):
        print(f"{letter} {path}")
    return 0


def commit_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild commit`."""
    parser = new_store_parser("commit", "Make an image of a container: its image's layers, and one of what it changed.")
    add_container(parser)
    parser.add_argument(
        "name", nargs="?", default="", metavar="NAME[:TAG]", help="what to call the image (default: it has only an ID)"
    )
    parser.add_argument("-a", "--author", default="", metavar="TEXT", help="who made it")
    parser.add_argument("-m", "--message", default="", metavar="TEXT", help="a comment for its history")
    parser.add_argument(
        "-c", "--change", action="append", default=[], metavar="INSTRUCTION", help="CMD, ENV, LABEL, USER and the like"
    )
    parser.add_argument("-p", "--pause", action="store_true", help="accepted; a running container is never paused")
    return parser


def commit_command(argv: list[str]) -> int:
    """Make an image of a container; print its ID."""
    arguments = commit_parser().parse_args(argv)
    request = CommitRequest(
        root=root_of(arguments),
        container=arguments.container,
        name=arguments.name,
        author=arguments.author,
        message=arguments.message,
        changes=tuple(arguments.change),
    )
    print(commit_container(request, notify=print_note))
    return 0
