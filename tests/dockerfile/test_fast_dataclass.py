"""Values made quickly are those that their classes make."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from builder.dockerfile import instructions as ast
from builder.dockerfile.fast_dataclass import maker_of
from builder.dockerfile.instructions import Instruction, Word, make_instruction, make_word
from builder.errors import Location

PLACE = Location("Dockerfile", 2, 1, 2, 9)
WORD = Word("a", PLACE)
SYNTAX = Instruction(keyword="RUN", arguments=(WORD,), location=PLACE)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (Word, {"text": "a"}),
        (Word, {"text": "a", "location": PLACE}),
        (Instruction, {"keyword": "RUN"}),
        (Instruction, {field.name: f"value of {field.name}" for field in fields(Instruction)}),
        (ast.Run, {"syntax": SYNTAX, "command": ast.ShellForm("a")}),
        (ast.Copy, {"syntax": SYNTAX, "sources": (WORD,), "destination": WORD, "link": True}),
        (ast.ArgDefinition, {"name": "a", "default": None}),
    ],
)
def test_a_maker_makes_what_the_class_makes(kind: Any, arguments: dict[str, Any]) -> None:
    made, expected = maker_of(kind)(**arguments), kind(**arguments)
    assert type(made) is kind
    assert all(getattr(made, field.name) == getattr(expected, field.name) for field in fields(kind))
    assert made == expected
    assert hash(made) == hash(expected)
    assert repr(made) == repr(expected)
    assert copy.copy(made) == expected
    assert pickle.loads(pickle.dumps(made)) == expected


def test_what_a_maker_made_can_not_be_changed() -> None:
    word = make_word("a", PLACE)
    with pytest.raises(FrozenInstanceError):
        word.text = "b"  # type: ignore[misc]
    with pytest.raises((AttributeError, TypeError)):
        word.other = "b"  # type: ignore[attr-defined]
    assert word.text == "a"


def test_a_maker_takes_by_position_only_what_the_class_does() -> None:
    assert make_word("a", PLACE).location == PLACE
    with pytest.raises(TypeError):
        make_instruction("RUN")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        make_instruction()  # type: ignore[call-arg]
