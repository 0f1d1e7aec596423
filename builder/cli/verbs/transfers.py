"""`pybuild pull | push | search | login | logout`: between the store and registries."""

from __future__ import annotations

import argparse
import getpass
import sys

from builder.cli.arguments import add_root, new_parser, new_store_parser, root_of
from builder.cli.display.text import clean, print_note, size_text, table_lines
from builder.cli.display.transfers import PULLED, PUSHED, TransferDisplay
from builder.cli.verbs.transfer_flags import add_transfer_flags, check_digest_file, write_digest
from builder.engine import transfers
from builder.errors import UsageError
from builder.oci.reference import DEFAULT_REGISTRY, parse_reference, says_tag
from builder.solve.events import ignore_events

_DESCRIPTION_COLUMNS = 60
USING_LATEST = "Using default tag: latest"
"""docker's words for a name without a tag."""


def pull_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild pull`."""
    parser = new_store_parser("pull", "Fetch images from registries into the store.")
    parser.add_argument("name", nargs="+", metavar="NAME[:TAG|@DIGEST]", help="what to fetch (default: the tag latest)")
    parser.add_argument("-a", "--all-tags", action="store_true", help="every tag of the repository")
    parser.add_argument("--platform", default="", metavar="OS/ARCH", help="not this machine's")
    parser.add_argument("--record", action="store_true", help="also the record of its build, for `explain`")
    parser.add_argument("-q", "--quiet", action="store_true", help="print the full name only")
    return parser


def pull_command(argv: list[str]) -> int:
    """Pull images; the last line is the full name of each, as docker prints it."""
    arguments = pull_parser().parse_args(argv)
    for name in arguments.name:
        _pull(transfers.name_to_pull(name, notify=print_note), arguments)
    return 0


def _pull(name: str, arguments: argparse.Namespace) -> None:
    with TransferDisplay(PULLED) as display:
        if not arguments.quiet:
            reference = parse_reference(name)
            if _is_tag_implied(name, arguments):
                display.say(USING_LATEST)
            which = "all tags" if arguments.all_tags else reference.digest or reference.tag
            display.say(f"{which}: Pulling from {reference.repository}")
        found = transfers.pull(
            root_of(arguments),
            name,
            platform=arguments.platform,
            all_tags=arguments.all_tags,
            record=arguments.record,
            sink=ignore_events if arguments.quiet else display,
            notify=print_note,
        )
        for pulled in found:
            if not arguments.quiet:
                for line in _pull_lines(pulled):
                    display.say(line)
            display.say(str(pulled.name))


def _is_tag_implied(name: str, arguments: argparse.Namespace) -> bool:
    return not (arguments.all_tags or says_tag(name) or "@" in name)


def _pull_lines(pulled: transfers.Pulled) -> list[str]:
    name = pulled.name.familiar
    if not pulled.is_new:
        return [f"Digest: {pulled.digest}", f"Status: Image is up to date for {name}"]
    moved = [f"Moved: {name} was {pulled.before}"] if pulled.before else []
    return [f"Digest: {pulled.digest}", *moved, f"Status: Downloaded newer image for {name}"]


def push_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild push`."""
    parser = new_store_parser("push", "Send an image of the store to the registry that its name says.")
    parser.add_argument("name", metavar="NAME[:TAG]", help="a name of the image, which says where to")
    parser.add_argument("-a", "--all-tags", action="store_true", help="every tag of the repository")
    parser.add_argument(
        "--compression",
        default="gzip",
        choices=("gzip", "zstd", "uncompressed"),
        help="of layers that are not compressed yet (default: gzip)",
    )
    parser.add_argument(
        "--record", action="store_true", help="attach the record of its build, which others can `explain` it by"
    )
    add_transfer_flags(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="print the full name only")
    return parser


def push_command(argv: list[str]) -> int:
    """Push an image under its name; what the registry has is not sent again."""
    arguments = push_parser().parse_args(argv)
    if arguments.digestfile and arguments.all_tags:
        raise UsageError("--digestfile is for one digest, and --all-tags may have many", hint="Push tag by tag.")
    check_digest_file(arguments)
    with TransferDisplay(PUSHED) as display:
        pushed_names = transfers.push(
            root_of(arguments),
            arguments.name,
            all_tags=arguments.all_tags,
            compression=arguments.compression,
            record=arguments.record,
            form=arguments.format,
            sink=ignore_events if arguments.quiet else display,
            notify=print_note,
        )
        if not arguments.quiet:
            if _is_tag_implied(arguments.name, arguments):
                display.say(USING_LATEST)
            display.say(f"The push refers to repository [{parse_reference(arguments.name).name}]")
        for pushed in pushed_names:
            write_digest(arguments, pushed.digest)
            said = f"{pushed.name.tag}: digest: {pushed.digest} size: {pushed.size}"
            display.say(str(pushed.name) if arguments.quiet else said)
            if pushed.record_size and not arguments.quiet:
                attached = f"build record attached ({size_text(pushed.record_size)}), with the Dockerfile's text in it"
                display.say(f"{pushed.name.tag}: {attached}")
    return 0


def search_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild search`."""
    parser = new_parser("pybuild search", "Search Docker Hub, or the catalogue of another registry (HOST/TERM).")
    parser.add_argument("term", metavar="TERM", help="what to look for, in names and descriptions")
    parser.add_argument("--limit", type=int, default=25, metavar="N", help="at most N (default: 25)")
    parser.add_argument("--list-tags", action="store_true", help="TERM is a repository: list its tags")
    parser.add_argument("--no-trunc", action="store_true", help="do not shorten descriptions")
    add_root(parser)
    return parser


