"""What changed among the files that a step reads, entry by entry: the lines of then compared with those of now.

two.txt: mode 0644 → 0755     new.txt added     old.txt removed (excluded by .dockerignore line 2: *.txt)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from builder.filesystem.entry import DIRECTORY
from builder.solve.difference import Difference, Kind
from builder.solve.entry_line import Described, described
from builder.solve.reason.words import changed
from builder.solve.seen import Seen

Lines = Callable[[Seen], bytes]
Why = Callable[[Seen, str], str]
"""Says in brackets why a path came or went, or nothing."""


class _File(NamedTuple):
    entry: Described
    shown: str
    seen: Seen


def file_changes(
    before: Iterable[Seen], now: Iterable[Seen], lines: Lines, came: Why | None, went: Why | None
) -> Iterator[Difference]:
    """Yield what changed, in tree order of paths; what lies below a directory that came or went is that directory's.

    Without `came` or `went` nothing is said of what came or went.
    """
    was, is_ = _files(tuple(before), lines), _files(tuple(now), lines)
    covered = ""
    # In tree order, where "a/b" follows "a" at once: as text, "a-b" comes between them, and `covered` would be lost.
    for path in sorted(was.keys() | is_.keys(), key=lambda path: path.replace("/", "\0")):
        if covered and path.startswith(covered):
            continue
        covered = ""
        old, new = was.get(path), is_.get(path)
        if old is None and new is not None:
            if came is not None:
                yield _moved("added", new.shown, came(new.seen, path))
            covered = _cover(new, was, path)
        elif new is None and old is not None:
            if went is not None:
                yield _moved("removed", old.shown, went(old.seen, path))
            covered = _cover(old, is_, path)
        elif old is not None and new is not None:
            yield from _entry_changes(new.shown, old.entry, new.entry)


def _cover(file: _File, others: dict[str, _File], path: str) -> str:
    below = f"{path}/"
    if file.entry.kind != DIRECTORY or any(other.startswith(below) for other in others):
        return ""
    return below


def _files(seen: tuple[Seen, ...], lines: Lines) -> dict[str, _File]:
    """Return all entries by their path in the tree."""
    found = {}
    for one in seen:
        for entry in described(lines(one)):
            path = one.path_of(entry.path)
            # What a context holds is named as it is in the context, whatever part of it is read: so people find it.
            is_whole = one.context is not None or len(seen) > 1
            shown = (path if is_whole else entry.path) or path or one.label
            found[path] = _File(entry, shown, one)
    return found


def _moved(how: str, shown: str, rule: str) -> Difference:
    """Return that a file came or went; with the `rule` that made it come or go, in brackets, where there is one."""
    kind: Kind = "ignore-rule" if rule else "file-added" if how == "added" else "file-removed"
    return Difference(kind, f"{shown} {how}{rule}", shown)


def _entry_changes(shown: str, was: Described, now: Described) -> Iterator[Difference]:
    if was.kind != now.kind:
        yield changed("file-kind", shown, was.kind, now.kind, colon=True)
        return
    if (was.digest, was.size) != (now.digest, now.size):
        # Digests as they are kept, cut (entry_line.py).
        yield Difference("file-changed", f"{shown} changed", shown, was.digest, now.digest)
    if was.mode != now.mode:
        yield _member("file-mode", shown, "mode", was.mode.zfill(4), now.mode.zfill(4))
    if was.owner != now.owner:
        yield _member("file-owner", shown, "owner", was.owner, now.owner)
    if was.link != now.link:
        yield _member("file-link", shown, "link", was.link, now.link)
    if was.device != now.device:
        yield _member("file-device", shown, "device", was.device, now.device)
    if _first_name(was) != _first_name(now):
        yield Difference("hard-link", _link_words(shown, was, now), shown, _first_name(was), _first_name(now))
    yield from _attribute_changes(shown, was.attributes, now.attributes)


def _member(kind: Kind, shown: str, what: str, was: str, now: str) -> Difference:
    return changed(kind, f"{shown}: {what}", was, now)._replace(subject=shown)


def _first_name(entry: Described) -> str:
    """Return the name of a file that this is a further name of; "" for the first, or only, one."""
    return "" if entry.first_name == entry.path else entry.first_name


def _link_words(shown: str, was: Described, now: Described) -> str:
    if not _first_name(now):
        return f"{shown}: no longer a hard link to {was.first_name}"
    return f"{shown}: now a hard link to {now.first_name}"


def _attribute_changes(shown: str, was: str, now: str) -> Iterator[Difference]:
    before, after = (dict(item.partition("=")[::2] for item in text.split(",") if item) for text in (was, now))
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            what = "added" if name not in before else "removed" if name not in after else "changed"
            words = f"{shown}: attribute {name} {what}"
            yield Difference("file-attribute", words, shown, before.get(name, ""), after.get(name, ""))
