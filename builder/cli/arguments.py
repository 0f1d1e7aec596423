"""argv → values. The flags of `docker build`, with their meanings; what differs is said in --help.

Booleans accept docker's `--flag=true|false` as well. Anything wrong raises UsageError (exit code 2).
"""

from __future__ import annotations

import argparse
import os
from typing import NoReturn

from builder import __version__
from builder.cli.limit_flags import add_limits
from builder.engine.location import store_root
from builder.errors import UsageError
from builder.suggest import most_alike
from builder.truth import truth_of

EPILOG = """\
other commands:
  pybuild images | inspect | history | tag | untag | rmi | prune | info | version
  pybuild df              what takes room on the disk, what keeps it, what would free it
  pybuild explain IMAGE   what each step added, hid and cost, why it ran; two images side by side
  pybuild verify IMAGE    every digest, size, diff ID, here or elsewhere
  pybuild pull | push | search | login | logout
  pybuild save | load | copy SRC DST       between the store, archives, registries, daemons
  pybuild run | create | start | ps | rm | diff | commit | cp | export | mount
  pybuild shell IMAGE     a shell in the tree after any step of a build, thrown away at its end
  pybuild plan PATH       the steps, with cache key and hit or miss for each; nothing is executed
  pybuild parse FILE...   the syntax tree as JSON, one document a file
  pybuild context ls PATH what a build would see of a folder, and which rule hides the rest
  pybuild pin [FILE]      FROM lines rewritten to digests
  pybuild course [N]      learn what an image is, in eight short lessons
  pybuild completion bash | zsh | fish     what makes a shell complete all of this
  pybuild COMMAND --help, pybuild help COMMAND   tells more.

groups, as docker has them:
  pybuild image | container | builder | buildx | system   each lists its words
  pybuild build PATH      is pybuild PATH. A context folder that bears a command's name is written ./NAME.

environment:
  PYBUILD_ROOT        the store (like --root)
  SOURCE_DATE_EPOCH   seconds since 1970 for every time in the image (like --timestamp)
  NO_COLOR            no colours
  PYBUILD_ALLOW_LARGE_LAYERS=1   as --allow-large-layers
  PYBUILD_DEBUG       show the traceback of an internal error

exit codes:
  0 success   1 the build failed (RUN's own code is shown)   2 wrong usage
  130 interrupted (Ctrl-C)   143 ended by SIGTERM   129 by SIGHUP
"""

_BOOLEANS = ("no-cache", "pull", "quiet", "check", "debug", "allow-large-layers", "push", "step")
_PULL_POLICIES = {"always": "true", "newer": "true", "missing": "false", "ifmissing": "false"}
"""Podman's words for --pull. Its `never` asks for what is not done: a base that is not here is fetched."""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """The formatter by which argparse checks each new argument. Asking for the terminal's width imports shutil."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=80)


class _Parser(argparse.ArgumentParser):
    def format_help(self) -> str:
        self.formatter_class = argparse.RawDescriptionHelpFormatter  # as wide as the terminal
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"See '{self.prog} --help'.")

    def parse_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """Parse, and say of an unknown flag which known one is nearest."""
        found, unknown = self.parse_known_args(args, namespace)
        # argparse would list all of them in one line; people mistype one at a time.
        if unknown:
            flag = next((word for word in unknown if word.startswith("-")), "")
            raise (
                self._unknown(flag)
                if flag
                else UsageError(f"too many arguments: {' '.join(unknown)}", hint=f"See '{self.prog} --help'.")
            )
        return found

    def _unknown(self, flag: str) -> UsageError:
        name = flag.partition("=")[0]
        known = [option for action in self._actions for option in action.option_strings]
        near = most_alike(name, known)
        did_you_mean = f" (did you mean {near}?)" if near else ""
        return UsageError(f"unknown flag: {name}{did_you_mean}", hint=f"See '{self.prog} --help'.")


def new_parser(prog: str, description: str, *, epilog: str = "") -> argparse.ArgumentParser:
    """Return a parser that raises UsageError, never abbreviates, and keeps its epilog's lines."""
    return _Parser(
        prog=prog,
        description=description,
        epilog=epilog,
        allow_abbrev=False,
        formatter_class=_Formatter,
    )


