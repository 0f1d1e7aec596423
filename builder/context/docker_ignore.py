"""Ignore files for any program: docker's rules as a pattern class of pathspec, registered there as "dockerignore".

    DockerIgnorePattern                  one line of an ignore file
    PathSpec.from_lines("dockerignore")  the last line that matches a path or a directory above it decides, which is
                                         what moby's MatchesOrParentMatches does (docker's classic builder)
    DockerIgnoreSpec                     what BuildKit and pybuild do (ignore.py says where they differ)

A path is *matched* when it is ignored, as in pathspec's GitIgnoreSpec. `context ls` decides with DockerIgnoreSpec. A
build decides with IgnorePatterns, which groups lines for speed and is tested equal to it. docs/ignore.md has examples.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from pathspec import PathSpec, Pattern
from pathspec.util import CheckResult, StrPath, TreeEntry, TStrPath, normalize_file, register_pattern

from builder.context.ignore import IgnorePatterns, Rule, parse_line, way_to
from builder.context.ignore_pattern import compile_rule

_REMEMBERED_DIRECTORIES = 1024


class DockerIgnorePattern(Pattern):
    """One line of an ignore file. Matching takes time in proportion to the line and the path."""

    __slots__ = ("_matcher", "rule")

    def __init__(self, line: str | Rule | None) -> None:
        """Compile a line; `include` is None for comments and blank lines, which match nothing.

        Raises SourceError for a line that docker would refuse.
        """
        self.rule = parse_line(line, ".dockerignore", 1) if isinstance(line, str) else line
        self._matcher = compile_rule(self.rule) if self.rule is not None else None
        super().__init__(None if self.rule is None else not self.rule.is_exception)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DockerIgnorePattern):
            return NotImplemented
        # By what they match: where a line stands, and how it is written, is no part of that.
        return (self.include, self._matcher) == (other.include, other._matcher)

    def __hash__(self) -> int:
        return hash((self.include, self._matcher))

    def matches(self, path: str) -> bool:
        """Say whether the line names `path` itself: a POSIX path without leading slash."""
        return self._matcher is not None and self._matcher.matches(path)

    def match_file(self, file: str) -> str | None:
        """Return `file` or the first directory above it that the line names; None when it names none of them."""
        return next((path for path in way_to(file) if self.matches(path)), None)


class DockerIgnoreSpec(PathSpec[DockerIgnorePattern]):
    """The lines of an ignore file, deciding together as in BuildKit (moby's MatchesUsingParentResults)."""

    def __init__(self, patterns: Iterable[DockerIgnorePattern], **_: object) -> None:
        """Take patterns in the order of the file. A backend cannot be chosen: none of pathspec's has these rules."""
        super().__init__(list(patterns), backend="simple")
        self._known: dict[str, frozenset[int]] = {}
        self._known_of = self.patterns

    @classmethod
    def of(cls, ignore: IgnorePatterns) -> DockerIgnoreSpec:
        """Return the spec of rules that have been read already; the index of a result counts `ignore.rules`."""
        return cls(map(DockerIgnorePattern, ignore.rules))

    def check_file(self, file: TStrPath, separators: Collection[str] | None = None) -> CheckResult[TStrPath]:
        """Decide on a path below the root; a slash at its end means nothing.

        `include` is whether it is ignored, and `index` says by which line; both are None when no line had a say.
        """
        holding = self._holding(normalize_file(file, separators).rstrip("/"))
        last = max(holding, default=None)
        return CheckResult(file, None if last is None else self.patterns[last].include, last)

    def check_files(
        self, files: Iterable[TStrPath], separators: Collection[str] | None = None
    ) -> Iterator[CheckResult[TStrPath]]:
        return (self.check_file(file, separators) for file in files)

    def match_file(self, file: StrPath, separators: Collection[str] | None = None) -> bool:
        return bool(self.check_file(file, separators).include)

    def match_files(
        self, files: Iterable[TStrPath], separators: Collection[str] | None = None, *, negate: bool | None = None
    ) -> Iterator[TStrPath]:
        return (file for file in files if self.match_file(file, separators) is not bool(negate))

    def match_entries(
        self, entries: Iterable[TreeEntry], separators: Collection[str] | None = None, *, negate: bool | None = None
    ) -> Iterator[TreeEntry]:
        return (entry for entry in entries if self.match_file(entry.path, separators) is not bool(negate))

    def _holding(self, path: str) -> frozenset[int]:
        """Return which lines hold for a path: those that had a say in it, or in a directory above it."""
        if self._known_of is not self.patterns or len(self._known) > _REMEMBERED_DIRECTORIES:
            self._known, self._known_of = {}, self.patterns  # `+=` gives a spec new patterns
        if not path:
            return frozenset()  # the root is never ignored
        above = path.rpartition("/")[0]
        holding = self._known.get(above)
        if holding is None:
            holding = frozenset()
            for directory in way_to(above):
                holding = self._holding_in(directory, holding)
            self._known[above] = holding
        return self._holding_in(path, holding)

    def _holding_in(self, path: str, above: frozenset[int]) -> frozenset[int]:
        ignored, holding = False, []
        for index, pattern in enumerate(self.patterns):
            # A line that could change nothing is not tried: one that ignores what is ignored, an exception to nothing.
            if index in above or (pattern.include is (not ignored) and pattern.matches(path)):
                holding.append(index)
                ignored = bool(pattern.include)
        return frozenset(holding)


register_pattern("dockerignore", DockerIgnorePattern, override=True)
