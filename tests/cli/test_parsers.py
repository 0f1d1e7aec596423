"""Every verb's parser can be had without running the verb: completion and the manual page are made from them."""

from __future__ import annotations

import argparse
from importlib import import_module

import pytest

from builder.cli.main import VERBS
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
