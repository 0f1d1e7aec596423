"""Why the cache did not help: today's step compared with the last one of its kind, exactly.

What is compared are preimages (cache_key.py), which hold all that can reach a result, and the facts kept beside them
(facts.py), which say what the digests in them were of. The answer is one clause for a display, and how many more there
are. The reasons are

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
from builder.solve.reason.facts import NO_FACTS, Facts
from builder.solve.reason.files import Lines, Why, file_changes
from builder.solve.reason.mounts import mount_changes
from builder.solve.reason.words import change, instruction, step_changes
from builder.solve.seen import Seen

FIRST_BUILD = "not built here before"
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

    below: Callable[[], Iterator[str]]
    """Gives the changes below the step."""
    lines: Lines
    came: Why
    went: Why


def read_look(preimage: bytes, facts: Facts) -> Look:
    """Return the look that a preimage and facts describe."""
    return Look(json.loads(preimage), facts)


def main_reason(before: Look, now: Look, sources: Sources) -> str:
    """Return the clause a display shows for a step that must run, with how many more there are; "" for none."""
    found = differences(before, now, sources)
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return found[0] + more if found else ""


def differences(before: Look, now: Look, sources: Sources) -> tuple[str, ...]:
    """Return everything that differs, the nearest to the user's hand first."""
    was, is_ = before.document, now.document
    if was["version"] != is_["version"]:
        # Nothing else is said: members of another format may mean something else.
        return (f"pybuild's cache format {change(was['version'], is_['version'])}",)
    if was["operation"] != is_["operation"]:
        # Of two instructions every member differs, and that one has become another says all.
        return (f"instruction {change(instruction(was), instruction(is_))}",)
    found = [words + _used(field, before.facts, now.facts) for field, words in step_changes(was, is_)]
    found += _inputs(before, now, sources)
    if was.get("parent") != is_.get("parent"):
        found += sources.below()
    return tuple(dict.fromkeys(found))


def _used(field: str, before: Facts, now: Facts) -> str:
    """Return in brackets which variables of a field's words hold something else now."""
    was, is_ = before.values(field), now.values(field)
    names = [name for name in is_ if name in was and was[name] != is_[name]]
    return f" ({', '.join(names)})" if names else ""


def _inputs(before: Look, now: Look, sources: Sources) -> Iterator[str]:
    was, is_ = before.document.get("inputs"), now.document.get("inputs")
    if was == is_ or was is None or is_ is None:
        return
    if isinstance(was, list) and isinstance(is_, list):
        yield from _copied(before, now, sources)
        return

    def contents(target: str) -> Iterator[str]:
        then = [seen for seen in before.facts.seen if seen.label == target]
        today = [seen for seen in now.facts.seen if seen.label == target]
        places = [[(seen.context, seen.root) for seen in side] for side in (then, today)]
        if len(then) == len(today) == 1 and places[0] != places[1]:
            return iter([f"{target}: source {change(_place(then[0], today[0]), _place(today[0], then[0]))}"])
        return file_changes(then, today, sources.lines, sources.came, sources.went)

    yield from mount_changes(was.get("mounts", []), is_.get("mounts", []), contents)


def _place(seen: Seen, other: Seen) -> str:
    """Return the path that a mount shows, and the tree it is in where the `other` mount shows another tree."""
    path = f"/{seen.root}"
    if seen.context == other.context:
        return path
    where = "a stage" if seen.context is None else f"context {seen.context}" if seen.context else "the context"
    return f"{path} of {where}"


def _copied(before: Look, now: Look, sources: Sources) -> Iterator[str]:
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
        yield from (f"source {change(a, b)}{used}" for a, b in zip(gone, come))
    else:
        yield from (f"source {label} added" for label in come)
        yield from (f"source {label} removed" for label in gone)
    if not gone and not come and old != new:
        # Order decides which of two files of one name stays (C-5), so it is in the key.
        yield "sources in another order"
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
) -> Iterator[str]:
    """Compare the files of one source. When --exclude has changed, that says enough of files that came and went."""
    if was == now:
        return
    if label.startswith("<<"):
        yield f"heredoc {label[2:]} changed"
        return
    if len(was) == len(now) == 1:
        if was[0]["kind"] != now[0]["kind"]:
            yield f"{label}: {change(was[0]['kind'], now[0]['kind'])}"
            return
        for field in _REPOSITORY:
            if was[0].get(field) != now[0].get(field):
                yield f"{label}: {field.replace('_', ' ')} {change(was[0].get(field), now[0].get(field))}"
        if all(was[0].get(field) == now[0].get(field) for field in _FILE_FIELDS):
            return
    then, today = ([seen for seen in facts.seen if seen.label == label] for facts in (before, after))
    if excludes:
        yield from file_changes(then, today, sources.lines, None, None)
        return
    found = list(file_changes(then, today, sources.lines, sources.came, sources.went))
    yield from found or [f"{label} changed"]
