"""The fields of a step's preimage in words: each with what it was and what it is. Pure text; values are cut."""

from __future__ import annotations

from collections.abc import Iterator

from builder.oci.canonical import Document, JsonValue

_LONGEST = 40
"""Characters that are shown of a value."""
_AROUND = 12
"""Characters of what is the same that are shown before the first difference."""
_NAMES = {
    "destination": "destination", "path": "workdir", "cwd": "workdir", "network": "network", "security": "security",
    "platform": "platform", "hostname": "hostname", "shm_size": "--shm-size", "script_path": "heredoc name",
    "epoch": "timestamp", "chown": "--chown", "chmod": "--chmod", "isolation": "isolation", "unpack": "--unpack",
}  # fmt: skip
_WORDS = {"run": "RUN", "copy": "COPY", "add": "ADD", "workdir": "WORKDIR"}
_IGNORED = frozenset({"operation", "version", "parent", "inputs", "env"})
"""Fields that are not compared here."""


def change(was: object, now: object) -> str:
    """Return "was → now", long values cut around where they begin to differ."""
    before, after = _one_line(was), _one_line(now)
    if max(len(before), len(after)) > _LONGEST:
        same = next((at for at, (a, b) in enumerate(zip(before, after)) if a != b), min(len(before), len(after)))
        start = max(0, same - _AROUND)
        before, after = _cut(before, start), _cut(after, start)
    return f"{before} → {after}"


def value(text: object) -> str:
    """Return a value on one line, cut."""
    return _cut(_one_line(text), 0)


def _cut(text: str, start: int) -> str:
    end = start + _LONGEST
    return ("…" if start else "") + text[start:end] + ("…" if len(text) > end else "")


def _one_line(text: object) -> str:
    return str(text).strip("\n").replace("\n", "\\n")


def step_changes(before: Document, now: Document) -> Iterator[tuple[str, str]]:
    """Yield (field, words) for what the Dockerfile and the command line say of a step, variables last.

    `before` and `now` are preimages of one kind of step.
    """
    yield from _command(before, now)
    for field in sorted((before.keys() | now.keys()) - _IGNORED - {"argv", "script"}):
        was, is_ = before.get(field), now.get(field)
        if was != is_:
            yield from ((field, words) for words in _field(field, was, is_))
    yield from (("env", words) for words in _variables(before.get("env") or [], now.get("env") or []))


def instruction(document: Document) -> str:
    """Return the instruction that a preimage is of."""
    return _WORDS.get(document["operation"], str(document["operation"]))


def _command(before: Document, now: Document) -> Iterator[tuple[str, str]]:
    was, is_ = before.get("argv") or [], now.get("argv") or []
    if _is_shell(was) and _is_shell(is_):
        if was[:-1] != is_[:-1]:
            yield "argv", f"shell {change(' '.join(was[:-1]), ' '.join(is_[:-1]))}"
        if was[-1] != is_[-1]:
            # A newline is in no command but that of a heredoc.
            what = "heredoc" if "\n" in was[-1] and "\n" in is_[-1] else "command"
            yield "argv", f"{what} changed: {change(was[-1], is_[-1])}"
    elif was != is_:
        yield "argv", f"command changed: {change(' '.join(was), ' '.join(is_))}"
    if before.get("script") != now.get("script"):
        yield "script", f"heredoc changed: {change(before.get('script') or '(none)', now.get('script') or '(none)')}"


def _is_shell(argv: list[str]) -> bool:
    """Say whether this looks like a shell's name and options with a command behind."""
    return len(argv) > 2 and argv[-2][:1] in ("-", "/")


def _field(field: str, was: JsonValue, now: JsonValue) -> Iterator[str]:
    match field:
        case "user":
            yield f"user {change(_user(was, now), _user(now, was))}"
        case "isolation":
            yield f"isolation {change(was or 'native', now or 'native')}"
        case "exclude":
            yield from _members("--exclude", was or [], now or [])
        case "hosts":
            yield from _members("--add-host", was or [], now or [])
        case "ulimits":
            yield from _ulimits(was or [], now or [])
        case "link" | "parents":
            yield f"--{field} {'added' if now else 'removed'}"
        case "single_id":
            yield f"user ids {change(*('one' if one else 'many' for one in (was, now)))}"
        case "chown" | "chmod" if not was or not now:
            yield f"{_NAMES[field]} {value(now or was)} {'added' if now else 'removed'}"
        case _:
            yield f"{_NAMES.get(field, field)} {change(_shown(was), _shown(now))}"


def _shown(one: object) -> str:
    """Return a value; what isn't said is the default."""
    if isinstance(one, bool):
        return "true" if one else "false"
    return "(default)" if one is None or one == "" else str(one)


def _user(one: str | None, other: str | None) -> str:
    # A step without USER runs as root: that is said, unless "root → root" would come of it.
    return one or ("root" if other not in ("root", "0") else "(default)")


def _members(flag: str, before: list[str], now: list[str]) -> Iterator[str]:
    yield from (f"{flag} {value(one)} added" for one in now if one not in before)
    yield from (f"{flag} {value(one)} removed" for one in before if one not in now)
    if sorted(before) == sorted(now):
        yield f"{flag} in another order"


def _ulimits(before: list[list[object]], now: list[list[object]]) -> Iterator[str]:
    was, is_ = ({str(name): f"{soft}:{hard}" for name, soft, hard in limits} for limits in (before, now))
    for name in sorted(was.keys() | is_.keys()):
        if was.get(name) != is_.get(name):
            yield f"--ulimit {name} {change(_shown(was.get(name)), _shown(is_.get(name)))}"


def _variables(before: list[str], now: list[str]) -> Iterator[str]:
    was = dict(word.partition("=")[::2] for word in before)
    is_ = dict(word.partition("=")[::2] for word in now)
    for name in sorted(was.keys() | is_.keys()):
        if name not in was:
            yield f"{name} added: {value(is_[name])}"
        elif name not in is_:
            yield f"{name} removed: {value(was[name])}"
        elif was[name] != is_[name]:
            yield f"{name}: {change(was[name], is_[name])}"
    if was == is_ and before != now:
        yield "variables in another order"
