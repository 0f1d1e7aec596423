"""`pybuild version`."""

from __future__ import annotations

from builder import __version__
from builder.cli.arguments import new_parser


def version_command(argv: list[str]) -> int:
    """Print the version."""
    new_parser("pybuild version", "Print the version.").parse_args(argv)
    print(f"pybuild {__version__}")
    return 0
