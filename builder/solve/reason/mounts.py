"""What changed among the mounts of a RUN, as its preimages have them: which came and went, how the others differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from builder.oci.canonical import JsonObject, JsonValue
from builder.solve.difference import Difference
from builder.solve.reason.words import changed

Mount = JsonObject
_CONTENTS = frozenset({"content", "base"})
"""Members that are digests of what can be seen."""


Contents = Callable[[str], Iterator[Difference]]


def mount_changes(before: list[Mount], now: list[Mount], contents: Contents) -> Iterator[Difference]:
    """Yield what changed; `contents` says, for the target of a mount, what changed in what it shows."""
    pairs, gone, new = _pair(before, now)
    for was, is_ in pairs:
        yield from _changes(was, is_, contents)
    yield from (Difference("mount-added", f"{_name(mount)} added", _name(mount)) for mount in new)
    yield from (Difference("mount-removed", f"{_name(mount)} removed", _name(mount)) for mount in gone)
    if sorted(map(repr, before)) == sorted(map(repr, now)) and before != now:
        order = (", ".join(map(_name, mounts)) for mounts in (before, now))
        yield Difference("mount-order", "mounts in another order", "mounts", *order)


def _pair(before: list[Mount], now: list[Mount]) -> tuple[list[tuple[Mount, Mount]], list[Mount], list[Mount]]:
    """Find which mount of now is which of then: the same one, by target, by id, or the only one of its type."""
    gone = [mount for mount in before if mount not in now]
    new = [mount for mount in now if mount not in before]
    pairs: list[tuple[Mount, Mount]] = []
    # From the surest sign to the weakest; two that could be meant are no pair by it.
    for names in (("type", "target"), ("type", "id"), ("type",)):
        for was in list(gone):
            alike = [is_ for is_ in new if all(was.get(name) == is_.get(name) for name in names)]
            rivals = [other for other in gone if all(was.get(name) == other.get(name) for name in names)]
            if len(alike) == len(rivals) == 1:
                pairs.append((was, alike[0]))
                gone.remove(was)
                new.remove(alike[0])
    return pairs, gone, new


def _changes(was: Mount, is_: Mount, contents: Contents) -> Iterator[Difference]:
    # Some members stand in a preimage only where they say something (run/inputs.py): both sides are asked for theirs.
    for field in sorted(was.keys() | is_.keys()):
        before, after = was.get(field), is_.get(field)
        if before == after:
            continue
        if field in _CONTENTS and before is not None and after is not None:
            found = list(contents(str(is_["target"])))
            name = _name(is_)
            yield from found or [Difference("mount-changed", f"{name}: content changed", name, str(before), str(after))]
        elif field in _CONTENTS:
            what = "added" if after is not None else "removed"
            yield Difference("mount-changed", f"{_name(is_)}: from {what}", _name(is_))
        else:
            what, words = _member(field, is_["type"])
            shown = f"{_name(is_)}:{what}"
            yield changed("mount-changed", shown, words(before), words(after))._replace(subject=_name(is_))


def _member(field: str, kind: str) -> tuple[str, Callable[[JsonValue], str]]:
    """Return what a member is called, with a space before it, and what puts a value of it in words."""
    if field in ("writable", "readonly"):
        return "", lambda one: "read-only" if bool(one) == (field == "readonly") else "writable"
    if field == "id" and kind == "cache":  # it is told only where it says nothing (inputs.py)
        return " id or sharing", lambda one: "(default)" if one is not None else "of its own"
    if field == "mode":
        return " mode", lambda one: "(default)" if one is None else f"{one:04o}"
    return f" {field}", _shown


def _name(mount: Mount) -> str:
    """Return what a mount is called: secrets and agents by their id, others by where they are."""
    if mount["type"] in ("secret", "ssh"):
        return f"{mount['type']} {mount['id']}"
    return f"{mount['type']} mount {mount['target']}"


def _shown(one: object) -> str:
    if isinstance(one, bool):
        return "yes" if one else "no"
    return "(none)" if one is None or one == "" else str(one)
