"""docs/glossary.md is kept: no word that it retires is a name in the program."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent
BUILDER = CHECKOUT / "builder"
GLOSSARY = CHECKOUT / "docs" / "glossary.md"
_CODE = re.compile(r"`([^`]+)`")


def retired() -> dict[str, frozenset[str]]:
    """Read the last table: word → files below builder/ that may keep it."""
    _, _, table = GLOSSARY.read_text("utf-8").partition("## Words that are retired")
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| `")]
    return {_CODE.findall(word)[0]: frozenset(_CODE.findall(exceptions)) for word, _, exceptions in rows}


def names(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every name that a file makes or uses, without leading underscores, and its line; first the file's own."""
    for part in path.relative_to(BUILDER).with_suffix("").parts:
        yield 1, part.lstrip("_")
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield node.lineno, name.lstrip("_")
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name.lstrip("_")
            case ast.alias(name=name, asname=alias):
                for part in (*name.split("."), alias or ""):
                    yield node.lineno, part.lstrip("_")


def test_no_retired_word_is_a_name() -> None:
    words = retired()
    found = []
    for path in sorted(BUILDER.rglob("*.py")):
        relative = path.relative_to(BUILDER).as_posix()
        found += [
            f"builder/{relative}:{line} {name}"
            for line, name in names(path)
            if name in words and relative not in words[name]
        ]
    assert not found, "docs/glossary.md says another word:\n" + "\n".join(found)


def test_the_table_is_read() -> None:
    words = retired()
    assert len(words) > 20
    assert words["Machine"] == {"dockerfile/words.py"}


def test_a_retired_word_is_seen_wherever_it_is_a_name() -> None:
    found = {name for _, name in names(BUILDER / "dockerfile" / "words.py")}
    assert {"dockerfile", "words", "Machine"} <= found
