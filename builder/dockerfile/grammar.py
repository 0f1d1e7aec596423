"""Finds and loads the Lark grammars: `grammar/` in a checkout, `builder/_grammar/` in a wheel.

Lark's tables are built anew by each process that parses. Lark could keep them, as pickles; whoever can write to where
they are kept could then run code here, so they are not.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lark import Lark

from builder.dockerfile.lexer import InstructionLexer
from builder.dockerfile.statements import RULES
from builder.errors import PybuildError

_BUILDER = Path(__file__).resolve().parent.parent
_PLACES = (_BUILDER / "_grammar", _BUILDER.parent / "grammar")


@dataclass(slots=True)
class Branch:
    """What a rule matched that stands for no statement: a file, a stage, and the lists in them."""

    data: str
    children: list[Any]


def grammar_text(name: str) -> str:
    """Return the text of the grammar `name` (without `.lark`)."""
    for place in _PLACES:
        path = place / f"{name}.lark"
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise PybuildError(f"the grammar {name}.lark is not installed", hint="Install pybuild again.")


@functools.cache
def load_dockerfile_grammar() -> Lark:
    """Return the parser of Dockerfiles; its input is an iterable of tokens (see lexer.py)."""
    return Lark(
        grammar_text("dockerfile"),
        parser="lalr",
        lexer=InstructionLexer,
        start=["dockerfile", "trigger"],
        maybe_placeholders=False,
        transformer=RULES,
        tree_class=Branch,
    )
