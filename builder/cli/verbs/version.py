"""`pybuild version`."""

from __future__ import annotations

import argparse

from builder import __version__
from builder.cli.arguments import new_parser


def version_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild version`."""
    return new_parser("pybuild version", "Print the version.")


def version_command(argv: list[str]) -> int:
    """Print the version."""
    version_parser().parse_args(argv)
    print(f"pybuild {__version__}")
    return 0
