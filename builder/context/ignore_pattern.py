"""One ignore pattern → what it matches: a literal path, a literal name, or a linear-time regular expression.

The language is that of moby/patternmatcher: filepath.Match for a name, and `**` for any number of directories.

    a/b       exactly that path                **/b      b in any directory
    *.c       one name                         a/**      everything below a
    **c       any path that ends in c          a**b      a, any directories, b

Python's `re` backtracks, so patterns are compiled to expressions that can't: each star but the last of a name is an
atomic group that takes the first fit (an earlier fit is never worse), and so is each run of names between two `**`.
Patterns where that argument fails (a class that matches a slash; `**` that follows a name's characters) are run as an
NFA with one state a token instead; so are patterns longer than any path. Deviation: `| { } ^` and a backslash before a
letter are literal here; upstream hands them to Go's regexp by accident.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from builder.context.glob import Class, PatternError, Token, Wild, parse_class
from builder.errors import Location, SourceError

if TYPE_CHECKING:
    from builder.context.ignore import Rule

_LONGEST_EXPRESSION = 4096
"""Tokens. Compiling takes 15 µs for each; no path is longer than PATH_MAX (limits.h)."""


class Deep(Enum):
    """The two meanings of `**`."""

    DIRECTORIES = "**/"
    """Nothing, or anything up to and with a slash."""
    REST = "**"
    """Anything at all."""


PathToken = Token | Deep


class Literal(NamedTuple):
    """Matches one path."""

    path: str

    def matches(self, path: str) -> bool:
        return path == self.path


class Name(NamedTuple):
    """Matches a name in any directory: `**/name`."""

    name: str

    def matches(self, path: str) -> bool:
        return path.rpartition("/")[2] == self.name


class Expression(NamedTuple):
    """Matches the paths that the regular expression `source` matches in full."""

    source: str

    def matches(self, path: str) -> bool:
        return re.compile(self.source, re.DOTALL).match(path) is not None  # `re` keeps what it compiled last


class Automaton(NamedTuple):
    """Matches what `tokens` match, by simulation."""

    tokens: tuple[PathToken, ...]

    def matches(self, path: str) -> bool:
        return run_automaton(self.tokens, path)


Matcher = Literal | Name | Expression | Automaton


class AnyOf:
    """Several matchers as one: a set of paths, a set of names and one expression instead of a test for each."""

    def __init__(self, matchers: Iterable[Matcher]) -> None:
        self.matchers = tuple(matchers)
        self._paths = frozenset(matcher.path for matcher in self.matchers if isinstance(matcher, Literal))
        self._names = frozenset(matcher.name for matcher in self.matchers if isinstance(matcher, Name))
        self._automata = tuple(matcher for matcher in self.matchers if isinstance(matcher, Automaton))
        sources = [matcher.source for matcher in self.matchers if isinstance(matcher, Expression)]
        self._expression = re.compile("|".join(f"(?:{source})" for source in sources), re.DOTALL) if sources else None

    def matches(self, path: str) -> bool:
        # Sets first: a file of thousands of plain lines then costs two look-ups a path, however long it is.
        if path in self._paths or (self._names and path.rpartition("/")[2] in self._names):
            return True
        if self._expression is not None and self._expression.match(path):
            return True
        return bool(self._automata) and any(automaton.matches(path) for automaton in self._automata)


def compile_rule(rule: Rule) -> Matcher:
    """Return what matches the paths that a rule names. Raises SourceError with the rule's file and line."""
    try:
        return compile_pattern(rule.pattern)
    except PatternError as error:
        raise SourceError(
            f"{rule.file}: syntax error in pattern {rule.text!r}: {error}",
            Location(rule.file, rule.line),
            hint="A backslash makes the next character an ordinary one.",
        ) from error


def compile_pattern(pattern: str) -> Matcher:
    """Return the matcher of a cleaned pattern. Raises PatternError."""
    tokens = tuple(parse_path_pattern(pattern))
    if all(isinstance(token, str) for token in tokens):
        return Literal("".join(map(str, tokens)))
    rest = tokens[1:]
    if tokens[0] is Deep.DIRECTORIES and rest and "/" not in rest and all(isinstance(token, str) for token in rest):
        return Name("".join(map(str, rest)))
    if len(tokens) > _LONGEST_EXPRESSION or not _is_tame(tokens):
        return Automaton(tokens)
    return Expression(_expression(tokens))


