"""The fields of a step's preimage in words: each with what it was and what it is. Pure text; values are cut."""

from __future__ import annotations

from collections.abc import Iterator

from builder.oci.canonical import Document, JsonValue
from builder.solve.difference import Difference, Kind

_LONGEST = 40
"""Characters that are shown of a value."""
_AROUND = 12
"""Characters of what is the same that are shown before the first difference."""
_NAMES = {
    "destination": "destination", "path": "workdir", "cwd": "workdir", "network": "network", "security": "security",
    "platform": "platform", "hostname": "hostname", "shm_size": "--shm-size", "script_path": "heredoc name",
    "epoch": "timestamp", "chown": "--chown", "chmod": "--chmod", "unpack": "--unpack",
}  # fmt: skip
_KINDS: dict[str, Kind] = {
    "destination": "destination", "path": "workdir", "cwd": "workdir", "network": "network", "security": "security",
    "platform": "platform", "hostname": "hostname", "shm_size": "shm-size", "script_path": "heredoc-name",
    "epoch": "timestamp", "chown": "chown", "chmod": "chmod", "unpack": "unpack", "link": "link", "parents": "parents",
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


def step_changes(
    before: Document, now: Document, arguments: tuple[frozenset[str], frozenset[str]]
) -> Iterator[tuple[str, Difference]]:
    """Yield (field, difference) for what the Dockerfile and the command line say of a step, variables last.

    `before` and `now` are preimages of one kind of step; `arguments` are the variables of each that an ARG declares.
    """
    yield from _command(before, now)
    for field in sorted((before.keys() | now.keys()) - _IGNORED - {"argv", "script"}):
        was, is_ = before.get(field), now.get(field)
        # A mode takes --link away (plan/copies.py): that is the same change.
        if was != is_ and not (field == "link" and bool(before.get("chmod")) != bool(now.get("chmod"))):
            yield from ((field, difference) for difference in _field(field, was, is_))
    yield from (("env", found) for found in _variables(before.get("env") or [], now.get("env") or [], *arguments))


def instruction(document: Document) -> str:
    """Return the instruction that a preimage is of."""
    return _WORDS.get(document["operation"], str(document["operation"]))


def changed(kind: Kind, subject: str, was: object, now: object, *, colon: bool = False) -> Difference:
    """Return "SUBJECT was → now"."""
    words = f"{subject}{':' if colon else ''} {change(was, now)}"
    return Difference(kind, words, subject, str(was), str(now))


def _command(before: Document, now: Document) -> Iterator[tuple[str, Difference]]:
    was, is_ = before.get("argv") or [], now.get("argv") or []
    if _is_shell(was) and _is_shell(is_):
        if was[:-1] != is_[:-1]:
            yield "argv", changed("shell", "shell", " ".join(was[:-1]), " ".join(is_[:-1]))
        if was[-1] != is_[-1]:
            # A newline is in no command but that of a heredoc.
            what: Kind = "heredoc" if "\n" in was[-1] and "\n" in is_[-1] else "command"
            yield "argv", changed(what, f"{what} changed", was[-1], is_[-1], colon=True)._replace(subject=what)
    elif was != is_:
        found = changed("command", "command changed", " ".join(was), " ".join(is_), colon=True)
        yield "argv", found._replace(subject="command")
    if before.get("script") != now.get("script"):
        scripts = (document.get("script") or "(none)" for document in (before, now))
        yield "script", changed("heredoc", "heredoc changed", *scripts, colon=True)._replace(subject="heredoc")


def _is_shell(argv: list[str]) -> bool:
    """Say whether this looks like a shell's name and options with a command behind."""
    return len(argv) > 2 and argv[-2][:1] in ("-", "/")


def _field(field: str, was: JsonValue, now: JsonValue) -> Iterator[Difference]:
    match field:
        case "user":
            yield changed("user", "user", _user(was, now), _user(now, was))
        case "isolation":
            yield changed("isolation", "isolation", was or "native", now or "native")
        case "exclude":
            yield from _members("exclude", "--exclude", was or [], now or [])
        case "hosts":
            yield from _members("hosts", "--add-host", was or [], now or [])
        case "ulimits":
            yield from _ulimits(was or [], now or [])
        case "link" | "parents":
            yield _flag(_KINDS[field], f"--{field}", "", "", came=bool(now))
        case "single_id":
            yield changed("user-ids", "user ids", *("one" if one else "many" for one in (was, now)))
        case "chown" | "chmod" if not was or not now:
            yield _flag(_KINDS[field], _NAMES[field], str(was or ""), str(now or ""), came=bool(now))
        case _:
            yield changed(_KINDS.get(field, "other"), _NAMES.get(field, field), _shown(was), _shown(now))


def _flag(kind: Kind, flag: str, was: str, now: str, *, came: bool) -> Difference:
    """Return "FLAG VALUE added" or "removed"."""
    said = f"{flag} {value(now or was)}" if now or was else flag
    return Difference(kind, f"{said} {'added' if came else 'removed'}", flag, was, now)


def _shown(one: object) -> str:
    """Return a value; what isn't said is the default."""
    if isinstance(one, bool):
        return "true" if one else "false"
    return "(default)" if one is None or one == "" else str(one)


def _user(one: str | None, other: str | None) -> str:
    # A step without USER runs as root: that is said, unless "root → root" would come of it.
    return one or ("root" if other not in ("root", "0") else "(default)")


def _members(kind: Kind, flag: str, before: list[str], now: list[str]) -> Iterator[Difference]:
    yield from (_flag(kind, flag, "", one, came=True) for one in now if one not in before)
    yield from (_flag(kind, flag, one, "", came=False) for one in before if one not in now)
    if sorted(before) == sorted(now):
        yield Difference(kind, f"{flag} in another order", flag, " ".join(before), " ".join(now))


def _ulimits(before: list[list[object]], now: list[list[object]]) -> Iterator[Difference]:
    was, is_ = ({str(name): f"{soft}:{hard}" for name, soft, hard in limits} for limits in (before, now))
    for name in sorted(was.keys() | is_.keys()):
        if was.get(name) != is_.get(name):
            yield changed("ulimit", f"--ulimit {name}", _shown(was.get(name)), _shown(is_.get(name)))


def _variables(
    before: list[str], now: list[str], old_arguments: frozenset[str], arguments: frozenset[str]
) -> Iterator[Difference]:
    was = dict(word.partition("=")[::2] for word in before)
    is_ = dict(word.partition("=")[::2] for word in now)
    for name in sorted(was.keys() | is_.keys()):
        is_argument = name in (arguments if name in is_ else old_arguments)
        subject = f"{'ARG' if is_argument else 'ENV'} {name}"
        if name not in was:
            kind: Kind = "argument-added" if is_argument else "variable-added"
            yield Difference(kind, f"{subject} added: {value(is_[name])}", subject, "", is_[name])
        elif name not in is_:
            kind = "argument-removed" if is_argument else "variable-removed"
            yield Difference(kind, f"{subject} removed: {value(was[name])}", subject, was[name], "")
        elif was[name] != is_[name]:
            yield changed("argument-changed" if is_argument else "variable-changed", subject, was[name], is_[name])
    if was == is_ and before != now:
        order = [" ".join(dict.fromkeys(word.partition("=")[0] for word in words)) for words in (before, now)]
        yield Difference("variable-order", "variables in another order", "variables", *order)
