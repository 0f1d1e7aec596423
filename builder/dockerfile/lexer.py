"""`Instruction`s → the tokens of the grammar, with their true places in the file.

The line-aware half of lexing is done before (lines.py, reader.py, arguments.py); here each part of an instruction gets
the name that the grammar knows it by. A token carries the value it stands for in `node`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from lark import Token
from lark.lexer import Lexer

from builder.dockerfile.instructions import Directive, Flag, Heredoc, Instruction, Word, make_word
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

_PAIRS = frozenset({"ENV", "LABEL"})
_WITH_TEXT = frozenset({"RUN", "CMD", "ENTRYPOINT", "SHELL", "USER", "WORKDIR", "STOPSIGNAL", "MAINTAINER"})
_WITHOUT_FLAGS = frozenset({"ARG", "STOPSIGNAL"})


class NodeToken(Token):
    """A token that carries the value it was made from. The end of an instruction has the place of all of it."""

    __slots__ = ("location", "node")
    node: Node
    location: Location
    # Lark's own places: it copies them when the tokens end, and nobody reads them.
    start_pos = end_pos = line = column = end_line = end_column = None

    @classmethod
    def of(cls, kind: str, text: str, node: Node, location: Location) -> NodeToken:
        """Make a token; a plain constructor call takes twice as long."""
        token = str.__new__(cls, text)
        token.type = kind
        token.value = text
        token.node = node
        token.location = location
        return token


class TokenStream:
    """The tokens of a file, one instruction after the other; remembers which, so that a parser can resume after it."""

    def __init__(self, directives: Iterable[Directive], instructions: Iterable[Instruction]) -> None:
        self.instruction: Instruction | None = None
        """The instruction that the last token came from."""
        self._skipping = self._repeating = False
        self._tokens = self._run(directives, instructions)

    def __iter__(self) -> Iterator[NodeToken]:
        """Return the one iterator: who asks twice goes on where the first one stopped."""
        return self._tokens

    def skip(self) -> None:
        """Pass over what is left of the current instruction."""
        self._skipping = True

    def repeat(self) -> None:
        """Go back to the beginning of the current instruction."""
        self._skipping = self._repeating = True

    def _run(self, directives: Iterable[Directive], instructions: Iterable[Instruction]) -> Iterator[NodeToken]:
        for directive in directives:
            yield NodeToken.of("_DIRECTIVE", directive.name, directive, directive.location)
        for instruction in instructions:
            self.instruction = instruction
            self._repeating = True
            while self._repeating:
                self._skipping = self._repeating = False
                for token in tokens_of(instruction):
                    yield token
                    if self._skipping:
                        break


class InstructionLexer(Lexer):
    """Hands the tokens of a TokenStream to Lark; after an error the parser goes on where the stream stands."""

    __future_interface__ = 2

    def __init__(self, conf: LexerConf) -> None:
        """Take Lark's configuration, of which nothing is needed."""

    def lex(self, lexer_state: LexerState, parser_state: ParserState[object]) -> Iterator[Token]:
        stream: TokenStream = lexer_state.text  # type: ignore[assignment]  # Lark passes custom input through here
        return iter(stream)


def tokens_of(instruction: Instruction) -> list[NodeToken]:
    """Return the tokens of one instruction, `END` included."""
    keyword = instruction.keyword
    make = NodeToken.of
    tokens = [make(keyword, instruction.written_keyword, instruction, instruction.keyword_location)]
    if instruction.flags:
        ignored = keyword in _WITHOUT_FLAGS or (keyword == "HEALTHCHECK" and _is_none(instruction))
        for flag in instruction.flags:
            kind = "IGNORED_FLAG" if ignored else FLAG_TOKENS.get(flag.name, "UNKNOWN_FLAG")
            tokens.append(make(kind, flag.text, flag, flag.location))
    tokens += _tokens_of_arguments(keyword, instruction)
    tokens.append(make("END", "", instruction, instruction.location))
    return tokens


