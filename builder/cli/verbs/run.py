"""`pybuild run IMAGE [COMMAND…]`: a process on top of an image, in a writable layer that is thrown away afterwards."""

from __future__ import annotations

import argparse
import os

from builder.cli.arguments import add_large_layers, new_parser
from builder.cli.limit_flags import add_limits
from builder.cli.limits import with_limits
from builder.cli.options import parse_build_args
from builder.cli.rare_options import parse_hosts
from builder.containers.request import ContainerRequest
from builder.containers.run import run_image
from builder.engine.location import store_root
from builder.errors import UsageError
from builder.oci.run_options import RunOptions


def run_command(argv: list[str]) -> int:
    """Run the image's command or the one given; return its exit code (128 + signal when it was killed)."""
    parser = new_parser("pybuild run", "Run a command in a container made from an image. Its changes are thrown away.")
    parser.usage = "pybuild run [OPTIONS] IMAGE [COMMAND [ARGUMENT...]]"
    parser.add_argument("-e", "--env", action="append", default=[], metavar="NAME[=VALUE]", help="set a variable")
    parser.add_argument("-w", "--workdir", default="", metavar="DIR", help="working directory in the container")
    parser.add_argument("-u", "--user", default=None, metavar="USER[:GROUP]", help="who runs it")
    parser.add_argument("--entrypoint", default=None, metavar="PROGRAM", help="instead of the image's entrypoint")
    parser.add_argument("--network", default="default", choices=("default", "host", "none"))
    parser.add_argument("--hostname", default="", metavar="NAME")
    parser.add_argument("--add-host", action="append", default=[], metavar="HOST:IP")
    add_limits(parser)
    parser.add_argument(
        "--init", action="store_true", help="a process 1 above the command, which otherwise is that itself"
    )
    parser.add_argument("--isolation", default=None, metavar="MODE")
    parser.add_argument("--platform", default="", metavar="OS/ARCH")
    parser.add_argument("--rm", action="store_true", help="accepted; containers are always removed")
    parser.add_argument("-i", "--interactive", action="store_true", help="accepted; stdin is always connected")
    parser.add_argument("-t", "--tty", action="store_true", help="accepted; whoever is at a terminal gets one")
    add_large_layers(parser)
    parser.add_argument("--root", metavar="DIR", help="the store")
    options, rest = _split(argv, parser)
    arguments = parser.parse_args(options)
    if not rest:
        raise UsageError("'pybuild run' needs an image", hint="'pybuild images' lists those there are.")
    return run_image(
        ContainerRequest(
            root=store_root(arguments.root, os.environ),
            image=rest[0],
            command=tuple(rest[1:]),
            entrypoint=arguments.entrypoint,
            env=parse_build_args(arguments.env, os.environ),
            workdir=arguments.workdir,
            user=arguments.user,
            network=arguments.network,
            hostname=arguments.hostname,
            options=with_limits(RunOptions(add_hosts=parse_hosts(arguments.add_host)), arguments),
            isolation=arguments.isolation,
            platform=arguments.platform,
            init=arguments.init,
            large_layers=arguments.allow_large_layers,
        )
    )


def _split(argv: list[str], parser: argparse.ArgumentParser) -> tuple[list[str], list[str]]:
    """Split at the image: what follows it belongs to the command, dashes and all."""
    with_value = {name for name, action in parser._option_string_actions.items() if action.nargs != 0}
    position = 0
    while position < len(argv) and argv[position].startswith("-"):
        if argv[position] == "--":
            return argv[:position], argv[position + 1 :]
        position += 2 if argv[position] in with_value else 1
    return argv[:position], argv[position:]
