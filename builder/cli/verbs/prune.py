"""`pybuild prune`: the store made smaller, or deleted."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from builder.cli.arguments import add_root, new_parser, root_of
from builder.cli.display.text import clean, print_note, size_text
from builder.cli.options import parse_disk_size, parse_memory_size
from builder.engine.prune import Pruned, delete_store, prune_store
from builder.errors import UsageError, counted
from builder.image.prune_filter import PRUNE_KEYS, parse_prune_filters

_FILTERS = {
    "until": "until=24h (or a date, or seconds since 1970)",
    "label": "label=KEY[=VALUE]",
    "label!": "label!=KEY[=VALUE]",
}


def prune_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild prune`."""
    parser = new_parser(
        "pybuild prune", "Remove dangling images, leftovers, and whatever no image and no cache record needs."
    )
    add_root(parser)
    parser.add_argument("-a", "--all", action="store_true", help="the build cache and the cache mounts too")
    add_max_bytes(parser)
    parser.add_argument(
        "--keep-last",
        type=int,
        default=0,
        metavar="N",
        help="keep the N images that were built last, named or not, and the cache that built them",
    )
    add_filter(parser, PRUNE_KEYS)
    parser.add_argument("-f", "--force", action="store_true", help="do not ask (pybuild never does)")
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would be removed")
    parser.add_argument(
        "--wait", action="store_true", help="let the running builds end first; what they use stays otherwise"
    )
    parser.add_argument("--whole-store", action="store_true", help="delete the store itself, named images and all")
    return parser


def add_max_bytes(parser: argparse.ArgumentParser) -> None:
    """Let a parser know how much may stay, in our word and docker's."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--max-bytes",
        default="",
        metavar="SIZE",
        help="drop cache, the longest unused first, until all that is left fits (5GB; k is 1000)",
    )
    group.add_argument(
        "--keep-storage",
        "--max-used-space",
        "--reserved-space",
        dest="keep_storage",
        default="",
        metavar="SIZE",
        help="the same in docker's words (5GB; k is 1024, as there)",
    )


def max_bytes_of(arguments: argparse.Namespace) -> int | None:
    """Return what `add_max_bytes` was given. Raises UsageError."""
    if arguments.keep_storage:
        return parse_memory_size(arguments.keep_storage, "--keep-storage")
    return parse_disk_size(arguments.max_bytes, "--max-bytes") if arguments.max_bytes else None


def add_filter(parser: argparse.ArgumentParser, keys: Sequence[str]) -> None:
    """Let a parser know docker's --filter, with these keys."""
    parser.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"remove only what it lets go: {', '.join(_FILTERS[key] for key in keys)}",
    )


def prune_command(argv: list[str]) -> int:
    """Free what nothing needs."""
    arguments = prune_parser().parse_args(argv)
    root = root_of(arguments)
    if arguments.keep_last < 0:
        raise UsageError(f"--keep-last {arguments.keep_last} is not a number of images")
    if arguments.whole_store:
        if arguments.dry_run:
            raise UsageError("--whole-store cannot be tried with --dry-run")
        if max_bytes_of(arguments) is not None or arguments.keep_last or arguments.filter:
            raise UsageError("--whole-store keeps nothing", hint="Leave out --max-bytes, --keep-last and --filter.")
        print(f"removed {delete_store(root, notify=print_note)}")
        return 0
    pruned = prune_store(
        root,
        everything=arguments.all,
        keep_bytes=max_bytes_of(arguments),
        keep_last=arguments.keep_last,
        allowed=parse_prune_filters(arguments.filter),
        dry_run=arguments.dry_run,
        wait=arguments.wait,
        notify=print_note,
    )
    _print_pruned(pruned, dry_run=arguments.dry_run)
    return 0


def _print_pruned(pruned: Pruned, *, dry_run: bool) -> None:
    if dry_run:
        for line in pruned.listed:
            print(f"would remove {clean(line)}")
    would = "would remove" if dry_run else "removed"
    print(f"{would} {_things(pruned.images, pruned.records, pruned.blobs)}")
    print(f"{'would free' if dry_run else 'freed'} {size_text(pruned.bytes)}")
    left = pruned.left
    if left.images or left.records or left.blobs:
        print(
            f"left {_things(left.images, left.records, left.blobs)} "
            f"({size_text(left.bytes)}), which running builds use ({pruned.builds} now): --wait lets them end first"
        )


def _things(images: int, records: int, blobs: int) -> str:
    return ", ".join((counted(images, "dangling image"), counted(records, "cache record"), counted(blobs, "blob")))