def _is_none(instruction: Instruction) -> bool:
    return bool(instruction.arguments) and instruction.arguments[0].text.upper() == "NONE"


def _tokens_of_arguments(keyword: str, instruction: Instruction) -> Iterable[NodeToken]:
    words = instruction.arguments
    if keyword in _PAIRS:
        return _pairs(instruction)
    if keyword == "ARG":
        return _definitions(words)
    if keyword == "HEALTHCHECK":
        return _healthcheck(instruction)
    if keyword == "ONBUILD":
        return [*_named("TRIGGER", words[:1]), *_heredocs(instruction)]
    if instruction.json:
        return _array(instruction, words)
    if keyword in _WITH_TEXT:
        return [*_named("TEXT", words), *_heredocs(instruction)] if instruction.heredocs else _named("TEXT", words)
    if instruction.heredocs:
        return _paths(instruction)
    tokens = _named("WORD", words)
    if keyword == "FROM" and len(words) > 1 and words[1].text.upper() == "AS":
        tokens[1].type = "AS"
    return tokens


def _named(kind: str, words: Iterable[Word]) -> list[NodeToken]:
    make = NodeToken.of
    return [make(kind, word.text, word, word.location) for word in words]


def _healthcheck(instruction: Instruction) -> Iterator[NodeToken]:
    for word in instruction.arguments[:1]:
        kind = {"NONE": "NONE", "CMD": "HEALTH_CMD"}.get(word.text.upper(), "WORD")
        yield NodeToken.of(kind, word.text, word, word.location)
    rest = instruction.arguments[1:]
    yield from _array(instruction, rest) if instruction.json else _named("TEXT", rest)


def _array(instruction: Instruction, words: tuple[Word, ...]) -> Iterator[NodeToken]:
    location = words[0].location if words else instruction.location
    yield NodeToken.of("OPEN", "[", instruction, location)
    yield from _named("STRING", words)
    yield NodeToken.of("CLOSE", "]", instruction, words[-1].location if words else location)


def _heredocs(instruction: Instruction) -> list[NodeToken]:
    return [NodeToken.of("HEREDOC", heredoc.name, heredoc, heredoc.location) for heredoc in instruction.heredocs]


def _pairs(instruction: Instruction) -> list[NodeToken]:
    tokens = _named("VALUE", instruction.arguments)
    kind = "LEGACY_NAME" if instruction.legacy else "NAME"
    for token in tokens[::2]:
        token.type = kind
    return tokens


def _definitions(words: tuple[Word, ...]) -> list[NodeToken]:
    tokens = []
    for word in words:
        name, equal, value = word.text.partition("=")
        if not equal:
            tokens.append(NodeToken.of("NAME", name, word, word.location))
            continue
        head, tail = split_location(word.location, len(name), len(name) + 1)
        tokens.append(NodeToken.of("NAME", name, make_word(name, head), head))
        tokens.append(NodeToken.of("VALUE", value, make_word(value, tail), tail))
    return tokens


def split_location(location: Location, end: int, start: int) -> tuple[Location, Location]:
    """Return the places of a word's first `end` characters and of what begins at `start`; the whole across lines."""
    file, line, column, end_line, end_column = location
    if line != end_line or column + start > end_column:
        return location, location
    return Location(file, line, column, line, column + end), Location(file, line, column + start, line, end_column)


def _paths(instruction: Instruction) -> Iterator[NodeToken]:
    """The words of COPY or ADD with heredocs: what a marker covers (`<< NAME`, `<<"A B"`) is one token."""
    markers = iter(instruction.heredocs)
    following = next(markers, None)
    covered: Heredoc | None = None
    for word in instruction.arguments:
        if covered and word.location[1:3] < covered.location[3:5]:
            continue
        if following and word.location[1:3] == following.location[1:3]:
            covered, following = following, next(markers, None)
            yield NodeToken.of("HEREDOC", covered.name, covered, covered.location)
        else:
            yield NodeToken.of("WORD", word.text, word, word.location)
