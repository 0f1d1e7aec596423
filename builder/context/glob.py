"""File name patterns as Go's filepath.Match reads them: `*`, `?`, `[a-z]`, `[^a]`, `\\` for one name.

COPY's wildcards are matched name by name, so a pattern here holds no slash; `**` is the business of `ignore.py`.
Matching takes time proportional to pattern × name at worst: only the last star is ever tried again, since an earlier
one can't do better (the usual argument for wildcards without alternation).
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

WILDCARDS: Final = frozenset("*?[")


class Wild(Enum):
    """What stands for more than itself."""

    STAR = "*"
    ANY = "?"


class Class(NamedTuple):
    """`[a-z]`: inclusive ranges of characters; a single one is a range of itself."""

    negated: bool
    ranges: tuple[tuple[str, str], ...]

    def takes(self, character: str) -> bool:
        return any(low <= character <= high for low, high in self.ranges) is not self.negated


Token = str | Wild | Class
"""A str is one literal character."""


class PatternError(ValueError):
    """A pattern that filepath.Match calls malformed; the text says why."""


def has_wildcards(path: str) -> bool:
    """Say whether COPY takes `path` for a pattern. A backslash alone makes none (fsutil, containsWildcards)."""
    characters = iter(path)
    for character in characters:
        if character == "\\":
            next(characters, "")
        elif character in WILDCARDS:
            return True
    return False


def parse_glob(pattern: str) -> tuple[Token, ...]:
    """Return the tokens of a pattern; runs of stars are one. Raises PatternError."""
    tokens: list[Token] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "[":
            token, position = parse_class(pattern, position)
            tokens.append(token)
            continue
        position += 1
        if character == "*":
            if not tokens or tokens[-1] is not Wild.STAR:
                tokens.append(Wild.STAR)
        elif character == "?":
            tokens.append(Wild.ANY)
        elif character == "\\":
            if position == len(pattern):
                raise PatternError("it ends in a backslash that escapes nothing")
            tokens.append(pattern[position])
            position += 1
        else:
            tokens.append(character)
    return tuple(tokens)


def parse_class(pattern: str, start: int) -> tuple[Class, int]:
    """Return the class that begins at `start` (its bracket) and the position after it. Raises PatternError."""
    position = start + 1
    negated = pattern.startswith("^", position)  # Go knows no [!a], which is a class of two characters
    position += negated
    ranges: list[tuple[str, str]] = []
    while not (ranges and pattern.startswith("]", position)):
        low, position = _class_character(pattern, position)
        high = low
        if pattern.startswith("-", position):
            high, position = _class_character(pattern, position + 1)
        ranges.append((low, high))
    return Class(negated, tuple(ranges)), position + 1


def match_glob(tokens: tuple[Token, ...], name: str) -> bool:
    """Say whether the whole of `name` matches."""
    at, token = 0, 0
    retry_at, retry_token = -1, -1  # where the last star began, and the token after it
    while at < len(name) or token < len(tokens):
        if token < len(tokens):
            current = tokens[token]
            if current is Wild.STAR:
                retry_at, retry_token = at, token + 1
                token += 1
                continue
            if at < len(name) and _matches(current, name[at]):
                at += 1
                token += 1
                continue
        if retry_at < 0 or retry_at >= len(name):
            return False
        retry_at += 1
        at, token = retry_at, retry_token
    return True


def _matches(token: Token, character: str) -> bool:
    if token is Wild.ANY:
        return True
    return token.takes(character) if isinstance(token, Class) else token == character


def _class_character(pattern: str, position: int) -> tuple[str, int]:
    """Read one end of a range; a bracket or hyphen must be escaped. Something has to follow: at least the bracket."""
    character = pattern[position : position + 1]
    # As Go has it (path/filepath/match.go, getEsc).
    if character in ("", "-", "]"):
        raise PatternError("a character class [...] is empty, unfinished or has a bare hyphen")
    if character == "\\":
        position += 1
        character = pattern[position : position + 1]
    if position + 1 >= len(pattern):
        raise PatternError("a character class [...] is not closed")
    return character, position + 1
