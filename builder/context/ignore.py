"""Ignore files (.dockerignore) and --exclude: which paths a build doesn't see, and which line said so.

The text is read as moby/patternmatcher's ignorefile does: a BOM goes, `#` in column 0 begins a comment, lines are
trimmed and cleaned, one leading slash goes, `!` makes an exception. Patterns name paths from the root; there is no
matching by base name.

What is decided is BuildKit's order of things (MatchesUsingParentResults), walked from the root down. The rules are read
in order; a rule that matched a parent directory holds for all below it; a rule that could change nothing is not tried:
an exclusion where the path is excluded already, an exception where it isn't. So the last rule that *had a say* wins:

    *            a/b is seen                 a/b          a/b is hidden: when `!a` was read for a,
    !a                                       !a           nothing hid a, and a/b is not `a`

Rules of one sign that follow each other form a group; which groups matched a directory is a small number, handed to
`enter` for what it holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, assert_never

from builder.context.glob import PatternError
from builder.context.paths import clean
from builder.errors import Location, SourceError

if TYPE_CHECKING:
    from re import Pattern

    from builder.context.ignore_pattern import Automaton, Matcher

_BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""What Go's strings.TrimSpace trims."""


class Rule(NamedTuple):
    """One line. `pattern` is cleaned and without its `!`."""

    file: str
    line: int
    text: str
    pattern: str
    is_exception: bool

    def __str__(self) -> str:
        return f"{self.file} line {self.line}: {self.text}"


class Decision(NamedTuple):
    """Whether a path is hidden, and by which rule it is hidden or seen; None when no rule had a say."""

    excluded: bool
    rule: Rule | None


class _Group:
    """Rules of one sign in sequence: an exact path, a name anywhere, an expression or automata."""

    def __init__(self, excludes: bool, number: int) -> None:
        self.excludes = excludes
        self.number = number
        self.rules: list[Rule] = []
        self.matchers: list[Matcher] = []
        self.paths: frozenset[str] = frozenset()
        self.names: frozenset[str] = frozenset()
        self.expression: Pattern[str] | None = None
        self.automata: tuple[Automaton, ...] = ()

    def matches(self, path: str) -> bool:
        if path in self.paths or (self.names and path.rpartition("/")[2] in self.names):
            return True
        if self.expression is not None and self.expression.match(path):
            return True
        return bool(self.automata) and any(_automaton_matches(automaton, path) for automaton in self.automata)


class IgnorePatterns:
    """Rules in order. `ROOT` is the state of the root, for `enter`."""

    ROOT = 0

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Compile the rules. Raises SourceError naming file and line of a pattern that is none."""
        self.rules = tuple(rules)
        self._groups: list[_Group] = []
        for rule in self.rules:
            if not self._groups or self._groups[-1].excludes is rule.is_exception:
                self._groups.append(_Group(not rule.is_exception, len(self._groups)))
            self._groups[-1].rules.append(rule)
            self._groups[-1].matchers.append(_compile(rule))
        for group in self._groups:
            _join(group)
        # A state is the number of a set of groups: there may be as many groups as lines, so bits would be too long.
        self._sets: dict[int, frozenset[int]] = {self.ROOT: frozenset()}
        self._states: dict[frozenset[int], int] = {frozenset(): self.ROOT}
        self._next_state = count(self.ROOT + 1)

    def __bool__(self) -> bool:
        return bool(self.rules)

    @property
    def has_exceptions(self) -> bool:
        return any(rule.is_exception for rule in self.rules)

    def enter(self, path: str, state: int) -> tuple[bool, int]:
        """Say whether `path` is excluded, given the state of its directory; return that and its own state."""
        above = self._sets[state]
        excluded, own = False, []
        for group in self._groups:
            if group.number in above or (group.excludes is not excluded and group.matches(path)):
                own.append(group.number)
                excluded = group.excludes
        return excluded, self._state(own) if own else self.ROOT

    def _state(self, groups: list[int]) -> int:
        """Return the number of a set; two threads may give it two, which both mean it."""
        own = frozenset(groups)
        state = self._states.get(own)
        if state is None:
            state = next(self._next_state)
            self._sets[state] = own
            self._states[own] = state
        return state

    def state_of(self, path: str) -> tuple[bool, int]:
        """Do what `enter` does for a path of which only the name is known."""
        excluded, state = False, self.ROOT
        position = 0
        while path and position >= 0:
            position = path.find("/", position + 1)
            excluded, state = self.enter(path if position < 0 else path[:position], state)
        return excluded, state

    def decide(self, path: str) -> Decision:
        """Return whether `path` is excluded, and the rule that decided."""
        parts = path.split("/") if path else []
        winners: dict[int, Rule] = {}  # group's number → the rule of it that matched
        last: Rule | None = None
        excluded, state = False, self.ROOT
        for depth in range(1, len(parts) + 1):
            ancestor = "/".join(parts[:depth])
            before, (excluded, state) = state, self.enter(ancestor, state)
            last = None
            for number in sorted(self._sets[state]):
                if number not in self._sets[before]:
                    winners[number] = _first_match(self._groups[number], ancestor)
                last = winners[number]
        return Decision(excluded, last)

    def may_reinclude_below(self, path: str, state: int) -> bool:
        """Say whether something in the excluded directory `path` could be seen: whether it must be looked into."""
        excluding = max((number for number in self._sets[state] if self._groups[number].excludes), default=-1)
        return any(
            _could_match_below(rule.pattern, path)
            for group in self._groups[excluding + 1 :]
            if not group.excludes
            for rule in group.rules
        )

    def may_match_below(self, path: str) -> bool:
        """Say whether some rule could match something in the directory `path`, which none has matched."""
        return any(_could_match_below(rule.pattern, path) for rule in self.rules)


NOTHING_IGNORED = IgnorePatterns(())


def parse_ignore(text: str, file: str) -> IgnorePatterns:
    """Return the rules of an ignore file's text; `file` names it in decisions and errors. Raises SourceError."""
    rules = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if line.startswith("#"):
            continue
        if stripped := line.strip(_BLANKS):
            rules.append(_rule(stripped, file, number))
    return IgnorePatterns(rule for rule in rules if rule.pattern not in ("", "."))


