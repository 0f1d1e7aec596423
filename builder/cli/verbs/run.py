"""`pybuild run | create IMAGE [COMMAND…]`: a container from an image, run in the foreground or only made."""

from __future__ import annotations

import argparse

from builder.cli.display.text import print_note
from builder.cli.verbs.container_options import container_parser, container_request
from builder.containers.create import create_container
from builder.containers.run import OWN_ERROR, run_image
from builder.containers.session import open_session
from builder.errors import PybuildError


def run_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild run`."""
    return container_parser("run", "Run a command in a new container made from an image.")


def create_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild create`."""
    return container_parser("create", "Make a container from an image, for 'pybuild start'.")


def run_command(argv: list[str]) -> int:
    """Run the image's command or the one given; return its exit code (128 + signal when it was killed)."""
    try:
        request = container_request("run", run_parser(), argv)
    except PybuildError as error:
        error.exit_code = OWN_ERROR
        raise
    return run_image(request, print_note)


def create_command(argv: list[str]) -> int:
    """Make a container without running anything; print its ID."""
    request = container_request("create", create_parser(), argv)
    with open_session(request.root, large_layers=request.large_layers, notify=print_note) as session:
        print(create_container(request, session).id)
    return 0
