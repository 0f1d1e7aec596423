"""`pybuild images | history | tag | rmi`: what the store holds, and what it is called."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence

from builder.cli.arguments import new_store_parser, root_of
from builder.cli.display.diagnostics import render_error
from builder.cli.display.text import age_text, print_note, short_digest, size_text, table_lines
from builder.engine import images
from builder.oci.reference import parse_reference

_STEP_COLUMNS = 56


def images_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild images`."""
    parser = new_store_parser("images", "List the images in the store.")
    parser.add_argument("name", nargs="?", metavar="NAME[:TAG]", help="only images of this name")
    parser.add_argument("-q", "--quiet", action="store_true", help="only image IDs")
    parser.add_argument("-a", "--all", action="store_true", help="dangling images too")
    parser.add_argument("--digests", action="store_true", help="show the digests that registries have them under")
    parser.add_argument("--no-trunc", action="store_true", help="show whole IDs")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def images_command(argv: list[str]) -> int:
    """List the images of the store."""
    arguments = images_parser().parse_args(argv)
    found = images.list_images(
        root_of(arguments), arguments.name or "", dangling=arguments.all or not arguments.quiet, notify=print_note
    )
    if arguments.json:
        print(json.dumps([image.to_json() for image in found], indent=2))
    elif arguments.quiet:
        for identifier in dict.fromkeys(image.id for image in found):
            print(identifier if arguments.no_trunc else short_digest(identifier))
    else:
        _print_images(found, arguments)
    return 0


def _print_images(found: Sequence[images.ListedImage], arguments: argparse.Namespace) -> None:
    head = ["REPOSITORY", "TAG", *(["DIGEST"] if arguments.digests else []), "IMAGE ID", "CREATED", "SIZE"]
    rows = []
    for image in found:
        name, tag = "<none>", "<none>"
        if image.name:
            reference = parse_reference(image.name)
            tag = reference.tag or "<none>"
            name = reference.familiar.removesuffix(f":{reference.tag}").partition("@")[0]
        identifier = image.id if arguments.no_trunc else short_digest(image.id)
        digest = [image.repo_digest or "<none>"] if arguments.digests else []
        age = "N/A" if image.created_ns is None else age_text(time.time() - image.created_ns / 1e9)
        rows.append([name, tag, *digest, identifier, age, size_text(image.size)])
    for line in table_lines(head, rows):
        print(line)


def history_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild history`."""
    parser = new_store_parser("history", "Show the steps of an image, and the layer each one made.")
    parser.add_argument("image", metavar="IMAGE", help="a name, an ID, or the beginning of an ID")
    parser.add_argument("--layers", action="store_true", help="only the steps that made layers")
    parser.add_argument("--no-trunc", action="store_true", help="do not shorten anything")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def history_command(argv: list[str]) -> int:
    """Show how an image was made: each record of its history, and the layer it stands for."""
    arguments = history_parser().parse_args(argv)
    steps = images.image_history(root_of(arguments), arguments.image, notify=print_note)
    if arguments.layers:
        steps = tuple(step for step in steps if step.layer)
    if arguments.json:
        print(json.dumps([step.to_json() for step in steps], indent=2))
        return 0
    rows = [_history_row(step, whole=arguments.no_trunc) for step in steps]
    for line in table_lines(["STEP", "LAYER", "FILES", "SIZE", "DIFF ID"], rows, right=frozenset({1, 2, 3})):
        print(line)
    return 0


def _history_row(step: images.HistoryStep, *, whole: bool) -> list[str]:
    words = step.created_by.replace("\n", " ") or _remark(step.comment)
    if not whole and len(words) > _STEP_COLUMNS:
        words = words[: _STEP_COLUMNS - 1] + "…"
    if not step.layer:
        return [words, "-", "", "", ""]
    digest = step.diff_id if whole else short_digest(step.diff_id)
    return [words, str(step.layer), str(step.files), size_text(step.size), digest]


def _remark(comment: str) -> str:
    """Return the words for a record without a command; the comment of an imported image often says where it is from."""
    told = comment and not comment.endswith(".exporter.image.v0")  # of builders, for layers that nothing tells of
    return f"({comment if told else 'no command recorded'})"


def tag_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild tag`."""
    parser = new_store_parser("tag", "Give an image further names.")
    parser.add_argument("image", metavar="IMAGE", help="a name, an ID, or the beginning of an ID")
    parser.add_argument("name", nargs="+", metavar="NAME[:TAG]", help="a further name")
    return parser


def tag_command(argv: list[str]) -> int:
    """Give an image another name."""
    arguments = tag_parser().parse_args(argv)
    images.tag_image(root_of(arguments), arguments.image, arguments.name, notify=print_note)
    return 0


def rmi_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild rmi`."""
    parser = new_store_parser("rmi", "Remove images.")
    parser.add_argument("image", nargs="+", metavar="IMAGE", help="a name, an ID, or the beginning of an ID")
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
