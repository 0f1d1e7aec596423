"""`pybuild copy | save | load | inspect`: images between the store, files, registries and other stores."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from builder.cli.arguments import new_store_parser, root_of
from builder.cli.display.inspected import add_format, document_printer
from builder.cli.display.text import print_note
from builder.cli.display.transfers import COPIED, PULLED, TransferDisplay
from builder.cli.verbs.transfer_flags import add_transfer_flags, check_digest_file, write_digest
from builder.engine import copying, elsewhere, images
from builder.errors import UsageError
from builder.solve import events
from builder.transport.places.location import is_elsewhere

_STDIO = "-"
_TRANSPORTS = """\
SRC and DST:
  NAME                             the store
  docker://NAME                    a registry
  oci:DIR[:REF]                    an OCI image layout
  oci-archive:FILE[:REF]           the same as one tar
  docker-archive:FILE[:NAME]       what `docker save` writes
  dir:DIR                          one image in flat files
  docker-daemon:NAME               a docker daemon
  containers-storage:NAME          the store of podman and buildah
  store:DIR[:NAME]                 another store of this machine
  ssh://[USER@]HOST[:PORT]/PATH[:NAME]
                                   a store or image layout of another machine
FILE may be -, for standard input or output.
"""


def copy_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild copy`."""
    parser = new_store_parser("copy", "Copy an image from one place to another.", epilog=_TRANSPORTS)
    parser.add_argument("source", metavar="SRC", help="where it is: see below")
    parser.add_argument("destination", metavar="DST", help="where to: see below")
    parser.add_argument("-a", "--all", action="store_true", help="every image of an index")
    parser.add_argument("--platform", default="", metavar="OS/ARCH", help="not this machine's")
    add_transfer_flags(parser)
    parser.add_argument("--preserve-digests", action="store_true", help="fail where the digest could not stay")
    parser.add_argument("-q", "--quiet", action="store_true", help="print the digest only")
    return parser


def copy_command(argv: list[str]) -> int:
    """Copy an image between any two places; the last line is its digest."""
    arguments = copy_parser().parse_args(argv)
    check_digest_file(arguments)
    into_pipe = arguments.destination.split(":")[1:2] == [_STDIO]
    with TransferDisplay(COPIED, sys.stderr if into_pipe else sys.stdout) as display:
        digest = copying.copy_between(
            arguments.source,
            arguments.destination,
            root_of(arguments),
            platform=arguments.platform,
            all_platforms=arguments.all,
            preserve_digests=arguments.preserve_digests,
            form=arguments.format,
            sink=events.ignore_events if arguments.quiet else display,
            notify=print_note,
        )
        write_digest(arguments, digest)
        display.say(str(digest) if arguments.quiet else f"Digest: {digest}")
    return 0


def save_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild save`."""
    parser = new_store_parser("save", "Write images of the store to an archive, or to standard output.")
    parser.add_argument("name", nargs="+", metavar="IMAGE", help="a name, or an ID")
    parser.add_argument("-o", "--output", default=_STDIO, metavar="FILE", help="where to (default: standard output)")
    parser.add_argument(
        "--format",
        default="docker-archive",
        choices=("docker-archive", "oci-archive", "oci-dir", "docker-dir"),
        help="default: docker-archive, which is an OCI archive as well; the last two are directories",
    )
    return parser


def save_command(argv: list[str]) -> int:
    """Write images into one archive, which docker, podman and skopeo load."""
    arguments = save_parser().parse_args(argv)
    if arguments.output == _STDIO and sys.stdout.isatty():
        raise UsageError("an archive is not written to a terminal", hint="Use -o FILE, or redirect standard output.")
    copying.save_images(root_of(arguments), arguments.name, arguments.output, arguments.format, notify=print_note)
    return 0


def load_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild load`."""
    parser = new_store_parser("load", "Take in the images of an archive: of docker, podman, skopeo or pybuild.")
    parser.add_argument("-i", "--input", default=_STDIO, metavar="FILE", help="where from (default: standard input)")
    parser.add_argument("-q", "--quiet", action="store_true", help="print the names only")
    return parser


def load_command(argv: list[str]) -> int:
    """Take in all images of an archive. The words are docker's, since scripts read them."""
    arguments = load_parser().parse_args(argv)
    if arguments.input == _STDIO and sys.stdin.isatty():
        raise UsageError("an archive is not read from a terminal", hint="Use -i FILE, or redirect standard input.")
    with TransferDisplay(PULLED) as display:
        sink = events.ignore_events if arguments.quiet else display
        for loaded in copying.load_images(root_of(arguments), arguments.input, sink=sink, notify=print_note):
            for name in loaded.names:
                display.say(f"Loaded image: {name.familiar}")
            if not loaded.names:
                display.say(f"Loaded image ID: {loaded.id}")
    return 0


def inspect_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild inspect`."""
    parser = new_store_parser(
        "inspect",
        "Print an image's digests, config and layers as JSON.",
        epilog=_TRANSPORTS.replace("SRC and DST", "image"),
    )
    parser.add_argument("image", nargs="+", metavar="IMAGE", help="a name, an ID, or TRANSPORT:…: see below")
    parser.add_argument("--raw", action="store_true", help="the manifest (or index) exactly as it is stored")
    parser.add_argument("--config", action="store_true", help="the image config exactly as it is stored")
    add_format(parser)
    return parser


def inspect_command(argv: list[str]) -> int:
    """Print what an image is, as JSON. With a transport before it, it is looked at where it lies."""
    arguments = inspect_parser().parse_args(argv)
    if arguments.format and (arguments.raw or arguments.config):
        raise UsageError("--format takes nothing from --raw and --config", hint="They print documents as they are.")
    show = document_printer(arguments.format)
    if arguments.raw or arguments.config:
        sys.stdout.flush()
        for data in _documents(arguments):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        return 0
    root, found = root_of(arguments), []
    for image in arguments.image:
        if is_elsewhere(image):
            found.append(elsewhere.describe_elsewhere(root, image, notify=print_note))
        else:
            found.extend(images.describe_images(root, [image], notify=print_note))
    show(found)
    return 0


def _documents(arguments: argparse.Namespace) -> Iterator[bytes]:
    root, config = root_of(arguments), arguments.config
    for image in arguments.image:
        if is_elsewhere(image):
            yield elsewhere.read_document_elsewhere(root, image, config=config, notify=print_note)
        else:
            yield from images.read_documents(root, [image], config=config, notify=print_note)
