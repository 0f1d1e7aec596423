"""Two results → the differences between them, each with a key that a case can name.

Keys: `config/Env`, `config/<key>`, `<top-level config key>`, `history/<n>`, `layers`, `tree/<path>/<field>`,
`tree/<path>` (there is one on one side only), `removed/<path>`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tests.builds.cases import Case
from tests.builds.results import Result

ABSENT = "(absent)"


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two results differ."""

    key: str
    expected: Any
    found: Any

    def __str__(self) -> str:
        return f"{self.key}\n      expected {self.expected!r}\n      found    {self.found!r}"


def compare(case: Case, expected: Result, found: Result) -> list[Difference]:
    """List the differences, without those that the case wants."""
    differences = [*config_differences(expected, found), *tree_differences(expected, found)]
    if case.oracle == "docker":  # the other peers shape history and layers in their own way
        differences += history_differences(expected, found)
    return [item for item in differences if not any(fnmatchcase(item.key, glob) for glob in case.differences)]


def config_differences(expected: Result, found: Result) -> Iterator[Difference]:
    for prefix, left, right in (
        ("", expected["config"], found["config"]),
        ("config/", expected["config"].get("config", {}), found["config"].get("config", {})),
    ):
        for key in sorted({*left, *right} - {"config"}):
            if left.get(key, ABSENT) != right.get(key, ABSENT):
                yield Difference(prefix + key, left.get(key, ABSENT), right.get(key, ABSENT))


def history_differences(expected: Result, found: Result) -> Iterator[Difference]:
    left, right = expected["history"], found["history"]
    for number in range(max(len(left), len(right))):
        one = left[number] if number < len(left) else ABSENT
        other = right[number] if number < len(right) else ABSENT
        if one != other:
            yield Difference(f"history/{number}", one, other)
    if expected["layers"] != found["layers"]:
        yield Difference("layers", expected["layers"], found["layers"])


def tree_differences(expected: Result, found: Result) -> Iterator[Difference]:
    if expected["base"] != found["base"]:
        yield Difference("base", expected["base"], found["base"])
    for path in sorted({*expected["removed"]} ^ {*found["removed"]}):
        words = ("removed", "there") if path in expected["removed"] else ("there", "removed")
        yield Difference(f"removed/{path}", *words)
    left, right = expected["tree"], found["tree"]
    for path in sorted({*left, *right}):
        if path not in left or path not in right:
            yield Difference(f"tree/{path}", left.get(path, ABSENT), right.get(path, ABSENT))
            continue
        one, other = left[path], right[path]
        for name in sorted({*one, *other}):
            if one.get(name, ABSENT) != other.get(name, ABSENT):
                yield Difference(f"tree/{path}/{name}", one.get(name, ABSENT), other.get(name, ABSENT))


def failed_checks(case: Case, found: Result) -> list[Difference]:
    """List the checks of a case that do not hold; a path of None must not be there."""
    failed = []
    for path, fields in case.checks.items():
        entry = found["tree"].get(path)
        if fields is None:
            if entry is not None:
                failed.append(Difference(f"check/{path}", ABSENT, entry))
        elif entry is None:
            failed.append(Difference(f"check/{path}", fields, ABSENT))
        else:
            failed += [
                Difference(f"check/{path}/{name}", value, entry.get(name, ABSENT))
                for name, value in fields.items()
                if entry.get(name, ABSENT) != value
            ]
    return failed


def report(case: Case, title: str, differences: list[Difference]) -> str:
    """Return what a person reads when a case differs."""
    lines = [f"{case.name}: {case.rule}", f"  {title}"]
    lines += [f"    {difference}" for difference in differences]
    return "\n".join(lines)