def parse_path_pattern(pattern: str) -> Iterator[PathToken]:
    """Yield the tokens of a whole pattern. Raises PatternError."""
    if pattern.startswith("**") and not any(mark in pattern[2:] for mark in "*?[]\\") and pattern[2:3] not in ("", "/"):
        # Upstream compares `**` + plain text by suffix, so that here alone it reaches into a name.
        yield Deep.REST
        yield from pattern[2:]
        return
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "[":
            token, position = parse_class(pattern, position)
            # To filepath.Match such a range is empty; but upstream makes a regexp of the pattern, and Go refuses one.
            if any(low > high for low, high in token.ranges):
                raise PatternError("a range in a character class [...] runs backwards")
            yield token
            continue
        position += 1
        if character == "*" and pattern.startswith("*", position):
            # As upstream reads them: `**` takes a slash that follows it, and at the end it takes the rest.
            position += 1 + pattern.startswith("/", position + 1)
            yield Deep.DIRECTORIES if position < len(pattern) else Deep.REST
        elif character == "*":
            yield Wild.STAR
        elif character == "?":
            yield Wild.ANY
        elif character == "\\":
            if position == len(pattern):
                raise PatternError("it ends in a backslash that escapes nothing")
            yield pattern[position]
            position += 1
        else:
            yield character


def _is_tame(tokens: Sequence[PathToken]) -> bool:
    """Say whether the first fit is the best fit: no class takes a slash, and `**` stands between whole names."""
    before: PathToken = "/"
    for token in tokens:
        if isinstance(token, Class) and token.takes("/"):
            return False
        if token is Deep.DIRECTORIES and before not in ("/", Deep.DIRECTORIES):
            return False
        before = token
    return True


def _expression(tokens: Sequence[PathToken]) -> str:
    groups: list[list[list[Token]]] = [[[]]]  # runs between two `**` → names → tokens
    open_ended = False
    for position, token in enumerate(tokens):
        if token is Deep.DIRECTORIES:
            if position == 0 or tokens[position - 1] is not Deep.DIRECTORIES:
                groups.append([[]])
        elif token is Deep.REST:
            if position == 0 and len(tokens) > 1:  # `**` and plain text: see parse_path_pattern
                return "(?:.*)" + "".join(_single(t) for t in tokens[1:] if not isinstance(t, Deep)) + r"\Z"
            open_ended = True
        elif token == "/":
            groups[-1].append([])
        else:
            groups[-1][-1].append(token)
    # A run that a slash ends has an empty name after its last slash: `a/` + `**/` + `b`.
    parts = []
    for number, names in enumerate(groups):
        last = number == len(groups) - 1
        text = "/".join(
            _name(name, ends=not (open_ended and last and at == len(names) - 1)) for at, name in enumerate(names)
        )
        # The first run has one place, the beginning. Each later one is looked for from where the one before ended, at
        # every slash; the first place found leaves the most to those that follow, so it is never given up again. The
        # last run must reach the end, and goes on looking until it does.
        if number:
            text = f"(?:[^/]*/)*?{text}"
        if not last:
            text = f"(?>{text})" if number else text
        parts.append(text)
    return "".join(parts) + ("" if open_ended else r"\Z")


def _name(tokens: Sequence[Token], *, ends: bool) -> str:
    """Return the expression of one name; with `ends` it must reach the next slash or the end of the path."""
    pieces: list[list[str]] = [[]]
    for token in tokens:
        if token is Wild.STAR:
            if len(pieces) == 1 or pieces[-1]:
                pieces.append([])
        else:
            pieces[-1].append(_single(token))
    first, *others = ("".join(piece) for piece in pieces)
    if not others:
        return first
    fits = "".join(f"(?>[^/]*?{piece})" for piece in (others[:-1] if ends else others) if piece)
    if not ends:
        return first + fits
    # What follows the last star has to end the name: it is looked for from behind, where alone it can.
    return first + fits + (rf"(?>[^/]*{others[-1]}(?=/|\Z))" if others[-1] else "[^/]*+")


def _single(token: Token) -> str:
    if isinstance(token, Class):
        ranges = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in token.ranges)
        return f"[{'^' * token.negated}{ranges}]"
    return "[^/]" if token is Wild.ANY else re.escape(str(token))


def run_automaton(tokens: tuple[PathToken, ...], path: str) -> bool:
    """Say whether `tokens` match the whole of `path`: one pass over the path, with the set of states it may be in."""
    states: set[int] = set()
    _enter(tokens, 0, states)
    for character in path:
        after: set[int] = set()
        staying: set[int] = set()
        for state in states:
            token = tokens[state] if state < len(tokens) else None
            if token is Deep.DIRECTORIES:
                # Once inside, only a slash leads out: the state stays without the ways that entering it opens.
                staying.add(state)
                if character == "/":
                    _enter(tokens, state + 1, after)
            elif token is Deep.REST or (token is Wild.STAR and character != "/"):
                _enter(tokens, state, after)
            elif token is not None and _takes(token, character):
                _enter(tokens, state + 1, after)
        states = after | staying
        if not states:
            return False
    return len(tokens) in states


def _enter(tokens: tuple[PathToken, ...], state: int, states: set[int]) -> None:
    """Add `state` to `states`, and those behind it: what may match nothing is passed at once."""
    while state not in states:
        states.add(state)
        if state == len(tokens) or not (isinstance(tokens[state], Deep) or tokens[state] is Wild.STAR):
            return
        state += 1


def _takes(token: PathToken, character: str) -> bool:
    if isinstance(token, Class):
        return token.takes(character)
    return character != "/" if token is Wild.ANY else token == character
