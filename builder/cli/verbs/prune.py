"""`pybuild prune`: the store made smaller, or deleted."""

from __future__ import annotations

import argparse

from builder.cli.arguments import add_root, new_parser, root_of
from builder.cli.display.text import print_note, size_text
from builder.cli.options import parse_size
from builder.engine.prune import Pruned, delete_store, prune_store
from builder.errors import UsageError


def prune_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild prune`."""
    parser = new_parser(
        "pybuild prune", "Remove dangling images, leftovers, and whatever no image and no cache record needs."
    )
    add_root(parser)
    parser.add_argument("-a", "--all", action="store_true", help="the build cache and the cache mounts too")
    parser.add_argument(
        "--keep-storage", default="", metavar="BYTES", help="drop cache, the longest unused first, until this fits"
    )
    parser.add_argument("-f", "--force", action="store_true", help="do not ask (pybuild never does)")
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would be removed")
    parser.add_argument(
        "--wait", action="store_true", help="let the running builds end first; what they use stays otherwise"
    )
    parser.add_argument("--whole-store", action="store_true", help="delete the store itself, named images and all")
    return parser


def prune_command(argv: list[str]) -> int:
    """Free what nothing needs."""
    arguments = prune_parser().parse_args(argv)
    root = root_of(arguments)
    if arguments.whole_store:
        if arguments.dry_run:
            raise UsageError("--whole-store cannot be tried with --dry-run")
        print(f"removed {delete_store(root, notify=print_note)}")
        return 0
    pruned = prune_store(
        root,
        everything=arguments.all,
        keep_bytes=parse_size(arguments.keep_storage, "--keep-storage") if arguments.keep_storage else None,
        dry_run=arguments.dry_run,
        wait=arguments.wait,
        notify=print_note,
    )
    _print_pruned(pruned, dry_run=arguments.dry_run)
    return 0


def _print_pruned(pruned: Pruned, *, dry_run: bool) -> None:
    would = "would remove" if dry_run else "removed"
    print(f"{would} {pruned.images} dangling images, {pruned.records} cache records, {pruned.blobs} blobs")
    print(f"{'would free' if dry_run else 'freed'} {size_text(pruned.bytes)}")
    left = pruned.left
    if left.images or left.records or left.blobs:
        print(
            f"left {left.images} dangling images, {left.records} cache records, {left.blobs} blobs "
            f"({size_text(left.bytes)}), which running builds use ({pruned.builds} now): --wait lets them end first"
        )
