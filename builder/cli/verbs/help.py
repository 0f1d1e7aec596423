"""`pybuild help [COMMAND]`, and `pybuild GROUP` alone: what there is, from the parsers of the verbs."""

from __future__ import annotations

import argparse

from builder.cli.arguments import build_parser, new_parser, new_store_parser
from builder.cli.display.text import table_lines
from builder.cli.groups import GROUPS, resolve, words_of
from builder.cli.main import VERBS, parser_of, verb_of
from builder.errors import UsageError

_GROUP_TITLES = {
    "image": "Work with images.",
    "container": "Work with containers.",
    "builder": "Build, and free what builds keep.",
    "buildx": "Build, and free what builds keep.",
    "system": "Look at the store, and free what nothing needs.",
}


def help_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild help`."""
    parser = new_parser("pybuild help", "Tell of a command, as its --help does.")
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="a command, or a group and its word")
    return parser


def help_command(argv: list[str]) -> int:
    """Print the help of what the words name, or that of pybuild."""
    words = help_parser().parse_args(argv).command
    if not words:
        build_parser().print_help()
        return 0
    first = words[0]
    if first in GROUPS and len(words) == 1:
        return group_help_command([first])
    found = verb_of(words)
    if found is None:
        raise UsageError(f"there is no command {first!r}", hint="'pybuild --help' lists the commands.")
    parser_of(found[0], found[1]).print_help()
    return 0


def group_help_parser() -> argparse.ArgumentParser:
    """Return the parser of a group that stands alone."""
    parser = new_store_parser("group help", "List the words of a group.")
    parser.add_argument("group", choices=sorted(GROUPS), help="the group")
    return parser


def group_help_command(argv: list[str]) -> int:
    """List the words of a group, each with what it does."""
    group = group_help_parser().parse_args(argv).group
    print(f"usage: pybuild {group} COMMAND\n\n{_GROUP_TITLES[group]}\n\ncommands:")
    for line in group_lines(group):
        print(f"  {line}")
    print(f"\n'pybuild {group} COMMAND --help' tells more.")
    return 0


def group_lines(group: str) -> list[str]:
    """Return a line for each verb of a group: the words for it, and what it does."""
    rows = []
    for verb, words in words_of(group).items():
        module = resolve([group, words[0]], VERBS)
        assert module is not None  # a word of a group means a verb
        description = (parser_of(verb, module.module).description or "").partition(". ")[0].rstrip(".")
        rows.append([", ".join(words), description])
    return list(table_lines(["", ""], sorted(rows)))[1:]