def exclude_patterns(patterns: Sequence[str], what: str = "--exclude") -> IgnorePatterns:
    """Return the rules of --exclude flags. Raises SourceError."""
    rules = [
        _rule(pattern.strip(_BLANKS), what, number) for number, pattern in enumerate(patterns, 1) if pattern.strip()
    ]
    return IgnorePatterns(rule for rule in rules if rule.pattern not in ("", "."))


def _rule(text: str, file: str, line: int) -> Rule:
    is_exception = text.startswith("!")
    pattern = text[1:].strip(_BLANKS) if is_exception else text
    if not pattern:
        raise SourceError(
            f'{file}: illegal exclusion pattern: "!"',
            Location(file, line),
            hint="Write what is to be kept after the exclamation mark.",
        )
    pattern = clean(pattern)
    pattern = pattern[1:] if pattern.startswith("/") else pattern
    return Rule(file=file, line=line, text=text, pattern=pattern, is_exception=is_exception)


def _compile(rule: Rule) -> Matcher:
    from builder.context.ignore_pattern import compile_pattern  # only when there are rules: the cached path is short

    try:
        return compile_pattern(rule.pattern)
    except PatternError as error:
        raise SourceError(
            f"{rule.file}: syntax error in pattern {rule.text!r}: {error}",
            Location(rule.file, rule.line),
            hint="A backslash makes the next character an ordinary one.",
        ) from error


def _join(group: _Group) -> None:
    """Make one set, one set and one expression of a group's matchers: three tests instead of one for each rule."""
    from builder.context.ignore_pattern import Automaton, Expression, Literal, Name

    paths, names, expressions, automata = [], [], [], []
    for matcher in group.matchers:
        match matcher:
            case Literal(path):
                paths.append(path)
            case Name(name):
                names.append(name)
            case Expression(source):
                expressions.append(source)
            case Automaton():
                automata.append(matcher)
            case _:
                assert_never(matcher)
    group.paths, group.names, group.automata = frozenset(paths), frozenset(names), tuple(automata)
    if expressions:
        import re

        group.expression = re.compile("|".join(f"(?:{source})" for source in expressions), re.DOTALL)


def _first_match(group: _Group, path: str) -> Rule:
    """Return the rule of a group that has matched `path`. One at a time: only `decide` asks."""
    import re

    from builder.context.ignore_pattern import Automaton, Expression, Literal, Name

    for rule, matcher in zip(group.rules, group.matchers):
        match matcher:
            case Literal(text):
                found = path == text
            case Name(name):
                found = path.rpartition("/")[2] == name
            case Expression(source):
                found = re.compile(source, re.DOTALL).match(path) is not None
            case Automaton():
                found = _automaton_matches(matcher, path)
            case _:
                assert_never(matcher)
        if found:
            return rule
    raise AssertionError("one of the group matched")


def _automaton_matches(automaton: Automaton, path: str) -> bool:
    from builder.context.ignore_pattern import run_automaton

    return run_automaton(automaton.tokens, path)


def _could_match_below(pattern: str, directory: str) -> bool:
    """Say whether `pattern` may match something in `directory`; when in doubt, yes."""
    from builder.context.glob import match_glob, parse_glob

    names = pattern.split("/")
    for position, name in enumerate(directory.split("/")):
        if position >= len(names):
            return False
        wanted = names[position]
        if "**" in wanted or "[" in wanted or wanted.endswith("\\"):
            return True  # any depth; a class may even take the slash, and a backslash protects it
        if not match_glob(parse_glob(wanted), name):
            return False
    return len(names) > len(directory.split("/"))
