"""`Instruction`s → the tokens of the grammar, with their true places in the file.

The line-aware half of lexing is done before (lines.py, reader.py, arguments.py); here each part of an instruction gets
the name that the grammar knows it by. A token carries the value it stands for in `node`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from lark import Token
from lark.lexer import Lexer

from builder.dockerfile.instructions import Directive, Flag, Heredoc, Instruction, Word
from builder.errors import Location

if TYPE_CHECKING:
    from lark.common import LexerConf
    from lark.lexer import LexerState
    from lark.parsers.lalr_parser_state import ParserState

Node = Directive | Flag | Heredoc | Instruction | Word

VALUE_FLAGS = frozenset({
    "platform", "mount", "network", "security", "device", "from", "chown", "chmod", "exclude", "checksum", "interval",
    "timeout", "start-period", "start-interval", "retries",
})  # fmt: skip
SWITCHES = frozenset({"link", "parents", "keep-git-dir", "unpack"})
REPEATABLE = frozenset({"mount", "device", "exclude"})
FLAG_TOKENS = {name: name.upper().replace("-", "_") for name in VALUE_FLAGS | SWITCHES} | {"from": "FROM_FLAG"}
"""Flag name → token name. `--from` is not the keyword FROM."""
FLAG_NAMES = {token: name for name, token in FLAG_TOKENS.items()}

_WITH_COMMAND = frozenset({"RUN", "CMD", "ENTRYPOINT", "SHELL"})
_WITH_TEXT = frozenset({"USER", "WORKDIR", "STOPSIGNAL", "MAINTAINER"})
_WITHOUT_FLAGS = frozenset({"ARG", "STOPSIGNAL"})


class NodeToken(Token):
    """A token that carries the value it was made from."""

    __slots__ = ("location", "node")
    node: Node
    location: Location

    @classmethod
    def of(cls, kind: str, text: str, node: Node, location: Location) -> NodeToken:
        """Make a token; a plain constructor call takes twice as long."""
        token = str.__new__(cls, text)
        token.type = kind
        token.value = text
        token.node = node
        token.location = location
        token.start_pos = token.end_pos = None
        _, token.line, token.column, token.end_line, token.end_column = location
        return token


class InstructionLexer(Lexer):
    """Hands the tokens of an iterator to Lark; after an error the parser goes on where the iterator stands."""

    __future_interface__ = 2

    def __init__(self, conf: LexerConf) -> None:
        """Take Lark's configuration, of which nothing is needed."""

    def lex(self, lexer_state: LexerState, parser_state: ParserState[object]) -> Iterator[Token]:
        tokens: Iterator[Token] = lexer_state.text  # type: ignore[assignment]  # Lark passes custom input through here
        return tokens


def tokens_of_file(directives: Iterable[Directive], instructions: Iterable[Instruction]) -> Iterator[NodeToken]:
    """Yield the tokens of a whole file."""
    for directive in directives:
        yield NodeToken.of("_DIRECTIVE", directive.name, directive, directive.location)
    for instruction in instructions:
        yield from tokens_of(instruction)


def tokens_of(instruction: Instruction) -> Iterator[NodeToken]:
    """Yield the tokens of one instruction, `_END` included."""
    keyword = instruction.keyword
    yield NodeToken.of(keyword, instruction.written_keyword, instruction, instruction.location)
    if instruction.flags:
        ignored = keyword in _WITHOUT_FLAGS or (keyword == "HEALTHCHECK" and _is_none(instruction))
        for flag in instruction.flags:
            kind = "IGNORED_FLAG" if ignored else FLAG_TOKENS.get(flag.name, "UNKNOWN_FLAG")
            yield NodeToken.of(kind, flag.text, flag, flag.location)
    yield from _tokens_of_arguments(keyword, instruction)
    location = instruction.location
    end = Location(location.file, location.end_line, location.end_column, location.end_line, location.end_column)
    yield NodeToken.of("_END", "", instruction, end)