def search_command(argv: list[str]) -> int:
    """List the repositories that match a term, or the tags of one."""
    arguments = search_parser().parse_args(argv)
    if arguments.list_tags:
        for line in table_lines(
            ["NAME", "TAG"],
            [[arguments.term, tag] for tag in transfers.list_tags(arguments.term, limit=arguments.limit)],
        ):
            print(line)
        return 0
    rows = []
    for found in transfers.search(arguments.term, limit=arguments.limit):
        said = found.description.replace("\n", " ")
        if not arguments.no_trunc and len(said) > _DESCRIPTION_COLUMNS:
            said = said[: _DESCRIPTION_COLUMNS - 1] + "…"
        rows.append([found.name, said, str(found.stars), "[OK]" if found.is_official else ""])
    for line in table_lines(["NAME", "DESCRIPTION", "STARS", "OFFICIAL"], rows):
        print(line)
    return 0


def login_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild login`."""
    parser = new_parser("pybuild login", "Log in to a registry, and keep the credentials where docker and podman do.")
    parser.add_argument(
        "registry", nargs="?", default=DEFAULT_REGISTRY, metavar="REGISTRY", help="its host (default: Docker Hub)"
    )
    parser.add_argument("-u", "--username", default="", metavar="USER", help="the user name (default: it is asked for)")
    parser.add_argument("-p", "--password", default=None, metavar="PASSWORD", help="others may see it: better not")
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    return parser


def login_command(argv: list[str]) -> int:
    """Log in to a registry. The password is never shown; on standard input it may come from a script."""
    arguments = login_parser().parse_args(argv)
    if arguments.password is not None and arguments.password_stdin:
        raise UsageError("--password and --password-stdin are mutually exclusive")
    if arguments.password_stdin and not arguments.username:
        raise UsageError("--password-stdin needs --username")
    if arguments.password is not None:
        print_note("--password can be seen by others of this machine; use --password-stdin")
    username = arguments.username or _ask("Username: ")
    password = _password(arguments)
    if not username or not password:
        raise UsageError("a user name and a password are needed to log in")
    where = transfers.login(_host(arguments.registry), username, password)
    print(f"Login Succeeded (kept in {clean(where)})")
    return 0


def _password(arguments: argparse.Namespace) -> str:
    if arguments.password is not None:
        return str(arguments.password)
    if arguments.password_stdin:
        return sys.stdin.read().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask for a password on", hint="Use --password-stdin.")
    return getpass.getpass("Password: ")


def _ask(question: str) -> str:
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask for a user name on", hint="Use --username.")
    return input(question).strip()


def _host(text: str) -> str:
    """Return the registry that somebody named, maybe as an address."""
    return text.removeprefix("https://").removeprefix("http://").rstrip("/") or DEFAULT_REGISTRY


def logout_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild logout`."""
    parser = new_parser("pybuild logout", "Forget the credentials of a registry.")
    parser.add_argument(
        "registry", nargs="?", default=DEFAULT_REGISTRY, metavar="REGISTRY", help="its host (default: Docker Hub)"
    )
    return parser


def logout_command(argv: list[str]) -> int:
    """Log out from a registry."""
    arguments = logout_parser().parse_args(argv)
    host = _host(arguments.registry)
    if transfers.logout(host):
        print(f"Removing login credentials for {host}")
    else:
        print(f"Not logged in to {host}")
    return 0
