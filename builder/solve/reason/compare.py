"""Why the cache did not help: today's step compared with the last one of its kind, exactly.

What is compared are preimages (cache_key.py), which hold all that can reach a result, and the facts kept beside them
(facts.py), which say what the digests in them were of. The answer is values of a closed list of kinds
(solve/difference.py):

    what the Dockerfile or the command line says of the step           words.py
    mounts of a RUN, files that a step reads                           mounts.py, files.py
    the base image, a step below                                       below.py
    not built here before, --no-cache, a record or layer that is gone
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

from builder.oci.canonical import JsonObject
from builder.solve.difference import Difference
from builder.solve.reason.facts import NO_FACTS, Facts
from builder.solve.reason.files import Lines, Why, file_changes
from builder.solve.reason.mounts import mount_changes
from builder.solve.reason.words import change, changed, instruction, step_changes
from builder.solve.seen import Seen

NO_CACHE = "--no-cache"
PRUNED = "its record was removed from the cache"
LAYER_GONE = "its layer is no longer in the store"

_REPOSITORY = ("commit", "subdirectory", "git_dir", "submodules")
_FILE_FIELDS = ("entries", "digest")


class Look(NamedTuple):
    """A step as it was or is: the members of its preimage, and its facts."""

    document: JsonObject
    facts: Facts = NO_FACTS


class Sources(NamedTuple):
    """Answers to the questions that come up while two looks are compared."""

    below: Callable[[], Iterator[Difference]]
    """Gives the changes below the step."""
    lines: Lines
    came: Why
    went: Why


def read_look(preimage: bytes, facts: Facts) -> Look:
    """Return the look that a preimage and facts describe."""
    return Look(json.loads(preimage), facts)


def differences(before: Look, now: Look, sources: Sources) -> tuple[Difference, ...]:
    """Return everything that differs, the nearest to the user's hand first."""
    was, is_ = before.document, now.document
    if was["version"] != is_["version"]:
        # Nothing else is said: members of another format may mean something else.
        return (changed("cache-format", "pybuild's cache format", was["version"], is_["version"]),)
    if was["operation"] != is_["operation"]:
        # Of two instructions every member differs, and that one has become another says all.
        return (changed("instruction", "instruction", instruction(was), instruction(is_)),)
    arguments = (before.facts.arguments, now.facts.arguments)
    found = [_with(each, _used(field, before.facts, now.facts)) for field, each in step_changes(was, is_, arguments)]
    found += _inputs(before, now, sources)
    # With another --link, what is below counts now or does not any more: that is said already.
    if was.get("parent") != is_.get("parent") and was.get("link") == is_.get("link"):
        found += sources.below()
    # Two names of one file, or two mounts of one directory, have the same to say.
    return tuple({each.words: each for each in reversed(found)}.values())[::-1]


def _with(found: Difference, used: str) -> Difference:
    return found._replace(words=found.words + used) if used else found


def _used(field: str, before: Facts, now: Facts) -> str:
    """Return in brackets which variables of a field's words hold something else now."""
    was, is_ = before.values(field), now.values(field)
    names = [name for name in is_ if name in was and was[name] != is_[name]]
    return f" ({', '.join(names)})" if names else ""


def _inputs(before: Look, now: Look, sources: Sources) -> Iterator[Difference]:
    was, is_ = before.document.get("inputs"), now.document.get("inputs")
    if was == is_ or was is None or is_ is None:
        return
    if isinstance(was, list) and isinstance(is_, list):
        yield from _copied(before, now, sources)
        return

    def contents(target: str) -> Iterator[Difference]:
        then = [seen for seen in before.facts.seen if seen.label == target]
        today = [seen for seen in now.facts.seen if seen.label == target]
        places = [[(seen.context, seen.root) for seen in side] for side in (then, today)]
        if len(then) == len(today) == 1 and places[0] != places[1]:
            shown = (_place(then[0], today[0]), _place(today[0], then[0]))
            return iter([Difference("mount-source", f"{target}: source {change(*shown)}", target, *shown)])
        return file_changes(then, today, sources.lines, sources.came, sources.went)

    yield from mount_changes(was.get("mounts", []), is_.get("mounts", []), contents)


def _place(seen: Seen, other: Seen) -> str:
    """Return the path that a mount shows, and the tree it is in where the `other` mount shows another tree."""
    path = f"/{seen.root}"
    if seen.context == other.context:
        return path
    where = "a stage" if seen.context is None else f"context {seen.context}" if seen.context else "the context"
    return f"{path} of {where}"


def _copied(before: Look, now: Look, sources: Sources) -> Iterator[Difference]:
    """Compare what a COPY reads: sources that are named otherwise, then the files of the others."""
    was, is_ = before.document["inputs"], now.document["inputs"]
    if before.document["parents"] != now.document["parents"]:
        return  # other names are taken, and that is said already
    old, new = (list(dict.fromkeys(part["source"] for part in parts)) for parts in (was, is_))
    gone = [label for label in old if label not in new]
    come = [label for label in new if label not in old]
    if len(gone) == len(come):
        used = _used("source", before.facts, now.facts)
        # As many came as went: taken for one another, in order.
        pairs = zip(gone, come)
        yield from (Difference("source-changed", f"source {change(a, b)}{used}", "source", a, b) for a, b in pairs)
    else:
        yield from (Difference("source-added", f"source {label} added", label) for label in come)
        yield from (Difference("source-removed", f"source {label} removed", label) for label in gone)
    if not gone and not come and old != new:
        # Order decides which of two files of one name stays (C-5), so it is in the key.
        yield Difference("source-order", "sources in another order", "sources", " ".join(old), " ".join(new))
    for label in new:
        if label in old:
            then, today = ([part for part in side if part["source"] == label] for side in (was, is_))
            excludes = before.document["exclude"] != now.document["exclude"]
            yield from _part(label, then, today, before.facts, now.facts, sources, excludes=excludes)


def _part(
    label: str,
    was: list[JsonObject],
    now: list[JsonObject],
    before: Facts,
    after: Facts,
    sources: Sources,
    *,
    excludes: bool,
) -> Iterator[Difference]:
    """Compare the files of one source. When --exclude has changed, that says enough of files that came and went."""
    if was == now:
        return
    if label.startswith("<<"):
        yield Difference("heredoc", f"heredoc {label[2:]} changed", label[2:])
        return
    if len(was) == len(now) == 1:
        if was[0]["kind"] != now[0]["kind"]:
            yield changed("file-kind", label, was[0]["kind"], now[0]["kind"], colon=True)
            return
        for field in _REPOSITORY:
            if was[0].get(field) != now[0].get(field):
                what = f"{label}: {field.replace('_', ' ')}"
                yield changed("repository", what, was[0].get(field), now[0].get(field))._replace(subject=label)
        if all(was[0].get(field) == now[0].get(field) for field in _FILE_FIELDS):
            return
    then, today = ([seen for seen in facts.seen if seen.label == label] for facts in (before, after))
    if excludes:
        yield from file_changes(then, today, sources.lines, None, None)
        return
    found = list(file_changes(then, today, sources.lines, sources.came, sources.went))
    yield from found or [Difference("file-changed", f"{label} changed", label)]