def _is_none(instruction: Instruction) -> bool:
    return bool(instruction.arguments) and instruction.arguments[0].text.upper() == "NONE"


def _tokens_of_arguments(keyword: str, instruction: Instruction) -> Iterator[NodeToken]:
    words = instruction.arguments
    if keyword == "HEALTHCHECK":
        if words:
            kind = {"NONE": "NONE", "CMD": "HEALTH_CMD"}.get(words[0].text.upper(), "WORD")
            yield NodeToken.of(kind, words[0].text, words[0], words[0].location)
        yield from _command(instruction, words[1:])
    elif keyword == "ONBUILD":
        if words:
            yield NodeToken.of("TRIGGER", words[0].text, words[0], words[0].location)
        yield from _heredocs(instruction)
    elif instruction.json or keyword in _WITH_COMMAND:
        yield from _command(instruction, words)
        yield from _heredocs(instruction)
    elif keyword in _WITH_TEXT:
        for word in words:
            yield NodeToken.of("TEXT", word.text, word, word.location)
    elif keyword in ("ENV", "LABEL"):
        yield from _pairs(instruction)
    elif keyword == "ARG":
        yield from _definitions(words)
    elif instruction.heredocs:
        yield from _paths(instruction)
    else:
        for number, word in enumerate(words):
            is_as = number == 1 and keyword == "FROM" and word.text.upper() == "AS"
            yield NodeToken.of("AS" if is_as else "WORD", word.text, word, word.location)


def _command(instruction: Instruction, words: tuple[Word, ...]) -> Iterator[NodeToken]:
    if not instruction.json:
        for word in words:
            yield NodeToken.of("TEXT", word.text, word, word.location)
        return
    location = words[0].location if words else instruction.location
    yield NodeToken.of("OPEN", "[", instruction, location)
    for word in words:
        yield NodeToken.of("STRING", word.text, word, word.location)
    yield NodeToken.of("_CLOSE", "]", instruction, words[-1].location if words else location)


def _heredocs(instruction: Instruction) -> Iterator[NodeToken]:
    for heredoc in instruction.heredocs:
        yield NodeToken.of("HEREDOC", heredoc.name, heredoc, heredoc.location)


def _pairs(instruction: Instruction) -> Iterator[NodeToken]:
    words = instruction.arguments
    kind = "LEGACY_NAME" if instruction.legacy else "NAME"
    for name, value in zip(words[::2], words[1::2], strict=True):
        yield NodeToken.of(kind, name.text, name, name.location)
        yield NodeToken.of("VALUE", value.text, value, value.location)


def _definitions(words: tuple[Word, ...]) -> Iterator[NodeToken]:
    for word in words:
        name, equal, value = word.text.partition("=")
        head, tail = split_location(word.location, len(name), len(name) + 1)
        yield NodeToken.of("NAME", name, Word(name, head), head)
        if equal:
            yield NodeToken.of("VALUE", value, Word(value, tail), tail)


def split_location(location: Location, end: int, start: int) -> tuple[Location, Location]:
    """Return the places of a word's first `end` characters and of what begins at `start`; the whole across lines."""
    file, line, column, end_line, end_column = location
    if line != end_line or column + start > end_column:
        return location, location
    return Location(file, line, column, line, column + end), Location(file, line, column + start, line, end_column)


def _paths(instruction: Instruction) -> Iterator[NodeToken]:
    """The words of COPY or ADD with heredocs: what a marker covers (`<< NAME`, `<<"A B"`) is one token."""
    markers = list(instruction.heredocs)
    covered: Heredoc | None = None
    for word in instruction.arguments:
        if covered and word.location[1:3] < covered.location[3:5]:
            continue
        if markers and word.location[1:3] == markers[0].location[1:3]:
            covered = markers.pop(0)
            yield NodeToken.of("HEREDOC", covered.name, covered, covered.location)
        else:
            yield NodeToken.of("WORD", word.text, word, word.location)
