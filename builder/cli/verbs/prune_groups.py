"""`pybuild image | container | builder | buildx | system prune`: each frees what docker's frees, in its words."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from builder.cli.arguments import new_store_parser, root_of
from builder.cli.display.text import print_note, size_text
from builder.cli.verbs.prune import add_filter, add_max_bytes, max_bytes_of
from builder.containers.remove import prune_containers
from builder.engine.prune_kinds import PrunedCache, prune_cache, prune_images
from builder.image.prune_filter import CACHE_KEYS, PRUNE_KEYS, parse_prune_filters


def _add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--force", action="store_true", help="do not ask (pybuild never does)")


def image_prune_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild image prune`."""
    parser = new_store_parser("image prune", "Remove dangling images. The build cache stays: see 'pybuild prune'.")
    parser.add_argument("-a", "--all", action="store_true", help="all images that no container stands on, named or not")
    add_filter(parser, PRUNE_KEYS)
    _add_force(parser)
    return parser


def image_prune_command(argv: list[str]) -> int:
    """Remove images that nothing uses."""
    arguments = image_prune_parser().parse_args(argv)
    allowed = parse_prune_filters(arguments.filter)
    pruned = prune_images(root_of(arguments), named=arguments.all, allowed=allowed, notify=print_note)
    _print_list("Deleted Images", pruned.lines)
    _print_freed(pruned.bytes)
    return 0


def container_prune_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild container prune`."""
    parser = new_store_parser("container prune", "Remove all containers that do not run, with their writable layers.")
    add_filter(parser, PRUNE_KEYS)
    _add_force(parser)
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would be removed")
    return parser


def container_prune_command(argv: list[str]) -> int:
    """Remove all containers that do not run."""
    arguments = container_prune_parser().parse_args(argv)
    allowed = parse_prune_filters(arguments.filter)
    pruned = prune_containers(root_of(arguments), allowed=allowed, dry_run=arguments.dry_run, notify=print_note)
    _print_list("Containers that would go" if arguments.dry_run else "Deleted Containers", pruned.ids)
    would = "Space that would be reclaimed" if arguments.dry_run else "Total reclaimed space"
    print(f"{would}: {size_text(pruned.bytes)}")
    return 0


def builder_prune_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild builder prune` and `pybuild buildx prune`."""
    parser = new_store_parser("builder prune", "Remove the build cache and the cache mounts. Images stay.")
    parser.add_argument("-a", "--all", action="store_true", help="accepted; the whole cache goes in any case")
    add_max_bytes(parser)
    add_filter(parser, CACHE_KEYS)
    _add_force(parser)
    return parser


def builder_prune_command(argv: list[str]) -> int:
    """Remove the build cache."""
    arguments = builder_prune_parser().parse_args(argv)
    allowed = parse_prune_filters(arguments.filter, CACHE_KEYS)
    pruned = prune_cache(root_of(arguments), keep_bytes=max_bytes_of(arguments), allowed=allowed, notify=print_note)
    print(f"Deleted build cache records: {pruned.records}")
    _print_freed(pruned.bytes)
    return 0


def system_prune_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild system prune`."""
    parser = new_store_parser(
        "system prune", "Remove containers that do not run, dangling images, the build cache and the cache mounts."
    )
    parser.add_argument("-a", "--all", action="store_true", help="all images then, named or not, but those in use")
    parser.add_argument("--volumes", action="store_true", help="accepted; there are no volumes")
    add_filter(parser, PRUNE_KEYS)
    _add_force(parser)
    return parser


def system_prune_command(argv: list[str]) -> int:
    """Remove what nothing uses, of all kinds."""
    arguments = system_prune_parser().parse_args(argv)
    root = root_of(arguments)
    allowed = parse_prune_filters(arguments.filter)
    containers = prune_containers(root, allowed=allowed, notify=print_note)
    _print_list("Deleted Containers", containers.ids)
    images = prune_images(root, named=arguments.all, allowed=allowed, notify=print_note)
    _print_list("Deleted Images", images.lines)
    cache = prune_cache(root, allowed=allowed, notify=print_note) if allowed.takes_cache else PrunedCache(0, 0)
    print(f"Deleted build cache records: {cache.records}\n")
    _print_freed(containers.bytes + images.bytes + cache.bytes)
    return 0


def _print_list(head: str, lines: Sequence[str]) -> None:
    if lines:
        print(f"{head}:")
        print("\n".join(lines), end="\n\n")


def _print_freed(count: int) -> None:
    print(f"Total reclaimed space: {size_text(count)}")
