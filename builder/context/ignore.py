"""Ignore files (.dockerignore) and --exclude: which paths a build doesn't see, and which line said so.

The text is read as moby/patternmatcher's ignorefile does: a BOM goes, `#` in column 0 begins a comment, lines are
trimmed and cleaned, one leading slash goes, `!` makes an exception. Patterns name paths from the root; there is no
matching by base name.

What is decided is BuildKit's order of things (MatchesUsingParentResults), walked from the root down. The rules are read
in order; a rule that matched a parent directory holds for all below it; a rule that could change nothing is not tried:
an exclusion where the path is excluded already, an exception where it isn't. So the last rule that *had a say* wins:

    *            a/b is seen                 a/b          a/b is hidden: when `!a` was read for a,
    !a                                       !a           nothing hid a, and a/b is not `a`

Rules of one sign that follow each other form a group, which is matched as a whole. The groups that matched a directory
or one above it are its `State`, handed to `enter` for what the directory holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from builder.context.glob import match_glob, parse_glob
from builder.context.ignore_pattern import AnyOf, compile_rule
from builder.context.paths import clean
from builder.errors import Location, SourceError

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


class State(NamedTuple):
    """What is decided of a path, and what its directory hands on to everything in it."""

    excluded: bool
    groups: frozenset[int] = frozenset()
    """Numbers of the groups that matched the path or a directory above it; there may be as many as lines."""


class _Group(NamedTuple):
    """Rules of one sign in sequence."""

    number: int
    excludes: bool
    rules: tuple[Rule, ...]
    pattern: AnyOf

    def first_match(self, path: str) -> Rule:
        """Return the rule that matched `path`. One at a time: only `decide` asks."""
        return next(rule for rule, matcher in zip(self.rules, self.pattern.matchers) if matcher.matches(path))


class IgnorePatterns:
    """Rules in order. `ROOT` is the state of the root, for `enter`."""

    ROOT: Final = State(excluded=False)

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Compile the rules. Raises SourceError naming file and line of a pattern that is none."""
        self.rules = tuple(rules)
        self._groups = _group(self.rules) if self.rules else ()

    def __bool__(self) -> bool:
        return bool(self.rules)

    @property
    def has_exceptions(self) -> bool:
        return any(rule.is_exception for rule in self.rules)

    def enter(self, path: str, above: State) -> State:
        """Return the state of `path`, given that of its directory."""
        inherited = above.groups
        excluded, own = False, []
        for group in self._groups:
            # A group that could change nothing is not tried, and so has not matched for what lies below either.
            if group.number in inherited or (group.excludes is not excluded and group.pattern.matches(path)):
                own.append(group.number)
                excluded = group.excludes
        if len(own) == len(inherited):
            return above  # groups are never lost on the way down, so these are the same; most paths end here
        return State(excluded, frozenset(own))

    def state_of(self, path: str) -> State:
        """Do what `enter` does for a path of which only the name is known."""
        state = self.ROOT
        for ancestor in way_to(path):
            state = self.enter(ancestor, state)
        return state

    def decide(self, path: str) -> Decision:
        """Return whether `path` is excluded, and the rule that decided."""
        winners: dict[int, Rule] = {}  # group's number → the rule of it that matched
        state = self.ROOT
        for ancestor in way_to(path):
            above, state = state, self.enter(ancestor, state)
            for number in state.groups - above.groups:
                winners[number] = self._groups[number].first_match(ancestor)
        # Of the groups that matched, the last had the last word: `enter` goes through them in order.
        return Decision(state.excluded, winners[max(winners)] if winners else None)

    def may_reinclude_below(self, path: str, state: State) -> bool:
        """Say whether something in the excluded directory `path` could be seen: whether it must be looked into."""
        # Only what comes after the last group that excludes it has a say; of groups before, that one has the last word.
        excluding = max((number for number in state.groups if self._groups[number].excludes), default=-1)
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
    lines = enumerate(text.removeprefix("\ufeff").split("\n"), 1)
    return IgnorePatterns(rule for number, line in lines if (rule := parse_line(line, file, number)) is not None)


def parse_line(line: str, file: str, number: int) -> Rule | None:
    """Return the rule in a line of an ignore file; None for a comment or what means nothing. Raises SourceError."""
    return None if line.startswith("#") else _rule(line.strip(_BLANKS), file, number)


def exclude_patterns(patterns: Sequence[str], what: str = "--exclude") -> IgnorePatterns:
    """Return the rules of --exclude flags. Raises SourceError."""
    numbered = enumerate((pattern.strip(_BLANKS) for pattern in patterns), 1)
    return IgnorePatterns(rule for number, text in numbered if (rule := _rule(text, what, number)) is not None)


def _rule(text: str, file: str, line: int) -> Rule | None:
    if not text:
        return None
    is_exception = text.startswith("!")
    pattern = text[1:].strip(_BLANKS) if is_exception else text
    if not pattern:
        raise SourceError(
            f'{file}: illegal exclusion pattern: "!"',
            Location(file, line),
            hint="Write what is to be kept after the exclamation mark.",
        )
    pattern = clean(pattern).removeprefix("/")
    if pattern in ("", "."):
        return None  # the root, which is no path that could be hidden
    return Rule(file=file, line=line, text=text, pattern=pattern, is_exception=is_exception)


def _group(rules: Iterable[Rule]) -> tuple[_Group, ...]:
    groups: list[_Group] = []
    for is_exception, run in groupby(rules, key=lambda rule: rule.is_exception):
        own = tuple(run)
        groups.append(_Group(len(groups), not is_exception, own, AnyOf(map(compile_rule, own))))
    return tuple(groups)


def way_to(path: str) -> Iterator[str]:
    """Yield the directories above `path` from the top down, and `path`; nothing for the root."""
    position = path.find("/")
    while position >= 0:
        yield path[:position]
        position = path.find("/", position + 1)
    if path:
        yield path


def _could_match_below(pattern: str, directory: str) -> bool:
    """Say whether `pattern` may match something in `directory`; when in doubt, yes."""
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
