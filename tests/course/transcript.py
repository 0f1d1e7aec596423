"""What lessons show of commands, compared with what commands print.

Of the same meaning are, with blanks between columns of any number:
  IDs and digests      when each stands for one other, throughout a lesson; blobs that travel come in any order
  times, ages          of any length (0.3s, 2 minutes ago, 2026-11-28T10:00:00Z, names that containers are given)
  sizes in MB          within 3 MB, by which one busybox differs from another
  note: …              is left out: it tells a user of one id only what they have to expect
  …                    anything; alone on a line: any lines

    python -m tests.course.refresh      runs the lessons and writes what differs into their Markdown
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ID = re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{12})\b")
_TRAVELS = re.compile(r"[0-9a-f]{12}: [A-Z][a-z ]+$")
_MEGABYTES = re.compile(r"\b(\d+(?:\.\d+)?)MB\b")
_MASKS = (
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?Z?"), "TIME"),
    (re.compile(r"\b(?:\d+|Less than a|About an?) (?:second|minute|hour|day|week|month|year)s? ago"), "AGE"),
    (re.compile(r"\b\d+(?:\.\d+)? ?m?s\b"), "TIME"),
    (re.compile(r"\b\d+\.\d{2,3}(?= )"), "TIME"),
    (re.compile(r"[ \t]+"), " "),
)
_NOTE = "note: one user id only"
TOLERANCE_MB = 3.0


@dataclass(slots=True)
class Command:
    typed: str
    """What a shell is given: one line, or more with the content of a here-document."""
    shown: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Names:
    """Which ID of a lesson stands for which of a run. Short ones and long ones of the same begin alike."""

    pairs: dict[str, str] = field(default_factory=dict)

    def agree(self, shown: str, seen: str) -> bool:
        if len(shown) != len(seen):
            return False
        key, value = shown[:12], seen[:12]
        if key in self.pairs:
            return self.pairs[key] == value
        if value in self.pairs.values():
            return False
        self.pairs[key] = value
        return True


def commands_of(markdown: str) -> list[Command]:
    """Return the commands of a lesson in order. What a block shows before its first command is a mistake."""
    found: list[Command] = []
    for block in _CONSOLE.findall(markdown):
        assert block.startswith("$ "), block
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Command(line[2:]))
            elif line.startswith("> ") and not found[-1].shown:
                found[-1].typed += f"\n{line[2:]}"
            else:
                found[-1].shown.append(line)
    return found


def with_outputs(markdown: str, commands: list[Command]) -> str:
    """Return a lesson whose blocks show what `commands`, which are all of its own, have."""
    rest = iter(commands)

    def block(match: re.Match[str]) -> str:
        count = len(re.findall(r"^\$ ", match[1], re.MULTILINE))
        return f"```console\n{''.join(_as_typed(next(rest)) for _ in range(count))}```"

    return _CONSOLE.sub(block, markdown)


def _as_typed(command: Command) -> str:
    typed = "$ " + command.typed.replace("\n", "\n> ")
    return "".join(f"{line}\n" for line in [typed, *command.shown])


def differences(command: Command, seen: str, names: Names) -> Iterator[str]:
    """Yield what is seen and not shown, or shown and not seen."""
    lines = [line.rstrip() for line in seen.splitlines() if not line.startswith(_NOTE)]
    shown = [line.rstrip() for line in command.shown]
    if not _lines_agree(shown, lines, names):
        yield f"$ {command.typed}\n--- the lesson shows\n" + "\n".join(shown) + "\n--- it prints\n" + "\n".join(lines)


def _lines_agree(shown: list[str], seen: list[str], names: Names) -> bool:
    if not shown:
        return not seen
    if shown[0] == "…":
        return any(_lines_agree(shown[1:], seen[start:], names) for start in range(len(seen) + 1))
    if not seen:
        return False
    before = dict(names.pairs)
    if _line_agrees(shown[0], seen[0], names) and _lines_agree(shown[1:], seen[1:], names):
        return True
    names.pairs = before
    return False


def _line_agrees(shown: str, seen: str, names: Names) -> bool:
    pattern = ".*".join(re.escape(part) for part in _masked(shown).split("…"))
    if re.fullmatch(pattern, _masked(seen)) is None:
        return False
    if "…" in shown or _TRAVELS.match(shown):
        return True
    ours, theirs = _MEGABYTES.findall(shown), _MEGABYTES.findall(seen)
    if any(abs(float(one) - float(other)) > TOLERANCE_MB for one, other in zip(ours, theirs, strict=True)):
        return False
    return all(names.agree(*pair) for pair in zip(_ID.findall(shown), _ID.findall(seen), strict=True))


def _masked(line: str) -> str:
    line = _MEGABYTES.sub("MB", _ID.sub("ID", line))
    for pattern, name in _MASKS:
        line = pattern.sub(name, line)
    return line.strip()
