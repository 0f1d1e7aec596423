"""The page of flags: what builds of docker, podman and buildah are called with, and what each flag does here.

python -m tests.rules --refresh     writes docs/flags.md with the other pages
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from builder.cli.arguments import build_parser
from builder.cli.foreign_flags import TABLE, ForeignFlag

FLAGS_FILE = Path(__file__).resolve().parents[1] / "docs" / "flags.md"
_SIZES = (
    "",
    "## Sizes",
    "",
    "A size is a number, perhaps with b, k, m, g, t or p, perhaps with B behind it: `512m`, `1.5GB`.",
    "",
    "| flags | k is | why |",
    "|---|---|---|",
    "| `--memory`, `--memory-swap`, `--shm-size`, `tmpfs-size=`, `--tmpfs …:size=` | 1024 | docker's rule for memory |",
    "| `--keep-storage`, `--max-used-space`, `--reserved-space` | 1024 | docker's rule for these, too |",
    "| `prune --max-bytes`, `df --free` | 1000; 1024 in `5GiB` | our own: so are sizes on the disk shown |",
)
_OUTCOMES = {
    "refused": ("Refused", "The build would not be what was asked for."),
    "warned": ("Accepted with a warning", "The build goes on, and says that the flag does nothing."),
    "ignored": ("Accepted", "What they ask for is so anyway."),
}


def render_flags() -> str:
    """Return docs/flags.md."""
    lines = [
        "# Flags of a build",
        "",
        "<!-- written by python -m tests.rules --refresh -->",
        "",
        "Those of `docker build`, `docker buildx build`, `podman build` and `buildah bud`, and our own.",
        "An empty value asks for nothing, and so do the values in the last column.",
        "",
        "## With an effect",
        "",
        "| flag | what it does |",
        "|---|---|",
        *_own_rows(),
    ]
    for outcome, (heading, sentence) in _OUTCOMES.items():
        lines += ["", f"## {heading}", "", sentence, "", "| flag | why | asks for nothing |", "|---|---|---|"]
        lines += [_row(flag) for flag in TABLE if flag.outcome == outcome]
    return "\n".join([*lines, *_SIZES]) + "\n"


def own_actions() -> list[argparse.Action]:
    """Return what the parser of a build knows itself."""
    return [action for action in build_parser()._actions if action.option_strings]


def _own_rows() -> Iterator[str]:
    for action in own_actions():
        yield f"| `{'`, `'.join(action.option_strings)}` | {(action.help or '').replace('|', '&#124;')} |"


def _row(flag: ForeignFlag) -> str:
    why = f"{flag.why}. {flag.hint}" if flag.hint else flag.why
    return f"| `{'`, `'.join(flag.names)}` | {why.replace('|', '&#124;')} | {' '.join(flag.nothing)} |"
