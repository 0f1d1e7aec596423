"""Why the cache did not help: today's preimage compared with the last one of the same step.

The answer is one short clause for a display (`main`), and the whole list of differences for those who ask. Reasons come
from a closed list: first build, a field of the step, an argument or variable, the platform, files added, removed or
changed, the layers below, --no-cache, or a record that is gone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

FIRST_BUILD = "not built here before"
NO_CACHE = "--no-cache"
EVICTED = "its record was removed from the cache"

_FIELD_NAMES = {
    "argv": "the command", "cwd": "the working directory", "user": "the user", "network": "the network mode",
    "security": "the security mode", "platform": "the platform", "destination": "the destination", "path": "the path",
    "chown": "--chown", "chmod": "--chmod", "link": "--link", "parents": "--parents", "exclude": "--exclude",
    "unpack": "--unpack", "epoch": "the timestamp", "script": "the script", "script_path": "the script's name",
    "hosts": "--add-host", "shm_size": "--shm-size", "ulimits": "--ulimit", "hostname": "the host name",
    "operation": "the instruction", "version": "pybuild's cache format", "single_id": "the user mapping",
    "isolation": "the isolation",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """One member of the preimage that is not what it was. None means it was, or is, absent."""

    field: str
    was: str | None
    now: str | None

    def __str__(self) -> str:
        name = _FIELD_NAMES.get(self.field, self.field)
        if self.was is None:
            return f"{name} was added"
        if self.now is None:
            return f"{name} was removed"
        return f"{name} changed"


def differences(before: bytes, now: bytes) -> tuple[Difference, ...]:
    """Compare two preimages member by member, the ones nearest to the user's hand first."""
    return tuple(sorted(_compare(json.loads(before), json.loads(now)), key=_rank))


def main_reason(before: bytes | None, now: bytes) -> str:
    """Return the clause a display shows for a step that must run."""
    if before is None:
        return FIRST_BUILD
    found = differences(before, now)
    if not found:
        return EVICTED
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return str(found[0]) + more


def _rank(difference: Difference) -> tuple[int, str]:
    # The layers below change whenever anything above them in the file does: the least interesting reason.
    last = {"the layers below": 2, "operation": -1}
    return (last.get(difference.field, 1 if difference.field.startswith("variable ") else 0), difference.field)


def _compare(before: dict[str, Any], now: dict[str, Any]) -> Iterator[Difference]:
    for field in sorted(before.keys() | now.keys()):
        was, is_ = before.get(field), now.get(field)
        if was == is_:
            continue
        if field == "env":
            yield from _variables(was or [], is_ or [])
        elif field == "inputs":
            yield from _inputs(was, is_)
        elif field == "isolation":
            yield Difference(field, was or "native", is_ or "native")
        elif field == "parent":
            yield Difference("the layers below", str(was), str(is_))
        else:
            yield Difference(field, _text(was), _text(is_))


def _variables(before: list[str], now: list[str]) -> Iterator[Difference]:
    was = dict(word.partition("=")[::2] for word in before)
    is_ = dict(word.partition("=")[::2] for word in now)
    for name in sorted(was.keys() | is_.keys()):
        if was.get(name) != is_.get(name):
            yield Difference(f"variable {name}", was.get(name), is_.get(name))


def _inputs(before: Any, now: Any) -> Iterator[Difference]:
    """Compare inputs: leaves are compared, and the path to a leaf is its name; `files` members name files."""
    found = list(_leaves("", before, now))
    yield from found or [Difference("its input", _text(before), _text(now))]


def _leaves(name: str, before: Any, now: Any) -> Iterator[Difference]:
    if before == now:
        return
    if isinstance(before, dict) and isinstance(now, dict):
        detailed = "files" in before and "files" in now and before["files"] != now["files"]
        for key in sorted(before.keys() | now.keys()):
            if detailed and key == "digest":
                continue  # the files that made it differ are named instead
            label = name if key in {"files", "paths", "digest"} else key
            yield from _leaves(label, before.get(key), now.get(key))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for was, is_ in zip(before, now, strict=True):
            yield from _leaves(name, was, is_)
    else:
        yield Difference(name or "its input", _text(before), _text(now))


def _text(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else json.dumps(value, sort_keys=True)
