"""`pybuild shell IMAGE [--step N] [--stage NAME] [COMMAND…]`: look around in a tree; nothing of that stays."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from builder.cli.arguments import add_large_layers, new_store_parser, root_of
from builder.cli.display.text import print_note
from builder.engine.shell import ShellRequest, run_shell
from builder.errors import PybuildError, UsageError

_STREAMS = (0, 1, 2)
_OWN_ERROR = 125
"""As of run: what went wrong before there was a command."""
_EPILOG = """\
Steps are counted as a build shows them: in [app 2/5] the stage is app, the step 2. Of an image
that was not built here --step counts its layers, as 'pybuild history' does.
Variables, directory and user are those of the nearest RUN up to the step, else the base image's; of a
whole image they are its own.
exit codes: the command's own; 125 when there was none
"""


def shell_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild shell`."""
    parser = new_store_parser(
        "shell", "Run a shell in the tree after a step of a build. What it changes is thrown away.", epilog=_EPILOG
    )
    parser.usage = "pybuild shell [OPTIONS] IMAGE [OPTIONS] [COMMAND [ARGUMENT...]]"
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="a name, an ID, or the beginning of an ID")
    parser.add_argument("--step", type=int, metavar="N", help="after this step of its stage (default: the last)")
    parser.add_argument(
        "--stage", default="", metavar="STAGE", help="of this stage, which need not be in the image (default: its own)"
    )
    parser.add_argument("-u", "--user", default=None, metavar="USER[:GROUP]", help="who runs it")
    parser.add_argument("--isolation", default=None, metavar="MODE", help="native, oci or chroot")
    parser.add_argument("--platform", default="", metavar="OS/ARCH", help="of an image for several")
    add_large_layers(parser)
    return parser


def shell_command(argv: list[str]) -> int:
    """Run a shell, or the command given, in the tree of an image or a step; return its exit code."""
    try:
        return run_shell(_request(argv), _STREAMS, print_note)
    except PybuildError as error:
        if error.exit_code == 1:
            error.exit_code = _OWN_ERROR
        raise


def _request(argv: Sequence[str]) -> ShellRequest:
    parser = shell_parser()
    options, command = _split(argv, parser)
    arguments = parser.parse_args(options)
    if arguments.image is None:
        raise UsageError("'pybuild shell' needs an image", hint="'pybuild images' lists those there are.")
    return ShellRequest(
        root=root_of(arguments),
        image=arguments.image,
        step=arguments.step,
        stage=arguments.stage,
        command=tuple(command),
        user=arguments.user,
        isolation=arguments.isolation,
        platform=arguments.platform,
        large_layers=arguments.allow_large_layers,
    )


def _split(argv: Sequence[str], parser: argparse.ArgumentParser) -> tuple[list[str], list[str]]:
    """Split at the second word that is no option: it and all that follows are the command, dashes and all."""
    known = parser._option_string_actions  # argparse shows nobody the flags it knows
    position, images = 0, 0
    while position < len(argv):
        word = argv[position]
        if word == "--":
            return list(argv[:position]), list(argv[position + 1 :])
        action = known.get(word)
        if not word.startswith("-"):
            images += 1
            if images > 1:
                break
        elif action is not None and action.nargs != 0:
            position += 1  # its value
        position += 1
    return list(argv[:position]), list(argv[position:])
