"""`pybuild images | inspect | history | tag | rmi | prune | info | version`: what the store holds; keeping it tidy."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from builder import __version__
from builder.cli.arguments import add_root, new_parser
from builder.cli.table import table_lines
from builder.cli.text import age_text, short_digest, size_text
from builder.errors import PybuildError, UsageError
from builder.oci.reference import parse_reference
from builder.store.location import store_root
from builder.store.store import Store, open_store

if TYPE_CHECKING:
    from builder.store.prune import PruneReport


def _parser(name: str, description: str) -> argparse.ArgumentParser:
    parser = new_parser(f"pybuild {name}", description)
    add_root(parser)
    return parser


def _store(arguments: argparse.Namespace, *, create: bool = True) -> Store:
    return open_store(store_root(arguments.root, os.environ), create=create, notify=print_note)


def print_note(sentence: str) -> None:
    """Say something that is neither an answer nor an error."""
    print(f"pybuild: note: {sentence}", file=sys.stderr)


def images_command(argv: list[str]) -> int:
    """List the images of the store."""
    parser = _parser("images", "List the images in the store.")
    parser.add_argument("name", nargs="?", help="only images of this name")
    parser.add_argument("-q", "--quiet", action="store_true", help="only image IDs")
    parser.add_argument("-a", "--all", action="store_true", help="dangling images too")
    parser.add_argument("--digests", action="store_true", help="show manifest digests")
    parser.add_argument("--no-trunc", action="store_true", help="show whole IDs")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(argv)
    from builder.image.listing import list_images

    with _store(arguments) as store:
        found = [image for image in list_images(store) if image.name or arguments.all or arguments.quiet is False]
    if arguments.name:
        wanted = parse_reference(arguments.name)
        names = {str(wanted)} if ":" in arguments.name.rpartition("/")[2] else {wanted.name}
        found = [
            image
            for image in found
            if image.name and (image.name in names or parse_reference(image.name).name in names)
        ]
    if arguments.json:
        rows = [
            {
                "name": i.name,
                "id": str(i.id),
                "digest": str(i.descriptor.digest),
                "platform": str(i.platform),
                "created": i.created,
                "size": i.size,
            }
            for i in found
        ]
        print(json.dumps(rows, indent=2))
    elif arguments.quiet:
        for identifier in dict.fromkeys(str(image.id) for image in found):
            print(identifier if arguments.no_trunc else short_digest(identifier))
    else:
        _print_images(found, arguments)
    return 0


def _print_images(found: list, arguments: argparse.Namespace) -> None:  # type: ignore[type-arg]
    head = ["REPOSITORY", "TAG", *(["DIGEST"] if arguments.digests else []), "IMAGE ID", "CREATED", "SIZE"]
    rows = []
    for image in found:
        name, tag = "<none>", "<none>"
        if image.name:
            reference = parse_reference(image.name)
            tag = reference.tag or "<none>"
            name = reference.familiar.removesuffix(f":{reference.tag}").partition("@")[0]
        identifier = str(image.id) if arguments.no_trunc else short_digest(image.id)
        digest = [str(image.descriptor.digest)] if arguments.digests else []
        rows.append([name, tag, *digest, identifier, _age(image.created), size_text(image.size)])
    for line in table_lines(head, rows):
        print(line)


def _age(created: str) -> str:
    from builder.image.timestamp import parse_timestamp

    timestamp = parse_timestamp(created)
    return "N/A" if timestamp is None else age_text(time.time() - timestamp / 1e9)


def inspect_command(argv: list[str]) -> int:
    """Print what an image is, as JSON."""
    parser = _parser("inspect", "Print an image's digests, config and layers as JSON.")
    parser.add_argument("image", nargs="+")
    parser.add_argument("--raw", action="store_true", help="the manifest (or index) exactly as it is stored")
    parser.add_argument("--config", action="store_true", help="the image config exactly as it is stored")
    arguments = parser.parse_args(argv)
    from builder.image.describe import describe_image
    from builder.image.listing import find_descriptor, get_image
    from builder.oci.canonical import MAX_DOCUMENT_BYTES

    with _store(arguments) as store:
        if arguments.raw or arguments.config:
            for name in arguments.image:
                digest = get_image(store, name).id if arguments.config else find_descriptor(store, name).digest
                sys.stdout.flush()
                sys.stdout.buffer.write(store.blobs.read(digest, MAX_DOCUMENT_BYTES))
                sys.stdout.buffer.flush()
            return 0
        print(json.dumps([describe_image(store, name) for name in arguments.image], indent=2))
    return 0


def history_command(argv: list[str]) -> int:
    """Show how an image was made: each record of its history, and the layer it stands for."""
    parser = _parser("history", "Show the steps of an image, and the layer each one made.")
    parser.add_argument("image")
    parser.add_argument("--layers", action="store_true", help="only the steps that made layers")
    parser.add_argument("--no-trunc", action="store_true", help="do not shorten anything")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(argv)
    from builder.image.describe import layer_rows

    with _store(arguments) as store:
        rows = layer_rows(store, arguments.image)
    if arguments.layers:
        rows = [row for row in rows if row["diff_id"]]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    cut = None if arguments.no_trunc else 56
    cells = []
    for row in rows:
        step = row["created_by"].replace("\n", " ") or _remark(row["comment"])
        layer = str(row["layer"]) if row["diff_id"] else "-"
        digest = row["diff_id"] if arguments.no_trunc else short_digest(row["diff_id"])
        files = str(row["files"]) if row["diff_id"] else ""
        size = size_text(row["size"]) if row["diff_id"] else ""
        cells.append([step if cut is None or len(step) <= cut else step[: cut - 1] + "…", layer, files, size, digest])
    for line in table_lines(["STEP", "LAYER", "FILES", "SIZE", "DIFF ID"], cells, right=frozenset({1, 2, 3})):
        print(line)
    return 0


def _remark(comment: str) -> str:
    """Say something of a record without a command: images that were imported often tell where they came from."""
    told = comment and not comment.endswith(".exporter.image.v0")  # of builders, for layers that nothing tells of
    return f"({comment if told else 'no command recorded'})"


def tag_command(argv: list[str]) -> int:
    """Give an image another name."""
    parser = _parser("tag", "Give an image further names.")
    parser.add_argument("image")
    parser.add_argument("name", nargs="+")
    arguments = parser.parse_args(argv)
    from builder.image.listing import tag_image

    with _store(arguments) as store, store.lease():
        tag_image(store, arguments.image, arguments.name)
    return 0


def rmi_command(argv: list[str]) -> int:
    """Remove names, and images that have no name left. Goes on after a failure, and then returns 1."""
    parser = _parser("rmi", "Remove images.")
    parser.add_argument("image", nargs="+")
    parser.add_argument(
        "-f", "--force", action="store_true", help="also when an ID has several names; ignore missing images"
    )
    arguments = parser.parse_args(argv)
    from builder.cli.diagnostics import render_error
    from builder.image.listing import remove_image

    code = 0
    with _store(arguments) as store:
        for name in arguments.image:
            try:
                for line in remove_image(store, name, force=arguments.force):
                    print(line)
            except PybuildError as error:
                if not (arguments.force and error.message.startswith("no such image")):
                    print(render_error(error), file=sys.stderr)
                    code = 1
    return code


def prune_command(argv: list[str]) -> int:
    """Free what nothing needs."""
    parser = _parser("prune", "Remove dangling images, leftovers, and whatever no image and no cache record needs.")
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
    arguments = parser.parse_args(argv)
    from builder.cli.options import parse_size
    from builder.sandbox.namespace import enter_build_namespace
    from builder.store.prune import prune, remove_store

    if os.geteuid() != 0:
        enter_build_namespace()  # what RUN made belongs to subordinate ids, and only there is it ours to delete
    if arguments.whole_store:
        if arguments.dry_run:
            raise UsageError("--whole-store cannot be tried with --dry-run")
        with _store(arguments, create=False) as store:
            remove_store(store)
        print(f"removed {store.root}")
        return 0
    with _store(arguments) as store:
        if arguments.wait:
            store.leases.wait()
        report = prune(
            store,
            unused_for=0.0 if arguments.all else None,
            keep_bytes=parse_size(arguments.keep_storage, "--keep-storage") if arguments.keep_storage else None,
            cache_mounts=arguments.all,
            dry_run=arguments.dry_run,
        )
    _print_pruned(report, dry_run=arguments.dry_run)
    return 0


def _print_pruned(report: PruneReport, *, dry_run: bool) -> None:
    would = "would remove" if dry_run else "removed"
    print(
        f"{would} {len(report.images)} dangling images, {len(report.records)} cache records, {len(report.blobs)} blobs"
    )
    print(f"{'would free' if dry_run else 'freed'} {size_text(report.bytes)}")
    left = report.left
    if left.images or left.records or left.blobs:
        print(
            f"left {left.images} dangling images, {left.records} cache records, {left.blobs} blobs "
            f"({size_text(left.bytes)}), which running builds use ({report.builds} now): --wait lets them end first"
        )


def version_command(argv: list[str]) -> int:
    """Print the version."""
    new_parser("pybuild version", "Print the version.").parse_args(argv)
    print(f"pybuild {__version__}")
    return 0


def info_command(argv: list[str]) -> int:
    """Say what this machine offers."""
    parser = _parser("info", "Say where the store is, how RUN is isolated here and why, and what the store holds.")
    parser.add_argument("--verify", action="store_true", help="check every blob, name and record of the store")
    parser.add_argument("--isolation", default=None, metavar="MODE", help="try this isolation")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(argv)
    from builder.cli.info import describe_machine

    return describe_machine(arguments, store_root(arguments.root, os.environ))


HANDLERS: dict[str, Callable[[list[str]], int]] = {
    "images": images_command,
    "inspect": inspect_command,
    "history": history_command,
    "tag": tag_command,
    "rmi": rmi_command,
    "prune": prune_command,
    "info": info_command,
    "version": version_command,
}
