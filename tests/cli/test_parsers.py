"""Every verb's parser can be had without running the verb: completion and the manual page are made from them."""

from __future__ import annotations

import argparse
import re
from importlib import import_module

import pytest

from builder.cli.arguments import EPILOG
from builder.cli.groups import GROUPS, HIDDEN
from builder.cli.main import VERBS
from builder.cli.main import parser_of as the_parser_of
from builder.errors import UsageError

OF_A_BUILD = {"build"}
"""The words of these are parsed before their module is loaded (cli/main.py)."""


def parser_of(verb: str) -> argparse.ArgumentParser:
    module = import_module(f"builder.cli.verbs.{VERBS[verb]}")
    make = getattr(module, f"{verb}_parser", None)
    assert make is not None, (
        f"builder/cli/verbs/{VERBS[verb]}.py has no {verb}_parser(): what completes the flags of '{verb}' and "
        f"writes its manual needs the parser of {verb}_command by itself"
    )
    parser = make()
    assert isinstance(parser, argparse.ArgumentParser)
    return parser


@pytest.mark.parametrize("verb", sorted(set(VERBS) - OF_A_BUILD))
def test_a_verb_has_a_parser_that_says_what_it_does(verb: str) -> None:
    parser = parser_of(verb)
    assert parser.prog == f"pybuild {verb}"
    assert parser.description
    assert parser.description.endswith(".")
    with pytest.raises(UsageError):
        parser.parse_args(["--no-such-flag"])


@pytest.mark.parametrize("verb", sorted({*VERBS, *HIDDEN}))
def test_every_word_of_a_help_is_explained(verb: str) -> None:
    parser = the_parser_of(verb, {**VERBS, **HIDDEN}[verb])
    for action in parser._actions:
        name = "/".join(action.option_strings) or action.dest
        assert action.help, f"{verb}: {name} has no help"
        assert not action.help.endswith("."), f"{verb}: {name}: helps are no sentences"
        assert action.option_strings or action.choices or str(action.metavar).isupper(), f"{verb}: {name}: a metavar"
    assert parser.format_help()


def test_the_help_of_pybuild_names_every_command_and_group() -> None:
    told = set(re.findall(r"[a-z]+", EPILOG.partition("environment:")[0]))
    assert {*VERBS, *GROUPS} - told == set()
