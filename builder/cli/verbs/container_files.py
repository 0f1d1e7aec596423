"""`pybuild cp | export | mount`: files of containers, here and there."""

from __future__ import annotations

import argparse
import os
import sys

from builder.cli.arguments import add_container, new_store_parser, root_of
from builder.cli.display.text import print_note
from builder.containers.files import CopyRequest, copy_in, copy_out, run_mounted, unpack_in, write_out
from builder.errors import PybuildError, UsageError
from builder.filesystem.unfinished import written

_MOUNT_EPILOG = """\
The command has the tree as its working directory, and its path in
$PYBUILD_MOUNT; without one your shell is started. The mount is seen by that
command alone and ends with it; nothing is mounted on the machine, for root
neither. An ordinary user is root of a user namespace meanwhile, so that files
of all the container's users can be read and changed; where there are no user
namespaces the tree is a plain folder. The container must not run.
"""


def cp_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild cp`."""
    parser = new_store_parser(
        "cp", "Copy files between a container and this machine. '-' is a tar on standard input or output."
    )
    parser.usage = "pybuild cp [OPTIONS] CONTAINER:PATH DEST|-\n       pybuild cp [OPTIONS] PATH|- CONTAINER:DEST"
    parser.add_argument("source", metavar="SOURCE", help="CONTAINER:PATH, PATH or -")
    parser.add_argument("target", metavar="DEST", help="PATH, - or CONTAINER:PATH")
    parser.add_argument("-a", "--archive", action="store_true", help="keep owners")
    parser.add_argument("-L", "--follow-link", action="store_true", help="copy what a link in SOURCE leads to")
    parser.add_argument("-q", "--quiet", action="store_true", help="accepted; nothing is said")
    return parser


def cp_command(argv: list[str]) -> int:
    """Copy files between a container and this machine."""
    arguments = cp_parser().parse_args(argv)
    (source_in, source), (target_in, target) = _side(arguments.source), _side(arguments.target)
    if bool(source_in) == bool(target_in):
        raise UsageError(
            "cp copies between a container and this machine", hint="Write one side as CONTAINER:PATH, and one as PATH."
        )
    request = CopyRequest(
        root=root_of(arguments),
        container=source_in or target_in,
        source=source,
        target=target,
        archive=arguments.archive,
        follow=arguments.follow_link,
    )
    if source_in and target == "-":
        if sys.stdout.isatty():
            raise UsageError("a tar is not for a terminal", hint="Redirect it, or name a file instead of -.")
        write_out(request, sys.stdout.buffer.write, notify=print_note)
    elif source_in:
        copy_out(request, notify=print_note)
    elif source == "-":
        unpack_in(request, sys.stdin.buffer, notify=print_note)
    else:
        copy_in(request, notify=print_note)
    return 0


def _side(word: str) -> tuple[str, str]:
    """Return container and path; no container for a path of this machine, which begins with / or . or has no colon."""
    container, colon, path = word.partition(":")
    if not colon or not container or word.startswith(("/", ".")):
        return "", word
    return container, path or "/"


def export_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild export`."""
    parser = new_store_parser("export", "Write a container's root file system as a tar: no layers, no config.")
    add_container(parser)
    parser.add_argument("-o", "--output", default="", metavar="FILE", help="write here instead of to standard output")
    return parser


def export_command(argv: list[str]) -> int:
    """Write a container's root file system as a tar."""
    arguments = export_parser().parse_args(argv)
    request = CopyRequest(root=root_of(arguments), container=arguments.container, source="/.")
    if arguments.output:
        try:
            with written(os.path.abspath(arguments.output)) as file:
                write_out(request, file.write, notify=print_note)
        except OSError as error:
            raise PybuildError(f"cannot write {arguments.output}: {(error.strerror or str(error)).lower()}") from error
        return 0
    if sys.stdout.isatty():
        raise UsageError("a tar is not for a terminal", hint="Name a file with -o, or redirect it.")
    write_out(request, sys.stdout.buffer.write, notify=print_note)
    return 0


def mount_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild mount`."""
    parser = new_store_parser(
        "mount", "Run a command of this machine that sees the whole tree of a container.", epilog=_MOUNT_EPILOG
    )
    parser.usage = "pybuild mount [OPTIONS] CONTAINER [-- COMMAND [ARGUMENT...]]"
    add_container(parser)
    return parser


def mount_command(argv: list[str]) -> int:
    """Run a command that sees a container's files; return its exit code."""
    words, command = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    arguments = mount_parser().parse_args(words)
    if not command:
        if not sys.stdin.isatty():
            raise UsageError("'pybuild mount' needs a command", hint="pybuild mount CONTAINER -- ls -la etc")
        command = [os.environ.get("SHELL") or "/bin/sh"]
    return run_mounted(root_of(arguments), arguments.container, command, notify=print_note)
