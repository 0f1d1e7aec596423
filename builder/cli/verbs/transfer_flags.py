"""Flags that `copy` and `push` have in common, as podman and skopeo call them: --format and --digestfile."""

from __future__ import annotations

import argparse

from builder.cli.display.results import check_writable, write_file

_FORMATS = ("oci", "docker", "v2s2")


def add_transfer_flags(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser."""
    parser.add_argument(
        "--format",
        default="",
        choices=_FORMATS,
        help="manifest and media types: oci, or docker (also called v2s2); default: as they are",
    )
    parser.add_argument("--digestfile", default="", metavar="FILE", help="write the digest that came to be here")


def check_digest_file(arguments: argparse.Namespace) -> None:
    """Raise PybuildError, before anything is sent, when the digest could not be written."""
    if arguments.digestfile:
        check_writable(arguments.digestfile)


def write_digest(arguments: argparse.Namespace, digest: str) -> None:
    """Write a digest as podman does, without a line end, if that was asked for. Raises PybuildError."""
    if arguments.digestfile:
        write_file(arguments.digestfile, digest.encode())