def add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root", metavar="DIR", help="the store (default: $PYBUILD_ROOT, /var/lib/pybuild as root, else XDG data)"
    )


def new_store_parser(verb: str, description: str, *, epilog: str = "") -> argparse.ArgumentParser:
    """Return the parser of a verb that works on a store."""
    parser = new_parser(f"pybuild {verb}", description, epilog=epilog)
    add_root(parser)
    return parser


def add_image(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Let a parser know an image of the store, or `several`."""
    help_ = "a name, an ID, or the beginning of an ID"
    parser.add_argument("image", nargs="+" if several else None, metavar="IMAGE", help=help_)


def add_container(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Let a parser know a container, or `several`."""
    help_ = "its name, ID, or the beginning of its ID"
    parser.add_argument("container", nargs="+" if several else None, metavar="CONTAINER", help=help_)


def root_of(arguments: argparse.Namespace) -> str:
    """Return the path of the store that parsed arguments mean. Raises UsageError."""
    return store_root(arguments.root, os.environ)


def add_large_layers(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--allow-large-layers",
        action="store_true",
        default=os.environ.get("PYBUILD_ALLOW_LARGE_LAYERS", "") not in ("", "0"),
        help="let in layers and archives that grow more than 100 times when they are unpacked, beyond 2 GiB",
    )


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild [OPTIONS] PATH|URL|-`."""
    parser = new_parser("pybuild", "Build an OCI image from a Dockerfile, without a daemon.", epilog=EPILOG)
    parser.usage = "pybuild [OPTIONS] PATH | URL | -"
    parser.add_argument(
        "path", nargs="?", metavar="PATH", help="context folder, git or http URL, or - for a tar or Dockerfile on stdin"
    )
    parser.add_argument("--version", action="version", version=f"pybuild {__version__}")
    _add_image_options(parser)
    _add_cache_options(parser)
    _add_run_options(parser)
    _add_output_options(parser)
    parser.add_argument(
        "-D", "--debug", action="store_true", help="show the traceback of an internal error, as PYBUILD_DEBUG does"
    )
    add_root(parser)
    return parser


def _add_image_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to build")
    group.add_argument(
        "-t", "--tag", action="append", default=[], metavar="NAME[:TAG]", help="name the image; may be repeated"
    )
    group.add_argument(
        "-f",
        "--file",
        metavar="FILE",
        help="the Dockerfile (default: PATH/Dockerfile or PATH/Containerfile; - is stdin)",
    )
    group.add_argument("--target", default="", metavar="STAGE", help="the stage to build (default: the last)")
    group.add_argument(
        "--build-arg",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="a value for ARG; without VALUE from the environment",
    )
    group.add_argument(
        "--build-context",
        action="append",
        default=[],
        metavar="NAME=WHERE",
        help="a further context: folder, URL, docker-image://, oci-layout://, or an image's TRANSPORT:… as for copy",
    )
    group.add_argument("--label", action="append", default=[], metavar="KEY=VALUE", help="a label for the image")
    group.add_argument(
        "--platform",
        action="append",
        default=[],
        metavar="OS/ARCH",
        help="the platform to build for (default: this machine's)",
    )
    group.add_argument(
        "--timestamp",
        "--source-date-epoch",
        metavar="SECONDS",
        help="all times in the image, as SOURCE_DATE_EPOCH; 'git' takes the context's commit time",
    )
    group.add_argument("--check", action="store_true", help="check the Dockerfile instead of building it")
    group.add_argument(
        "--call", "--print", default="build", metavar="METHOD", help="build, check, outline or targets[,format=json]"
    )
    group.add_argument(
        "--format", default="", dest="check_format", metavar="FORMAT", help="output of --check: text, json or sarif"
    )


def _add_cache_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("cache")
    group.add_argument("--no-cache", action="store_true", help="run every step again")
    group.add_argument(
        "--no-cache-filter", action="append", default=[], metavar="STAGE", help="run the steps of these stages again"
    )
    group.add_argument("--pull", action="store_true", help="look for newer base images, also when they are here")
    add_large_layers(group)
    group.add_argument(
        "--jobs", type=int, default=0, metavar="N", help="steps that may run at once (default: as many as are ready)"
    )


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("RUN")
    group.add_argument(
        "--network",
        default="default",
        metavar="MODE",
        help="default (of the build's own, where pasta or slirp4netns is installed), host or none",
    )
    group.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="id=ID[,src=FILE|,env=NAME]",
        help="a secret for RUN --mount=type=secret",
    )
    group.add_argument(
        "--ssh", action="append", default=[], metavar="ID[=SOCKET]", help="an SSH agent for RUN --mount=type=ssh"
    )
    group.add_argument("--add-host", action="append", default=[], metavar="HOST:IP", help="a line for /etc/hosts")
    group.add_argument("--shm-size", default="", metavar="BYTES", help="size of /dev/shm (default: 64m)")
    group.add_argument(
        "--ulimit", action="append", default=[], metavar="TYPE=SOFT[:HARD]", help="a limit for the processes of RUN"
    )
    add_limits(group)
    group.add_argument("--allow", action="append", default=[], metavar="WHAT", help="network.host or security.insecure")
    group.add_argument("--step", action="store_true", help="stop after each step, and show what it did (docs/step.md)")
    group.add_argument(
        "--on-error",
        default="",
        metavar="shell[:PATH]",
        help="when a RUN fails, a shell where it failed, with its mounts and variables (docs/step.md)",
    )
    group.add_argument(
        "--isolation", default="", metavar="MODE", help="native, oci or chroot (default: the first that works here)"
    )


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("results")
    group.add_argument(
        "-o",
        "--output",
        action="append",
        default=[],
        metavar="type=TYPE[,dest=PATH]",
        help="oci, docker, local, tar, image or registry; may be repeated",
    )
    group.add_argument("--push", action="store_true", help="push the image under its names, as -o type=registry does")
    group.add_argument(
        "--annotation",
        action="append",
        default=[],
        metavar="[PLACE:]KEY=VALUE",
        help="an annotation for the manifest, index, manifest-descriptor or index-descriptor",
    )
    group.add_argument("--iidfile", metavar="FILE", help="write the image ID here")
    group.add_argument("--metadata-file", metavar="FILE", help="write what was built here, as JSON")
    group.add_argument("--progress", default="auto", metavar="MODE", help="auto, tty, plain, rawjson or quiet")
    group.add_argument("-q", "--quiet", action="store_true", help="print only the image ID")


def parse_build_arguments(parser: argparse.ArgumentParser, argv: list[str]) -> argparse.Namespace:
    """Parse the words of a build with the parser of `build_parser`. Raises UsageError.

    `flag_warnings` of the result has a line for each flag of other programs that does nothing here.
    """
    words, warnings = split_boolean_values(argv), list[str]()
    known = parser._option_string_actions  # argparse shows nobody the flags it knows
    if any(_name(word) not in known for word in words if word.startswith("-") and word != "-"):
        from builder.cli.foreign_flags import take_foreign  # gate: rare. A long table

        words, warnings = take_foreign(words, lambda name: None if name not in known else known[name].nargs != 0)
    arguments = parser.parse_args(words)
    arguments.flag_warnings = warnings
    return arguments


def _name(word: str) -> str:
    # `-tNAME` is -t, with its value in the same word.
    return word.partition("=")[0] if word.startswith("--") else word[:2]


def is_true(value: str, name: str) -> bool:
    """Return what docker's `NAME=VALUE` says of a switch, in any case. Raises UsageError."""
    if (found := truth_of(value.lower())) is None:
        raise UsageError(f"{name} takes true or false, not {value!r}")
    return found


def split_boolean_values(argv: list[str]) -> list[str]:
    """Turn docker's `--no-cache=true` into `--no-cache`, and drop `--no-cache=false`. Stops at `--`."""
    result: list[str] = []
    for position, word in enumerate(argv):
        if word == "--":
            return result + argv[position:]
        name, equals, value = word.partition("=")
        if equals and name.startswith("--") and name[2:] in _BOOLEANS:
            # docker's --pull is a switch, podman's has policies: what both mean is one of two.
            value = _PULL_POLICIES.get(value.lower(), value) if name == "--pull" else value
            if is_true(value, name):
                result.append(name)
            continue
        result.append(word)
    return result
