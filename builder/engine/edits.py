"""Which files of the context an edit means, and which steps read them: paths and wildcards against what was seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from builder.context.glob import PatternError, has_wildcards, match_glob, parse_glob
from builder.context.ignore import exclude_patterns, parse_ignore, way_to
from builder.context.ignore_pattern import Matcher, compile_pattern
from builder.context.paths import inside_root
from builder.errors import UsageError
from builder.filesystem.entry import FILE
from builder.oci.canonical import Document
from builder.solve.entry_line import Described, described
from builder.solve.reason.facts import Facts
from builder.solve.seen import Seen

_MAIN = ""
"""The name of the context that a build is given without a name."""


class Hit(NamedTuple):
    """A file that a step has read."""

    asked: int
    """Which of the paths that were asked for means it; or the step whose file system it is read of."""
    seen: Seen
    entry: Described
    is_new: bool = False
    """It was not there: nothing is known but its path."""

    @property
    def path(self) -> str:
        return self.seen.path_of(self.entry.path)


class Edits:
    """Files that are edited. `asked` are paths of the context, cleaned; a directory means all that is in it."""

    def __init__(self, asked: Sequence[str]) -> None:
        """Compile them. Raises UsageError for a pattern that is none."""
        self.asked = tuple(inside_root(path) for path in asked)
        self._matchers: list[Matcher | None] = []
        for path, written in zip(self.asked, asked, strict=True):
            try:
                self._matchers.append(compile_pattern(path) if path else None)
            except PatternError as error:
                raise UsageError(
                    f"--if-changed {written!r}: {error}", hint="A backslash makes the next character an ordinary one."
                ) from error

    def means(self, path: str) -> int | None:
        """Return which of the paths asked for means a file: names it, or a directory that it is in."""
        ways = tuple(way_to(path))
        for number, matcher in enumerate(self._matchers):
            if matcher is None or any(matcher.matches(way) for way in ways):
                return number
        return None

    def hits(self, facts: Facts) -> Iterator[Hit]:
        """Yield the files that a step has read of the context, among those that are edited."""
        for seen in facts.seen:
            if seen.context == _MAIN:
                for entry in described(seen.lines):
                    number = self.means(seen.path_of(entry.path))
                    if number is not None:
                        yield Hit(number, seen, entry)

    def hidden_by(self, number: int, facts: Facts) -> str:
        """Return the ignore rule that hides a path asked for from a step, or ""."""
        rules = facts.ignored.get(_MAIN, ())
        if not rules or not self.is_path(number):
            return ""
        decision = parse_ignore("\n".join(rules), ".dockerignore").decide(self.asked[number])
        return decision.rule.text if decision.excluded and decision.rule is not None else ""

    def new_hits(self, number: int, facts: Facts, preimage: Document) -> Iterator[Hit]:
        """Yield where a step would read a path that no step has seen, as a new file."""
        path = self.asked[number]
        if self.is_path(number) and not self.hidden_by(number, facts):
            for seen in facts.seen:
                if seen.context == _MAIN and takes(path, seen, preimage):
                    yield new_hit(number, seen, path)

    def is_path(self, number: int) -> bool:
        """Say whether it is the path of one file, or directory."""
        return bool(self.asked[number]) and not has_wildcards(self.asked[number])


def takes(path: str, seen: Seen, preimage: Document) -> bool:
    """Say whether what a step reads, `seen` last time, would include `path` of the same tree if it were there."""
    below = below_root(path, seen.root) if seen.is_directory else ""
    if below and not exclude_patterns(preimage.get("exclude") or ()).decide(below).excluded:
        # The label is the cleaned word of --parents, which has lost its pivot: the root says where that was.
        pattern = below_root(seen.label, seen.root) if preimage.get("parents") else ""
        if not pattern or exclude_patterns([pattern]).decide(below).excluded:
            return True
    return not preimage.get("parents") and has_wildcards(seen.label) and _is_match(seen.label, path)


def below_root(path: str, root: str) -> str:
    """Return a path as seen from the directory `root`; "" for what is not in it."""
    if not root:
        return path
    return path[len(root) + 1 :] if path.startswith(f"{root}/") else ""


def new_hit(asked: int, seen: Seen, path: str) -> Hit:
    """Return that a step reads, or would read, a file of which nothing is known but its path in the tree."""
    name = below_root(path, seen.root) if seen.is_directory else path.rpartition("/")[2]
    return Hit(asked, seen, Described(name, FILE, "", "", "", "", "", "", "", ""), is_new=True)


def _is_match(label: str, path: str) -> bool:
    """Say whether a wildcard of COPY names a path, or a directory that it is in."""
    names = label.split("/")
    parts = path.split("/")
    if len(parts) < len(names):
        return False
    return all(match_glob(parse_glob(name), part) for name, part in zip(names, parts))
