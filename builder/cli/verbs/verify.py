"""`pybuild verify`: one image checked to the last byte, a line a check."""

from __future__ import annotations

import argparse
import json
from collections import Counter

from builder.cli.arguments import new_store_parser, root_of
from builder.cli.display.text import clean, print_note
from builder.engine.verify import ImageCheck, verify_image
from builder.errors import UsageError, counted

_STATES = {True: "ok", False: "FAIL", None: "-"}


def verify_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild verify`."""
    parser = new_store_parser(
        "verify",
        "Check every digest, size, media type, diff ID and the history of images: each blob is read, each layer"
        " decompressed. An image may be named as `pybuild copy` has it (docker://NAME, oci-archive:FILE, …).",
    )
    parser.add_argument("image", nargs="+", metavar="IMAGE", help="a name, an ID, or TRANSPORT:…")
    parser.add_argument("--platform", default="", metavar="OS/ARCH", help="of an index, not this machine's")
    parser.add_argument("-a", "--all", action="store_true", help="every image of an index that lies elsewhere")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only what is wrong")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def verify_command(argv: list[str]) -> int:
    """Check images; 1 when anything is not as it should be."""
    arguments = verify_parser().parse_args(argv)
    if arguments.platform and arguments.all:
        raise UsageError("--all and --platform are mutually exclusive")
    counts: Counter[bool | None] = Counter()
    documents = []
    for image in arguments.image:
        if len(arguments.image) > 1 and not arguments.json:
            print(f"{image}:")
        for check in verify_image(
            root_of(arguments), image, platform=arguments.platform, all_platforms=arguments.all, notify=print_note
        ):
            counts[check.is_good] += 1
            if arguments.json:
                documents.append({"image": image} | check._asdict())
            elif not arguments.quiet or check.is_good is False:
                print(_line(check), flush=True)  # the next one may take a while
    if arguments.json:
        print(json.dumps(documents, indent=2))
    elif not arguments.quiet:
        print(_summary(counts))
    return 1 if counts[False] else 0


def _line(check: ImageCheck) -> str:
    found = f"{check.found}, should be {check.expected}" if check.expected else check.found
    return clean(f"{_STATES[check.is_good]:<4}  {check.subject:<10}  {check.about:<10}  {found}")


def _summary(counts: Counter[bool | None]) -> str:
    done = counts[True] + counts[False]
    left = f"; {counts[None]} left out" if counts[None] else ""
    if counts[False]:
        return f"{counts[False]} of {counted(done, 'check')} failed{left}"
    return f"{counted(done, 'check')}: everything is as it should be{left}"
