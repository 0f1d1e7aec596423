"""What changed among the mounts of a RUN, as its preimages have them: which came and went, how the others differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from builder.oci.canonical import JsonObject
from builder.solve.reason.words import change

Mount = JsonObject
_CONTENTS = frozenset({"content", "base"})
"""Members that are digests of what can be seen."""


def mount_changes(before: list[Mount], now: list[Mount], contents: Callable[[str], Iterator[str]]) -> Iterator[str]:
    """Yield what changed; `contents` says, for the target of a mount, what changed in what it shows."""
    pairs, gone, new = _pair(before, now)
    for was, is_ in pairs:
        yield from _changes(was, is_, contents)
    yield from (f"{_name(mount)} added" for mount in new)
    yield from (f"{_name(mount)} removed" for mount in gone)
    if sorted(map(repr, before)) == sorted(map(repr, now)) and before != now:
        yield "mounts in another order"


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


def _changes(was: Mount, now: Mount, contents: Callable[[str], Iterator[str]]) -> Iterator[str]:
    # Some members stand in a preimage only where they say something (run/inputs.py): both sides are asked for theirs.
    for field in sorted(was.keys() | now.keys()):
        before, after = was.get(field), now.get(field)
        if before == after:
            continue
        if field in _CONTENTS and before is not None and after is not None:
            found = list(contents(str(now["target"])))
            yield from found or [f"{_name(now)}: content changed"]
        elif field in _CONTENTS:
            yield f"{_name(now)}: from {'added' if after is not None else 'removed'}"
        elif field == "writable":
            yield f"{_name(now)}: {change(*('writable' if one else 'read-only' for one in (before, after)))}"
        elif field == "readonly":
            yield f"{_name(now)}: {change(*('read-only' if one else 'writable' for one in (before, after)))}"
        elif field == "id" and now["type"] == "cache":  # it is told only where it says nothing (inputs.py)
            yield f"{_name(now)}: id or sharing {change(*(_default(one) for one in (before, after)))}"
        elif field == "mode":
            yield f"{_name(now)}: mode {change(*('(default)' if m is None else f'{m:04o}' for m in (before, after)))}"
        else:
            yield f"{_name(now)}: {field} {change(_shown(before), _shown(after))}"


def _name(mount: Mount) -> str:
    """Return what a mount is called: secrets and agents by their id, others by where they are."""
    if mount["type"] in ("secret", "ssh"):
        return f"{mount['type']} {mount['id']}"
    return f"{mount['type']} mount {mount['target']}"


def _default(one: object) -> str:
    return "(default)" if one is not None else "of its own"


def _shown(one: object) -> str:
    if isinstance(one, bool):
        return "yes" if one else "no"
    return "(none)" if one is None or one == "" else str(one)
