"""The patterns of `${v#p}`, `${v%p}` and `${v/p/r}`: `*`, `?` and `\\`-escapes, no bracket classes.

In: the text between the braces, variables already replaced. Out: a Pattern that trims or replaces. `*` and `?` stop at
a newline, as in BuildKit, where they become `.*` and `.` of a regular expression. There is no regular expression here:
a pattern is a list of chunks with `*` between them, each found in one pass over the value, so hostile patterns
(`****…`, `*a*a*a…`) cost no more than friendly ones.
"""

from __future__ import annotations

from dataclasses import dataclass

_MAX_CHUNK_SEARCHES = 2_000_000
"""Most chunks looked for on behalf of one substitution: only patterns of many newlines come near it."""


class PatternError(ValueError):
    """The text is no pattern, or costs too much to apply."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Characters that match as they are, one for one; "" stands for `?`."""

    characters: tuple[str, ...]
    literal: str | None
    """The same as text when no `?` is in it."""

    def matches_at(self, value: str, position: int) -> bool:
        if self.literal is not None:
            return value.startswith(self.literal, position)
        part = value[position : position + len(self.characters)]
        return len(part) == len(self.characters) and all(
            character == wanted or (not wanted and character != "\n")
            for character, wanted in zip(part, self.characters)
        )

    def find(self, value: str, start: int, end: int) -> int:
        """Return where the chunk first matches within [start, end), or -1."""
        if self.literal is not None:
            return value.find(self.literal, start, end)
        return self._scan(value[start:end], start)

    def find_last(self, value: str, start: int, end: int) -> int:
        """Return where the chunk last matches within [start, end), or -1."""
        if self.literal is not None:
            return value.rfind(self.literal, start, end)
        backwards = _Chunk(self.characters[::-1], None)._scan(value[start:end][::-1], 0)
        return backwards if backwards < 0 else end - backwards - len(self.characters)

    def _scan(self, text: str, offset: int) -> int:
        """Shift-and (Baeza-Yates and Gonnet 1992): bit i of `state` says that i + 1 characters match up to here."""
        anything = sum(1 << index for index, wanted in enumerate(self.characters) if not wanted)
        masks: dict[str, int] = {}
        for index, wanted in enumerate(self.characters):
            if wanted:
                masks[wanted] = masks.get(wanted, anything if wanted != "\n" else 0) | 1 << index
        final = 1 << (len(self.characters) - 1)
        state = 0
        for index, character in enumerate(text):
            state = (state << 1 | 1) & masks.get(character, anything if character != "\n" else 0)
            if state & final:
                return offset + index + 1 - len(self.characters)
        return -1


@dataclass(frozen=True, slots=True)
class Pattern:
    """Chunks with a `*` between each two; a first or last chunk that is empty says that a `*` stands there."""

    chunks: tuple[_Chunk, ...]

    def reversed(self) -> Pattern:
        """Return the pattern that matches the same texts read backwards."""
        return Pattern(tuple(_chunk(chunk.characters[::-1]) for chunk in reversed(self.chunks)))

    def trim_prefix(self, value: str, *, longest: bool) -> str:
        """Return `value` without the shortest or longest prefix that matches; all of it when none does."""
        end = self._end(value, 0, longest, [_MAX_CHUNK_SEARCHES])
        return value if end is None else value[end:]

    def trim_suffix(self, value: str, *, longest: bool) -> str:
        return self.reversed().trim_prefix(value[::-1], longest=longest)[::-1]

    def replace(self, value: str, replacement: str, *, every: bool, limit: int) -> str:
        """Replace the first match, or every one (longest, leftmost). Raises PatternError beyond `limit` characters."""
        parts: list[str] = []
        budget = [_MAX_CHUNK_SEARCHES]
        copied, search, size = 0, 0, len(value)
        while search <= len(value) and (found := self._find(value, search, budget)) is not None:
            start, end = found
            parts.append(value[copied:start])
            if end > copied or start == 0:
                # Not for an empty match directly behind the match before: `*` replaces "ab" once, not twice.
                parts.append(replacement)
                size += len(replacement)
                if size > limit:
                    raise PatternError("the result is too long")
            copied = end
            search = end if end > search else search + 1
            if not every:
                break
        return "".join([*parts, value[copied:]])

    def _find(self, value: str, start: int, budget: list[int]) -> tuple[int, int] | None:
        """Return the leftmost match at or after `start`, its end as far as possible."""
        head = self.chunks[0]
        while start <= len(value):
            start = head.find(value, start, len(value)) if head.characters else start
            if start < 0:
                return None
            end = self._end(value, start, True, budget)
            if end is not None:
                return start, end
            # A `*` never crosses a newline, so all matches that begin in this line reach the failing chunk in the same
            # line too, and later: none can succeed.
            newline = value.find("\n", start)
            if newline < 0:
                return None
            start = newline + 1
        return None

    def _end(self, value: str, start: int, longest: bool, budget: list[int]) -> int | None:
        """Return where a match from `start` ends: the earliest place for each chunk, the last one as asked."""
        head, *rest = self.chunks
        if not head.matches_at(value, start):
            return None
        position = start + len(head.characters)
        line_end = -1
        for index, chunk in enumerate(rest):
            if line_end < position:
                line_end = value.find("\n", position)
                line_end = len(value) if line_end < 0 else line_end
            budget[0] -= 1
            if budget[0] < 0:
                raise PatternError("the pattern takes too long to match")
            last = longest and index == len(rest) - 1
            if not chunk.characters:
                position = line_end if last else position
                continue
            within = min(len(value), line_end + len(chunk.characters))
            found = chunk.find_last(value, position, within) if last else chunk.find(value, position, within)
            if found < 0:
                return None
            position = found + len(chunk.characters)
        return position


def parse_pattern(text: str) -> Pattern:
    """Read a pattern. A backslash goes before `*`, `?`, `\\`, `/` and `}` only. Raises PatternError."""
    chunks: list[_Chunk] = []
    characters: list[str] = []
    rest = iter(text)
    for character in rest:
        if character == "*":
            chunks.append(_chunk(tuple(characters)))
            characters = []
        elif character == "?":
            characters.append("")
        elif character == "\\":
            escaped = next(rest, "")
            if not escaped or escaped not in "*?\\}/":
                raise PatternError(f"invalid escape '\\{escaped}'")
            characters.append(escaped)
        else:
            characters.append(character)
    chunks.append(_chunk(tuple(characters)))
    return Pattern(tuple(chunks))


def _chunk(characters: tuple[str, ...]) -> _Chunk:
    return _Chunk(characters, None if "" in characters else "".join(characters))
