"""`pybuild df`: what takes room on the disk, what keeps it, and what would free it."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence

from builder.cli.arguments import new_store_parser, root_of
from builder.cli.display.template import formatted
from builder.cli.display.text import age_text, clean, known_size, print_note, size_text, table_lines
from builder.cli.options import parse_disk_size
from builder.engine import df
from builder.errors import UsageError
from builder.image.disk_usage import UsageRow
from builder.image.keepers import KeptBlob
from builder.oci.digest import short_digest

_HEADS = {"Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE"}
_WORDS = 44


def df_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild df`."""
    parser = new_store_parser("df", "Say what takes room on the disk, what keeps it, and what would free it.")
    parser.add_argument("-v", "--verbose", action="store_true", help="each image, container, cached step and copy")
    parser.add_argument("--format", default="", metavar="FORMAT", help="table, json, 'table TEMPLATE' or TEMPLATE")
    parser.add_argument("--json", action="store_true", help="print everything as JSON, in bytes")
    parser.add_argument("--why", default="", metavar="DIGEST|NAME", help="say what keeps a blob, or those of an image")
    parser.add_argument(
        "--free", default="", metavar="SIZE", help="say what would free so much (5GB, 500MB), cheapest first"
    )
    return parser


def df_command(argv: list[str]) -> int:
    """Show what takes room; 1 when --free asks for more than can be had."""
    arguments = df_parser().parse_args(argv)
    if bool(arguments.why) + bool(arguments.free) + bool(arguments.verbose or arguments.format) > 1:
        raise UsageError("--why, --free and what shows all are asked one at a time")
    if arguments.why:
        return _why(arguments)
    if arguments.free:
        return _free(arguments)
    found = df.disk_usage_of(root_of(arguments), notify=print_note)
    if arguments.json:
        rows = [row._asdict() for row in found.rows]
        lists = {name: [one._asdict() for one in getattr(found, name)] for name in _LISTS}
        mounts = [{"name": name, "bytes": size} for name, size in found.mounts]
        print(json.dumps({"rows": rows, **lists, "mounts": mounts}, indent=2))
    elif arguments.verbose:
        if arguments.format not in ("", "table"):
            raise UsageError("-v has no --format", hint="--json has all of it.")
        _print_sections(found)
    else:
        for line in formatted(arguments.format, [_row(row) for row in found.rows], _HEADS, tuple(_HEADS)):
            print(line)
    return 0


_LISTS = ("images", "containers", "cache", "copies")


def _row(row: UsageRow) -> dict[str, str]:
    share = f" ({100 * row.reclaimable // row.bytes}%)" if row.bytes else ""
    return {
        "Type": row.kind,
        "TotalCount": str(row.total),
        "Active": str(row.active),
        "Size": size_text(row.bytes),
        "Reclaimable": f"{size_text(row.reclaimable)}{share}",
    }


def _print_sections(found: df.DiskUsage) -> None:
    for title, head, rows in _sections(found):
        print(f"{title}:\n")
        for line in table_lines(head, list(rows)):
            print(line)
        print()


def _sections(found: df.DiskUsage) -> Iterator[tuple[str, Sequence[str], Iterator[list[str]]]]:
    head = ["IMAGE", "IMAGE ID", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS", "RMI FREES"]
    yield "Images, by the bytes of their files; what rmi frees, on the disk", head, (
        [", ".join(one.names) or "<none>", short_digest(one.id), known_size(one.size), known_size(one.shared),
         known_size(one.own), str(one.containers), size_text(one.freed)]
        for one in found.images
    )  # fmt: skip
    yield (
        "Containers",
        ["CONTAINER ID", "NAME", "IMAGE", "STATE", "SIZE"],
        ([short_digest(one.id), one.name, one.image, one.state, size_text(one.bytes)] for one in found.containers),
    )
    yield "Build cache", ["STEP", "MADE BY", "LAYER", "SIZE", "SHARED", "LAST USED"], (
        [one.step, one.words if len(one.words) <= _WORDS else f"{one.words[: _WORDS - 1]}…", short_digest(one.layer),
         size_text(one.bytes), str(one.shared).lower(), age_text(time.time() - one.used)]
        for one in found.cache
    )  # fmt: skip
    yield "Cache mounts", ["NAME", "SIZE"], ([short_digest(name), size_text(size)] for name, size in found.mounts)
    yield (
        "Working copies",
        ["LAYER", "FORM", "SIZE"],
        ([short_digest(one.layer), one.form, size_text(one.bytes)] for one in found.copies),
    )


def _why(arguments: argparse.Namespace) -> int:
    blobs = df.why(root_of(arguments), arguments.why, notify=print_note)
    if arguments.json:
        print(json.dumps([_kept_json(blob) for blob in blobs], indent=2))
        return 0
    for blob in blobs:
        print(clean(f"{blob.digest}  {blob.what}, {size_text(blob.bytes)}"))
        for line in table_lines(["", "", ""], [[f"  {one.kind}", one.name, one.detail] for one in blob.keepers]):
            if line:
                print(line)
        for form, size in blob.copies:
            print(f"  beside it: {form}, {size_text(size)}")
        if not blob.keepers:
            print("  nothing keeps it: 'pybuild prune' takes it")
    return 0


def _kept_json(blob: KeptBlob) -> dict[str, object]:
    keepers = [keeper._asdict() for keeper in blob.keepers]
    copies = [{"form": form, "bytes": size} for form, size in blob.copies]
    return {**blob._asdict(), "keepers": keepers, "copies": copies}


def _free(arguments: argparse.Namespace) -> int:
    wanted = parse_disk_size(arguments.free, "--free")
    steps = df.how_to_free(root_of(arguments), wanted, notify=print_note)
    total = sum(step.bytes for step in steps)
    if arguments.json:
        print(json.dumps([step._asdict() for step in steps], indent=2))
        return 0 if total >= wanted else 1
    for line in table_lines(
        ["COMMAND", "FREES", "WHAT IS LOST"], [[s.command, size_text(s.bytes), s.lost] for s in steps]
    ):
        print(line)
    if total >= wanted:
        print(f"together {size_text(total)}, where {size_text(wanted)} are wanted")
        return 0
    print(f"together {size_text(total)}: {size_text(wanted)} cannot be had")
    return 1
