"""`pybuild images | history | tag | rmi`: what the store holds, and what it is called."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict

from builder.cli.arguments import add_image, is_true, new_store_parser, root_of
from builder.cli.display.diagnostics import render_error
from builder.cli.display.image_tables import (
    HISTORY_COLUMNS,
    HISTORY_HEADS,
    IMAGE_HEADS,
    docker_history,
    history_lines,
    image_columns,
    image_row,
    tree_lines,
)
from builder.cli.display.template import formatted, with_column
from builder.cli.display.text import print_note
from builder.engine import images
from builder.errors import UsageError


def images_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild images`."""
    parser = new_store_parser("images", "List the images in the store.")
    parser.add_argument("name", nargs="?", metavar="NAME[:TAG]", help="only images of this name")
    parser.add_argument("-q", "--quiet", action="store_true", help="only image IDs")
    parser.add_argument("-a", "--all", action="store_true", help="dangling images too")
    parser.add_argument("--digests", action="store_true", help="show the digests that registries have them under")
    parser.add_argument(
        "-s", "--sizes", action="store_true", help="also compressed, shared and own bytes (docs/images.md)"
    )
    parser.add_argument("--no-trunc", action="store_true", help="show whole IDs")
    parser.add_argument(
        "-f",
        "--filter",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="reference=GLOB, dangling=true, label=K[=V], before=IMAGE or since=IMAGE; may be repeated",
    )
    parser.add_argument("--tree", action="store_true", help="draw the layers, and which images share them")
    parser.add_argument("--format", default="", metavar="FORMAT", help="table, json, 'table TEMPLATE' or TEMPLATE")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def images_command(argv: list[str]) -> int:
    """List the images of the store."""
    arguments = images_parser().parse_args(argv)
    if arguments.tree:
        return _tree(arguments)
    found = images.list_images(
        root_of(arguments),
        arguments.name or "",
        dangling=arguments.all or not arguments.quiet or bool(arguments.filter),
        filters=arguments.filter,
        notify=print_note,
    )
    if arguments.json:
        print(json.dumps([image.to_json() for image in found], indent=2))
        return 0
    rows = [image_row(image, whole=arguments.no_trunc) for image in found]
    if arguments.quiet:
        lines: Iterable[str] = dict.fromkeys(row["ID"] for row in rows)
    else:
        template = with_column(arguments.format, "Digest") if arguments.digests else arguments.format
        columns = image_columns(digests=arguments.digests, sizes=arguments.sizes)
        lines = formatted(template, rows, IMAGE_HEADS, columns)
    for line in lines:
        print(line)
    return 0


def _tree(arguments: argparse.Namespace) -> int:
    if arguments.name or arguments.filter or arguments.quiet or arguments.format not in ("", "json"):
        raise UsageError("--tree draws all images", hint="Beside it there is --json only.")
    roots = images.image_tree(root_of(arguments), notify=print_note)
    if arguments.json or arguments.format:
        print(json.dumps([asdict(root) for root in roots], indent=2))
        return 0
    for line in tree_lines(roots, whole=arguments.no_trunc):
        print(line)
    return 0


def history_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild history`."""
    parser = new_store_parser("history", "Show the steps of an image, and the layer each one made.")
    add_image(parser)
    parser.add_argument("--layers", action="store_true", help="only the steps that made layers")
    parser.add_argument(
        "--chain-ids", action="store_true", help="also the ID of each layer together with all below it: what came of it"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="only image IDs, as docker has them: newest first")
    parser.add_argument(
        "--format", default="", metavar="FORMAT", help="docker's view, newest first: table, json, TEMPLATE"
    )
    parser.add_argument(
        "-H", "--human", action="store_true", default=True, help="(default) or --human=false: bytes, and full times"
    )
    parser.add_argument("--no-human", dest="human", action="store_false", help=argparse.SUPPRESS)
    parser.add_argument("--no-trunc", action="store_true", help="do not shorten anything")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def history_command(argv: list[str]) -> int:
    """Show how an image was made: each record of its history, and the layer it stands for."""
    arguments = history_parser().parse_args([_no_human(word) for word in argv])
    history = images.image_history(root_of(arguments), arguments.image, notify=print_note)
    steps = [step for step in history.steps if step.layer] if arguments.layers else list(history.steps)
    if arguments.json:
        print(json.dumps([step.to_json() for step in steps], indent=2))
        return 0
    whole, human = arguments.no_trunc, arguments.human
    if arguments.quiet or arguments.format:
        rows = docker_history(history.id, steps, whole=whole, human=human)
        template = "{{.ID}}" if arguments.quiet else arguments.format
        lines = formatted(template, rows, HISTORY_HEADS, HISTORY_COLUMNS)
    else:
        lines = history_lines(steps, whole=whole, human=human, chain_ids=arguments.chain_ids)
    for line in lines:
        print(line)
    return 0


def _no_human(word: str) -> str:
    """Return what the parser has for docker's --human=false."""
    name, equals, value = word.partition("=")
    if not equals or name not in ("-H", "--human"):
        return word
    return "--human" if is_true(value, name) else "--no-human"


def tag_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild tag`."""
    parser = new_store_parser("tag", "Give an image further names.")
    add_image(parser)
    parser.add_argument("name", nargs="+", metavar="NAME[:TAG]", help="a further name")
    return parser


def tag_command(argv: list[str]) -> int:
    """Give an image another name."""
    arguments = tag_parser().parse_args(argv)
    images.tag_image(root_of(arguments), arguments.image, arguments.name, notify=print_note)
    return 0


def untag_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild untag`."""
    parser = new_store_parser("untag", "Take names from an image, which stays, without one if these were all.")
    add_image(parser)
    parser.add_argument("name", nargs="*", metavar="NAME[:TAG]", help="a name to take away (default: all)")
    return parser


def untag_command(argv: list[str]) -> int:
    """Take names from an image."""
    arguments = untag_parser().parse_args(argv)
    images.untag_image(root_of(arguments), arguments.image, arguments.name, notify=print_note)
    return 0


def rmi_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild rmi`."""
    parser = new_store_parser("rmi", "Remove images.")
    add_image(parser, several=True)
    parser.add_argument(
        "-f",
        "--force",
        action="store_true",
        help="also several names, or under a container; ignore missing ones",
    )
    return parser


def rmi_command(argv: list[str]) -> int:
    """Remove names, and images that have no name left. Goes on after a failure, and then returns 1."""
    arguments = rmi_parser().parse_args(argv)
    code = 0
    for removal in images.remove_images(root_of(arguments), arguments.image, force=arguments.force, notify=print_note):
        for line in removal.lines:
            print(line)
        if removal.error is not None:
            print(render_error(removal.error), file=sys.stderr)
            code = 1
    return code
