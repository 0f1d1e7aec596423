"""What is kept beside a cache record to say later, exactly, why the cache did not help; no part of any key.

{"base": ["docker.io/library/busybox:latest", "sha256:…"],      the image that the stage is FROM
 "below": [["sha256:…", "[2/3] COPY d /d"], …],                 layers the step stands on, and what made them
 "variables": [["destination", "V", "1"], …],                   which variables its words used
 "ignored": {"": ["*.log"]},                                    the ignore rules of contexts it reads
 "seen": [[{"label": "d", …}, 1234], …],                        what it read, and the length of its lines
 "warnings": [["SecretInLayer", "the value of …"]],             what is to be said of the layer whenever it is used
 "arguments": ["V"],                                            which variables of a RUN are build arguments
 "seconds": 2.1}                                                how long it took to make
newline, the lines (entry_line.py) of all that was seen; the whole compressed
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from builder.oci.canonical import JsonObject, JsonValue
from builder.oci.digest import Digest
from builder.solve.seen import Seen

_QUICKLY = 1
"""zlib's level. Most of the facts are digests, which no level makes smaller."""


class Facts(NamedTuple):
    base: tuple[str, str] | None = None
    """Reference, manifest digest."""
    below: tuple[tuple[str, str], ...] = ()
    """Diff ID, title of the step that made it ("" in the base image)."""
    variables: tuple[tuple[str, str, str], ...] = ()
    """Field, name, value."""
    ignored: Mapping[str, tuple[str, ...]] = {}
    seen: tuple[Seen, ...] = ()
    warnings: tuple[tuple[str, str], ...] = ()
    """Rule and message of what is to be said of the layer whenever it is used."""
    arguments: frozenset[str] = frozenset()
    """Which of a RUN's variables an ARG declares."""
    seconds: float | None = None
    """Wall time that the step took; None for facts from before it was kept."""

    def values(self, field: str) -> dict[str, str]:
        """Return the variables that the words of a field used."""
        return {name: value for of, name, value in self.variables if of == field}


NO_FACTS = Facts()


class FactsTable(Protocol):
    """The facts of records by key (builder.store.records.Facts)."""

    def find(self, key: Digest) -> bytes | None: ...


class HasFacts(Protocol):
    """A store."""

    @property
    def facts(self) -> FactsTable: ...


def facts_to_bytes(facts: Facts) -> bytes:
    """Return facts as they are kept."""
    head = facts._asdict() | {
        "arguments": sorted(facts.arguments),
        "seen": [[seen._replace(lines=b"")._asdict() | {"lines": ""}, len(seen.lines)] for seen in facts.seen],
    }
    # Lines lie behind the text and not in it: there may be tens of thousands, and JSON would escape each NUL of them.
    text = json.dumps(head, separators=(",", ":")).encode("ascii")
    return zlib.compress(b"".join([text, b"\n", *(seen.lines for seen in facts.seen)]), _QUICKLY)


def find_facts(store: HasFacts, key: str) -> Facts:
    """Return what is kept beside the record of a key; none for no key."""
    return facts_from_bytes(store.facts.find(Digest(key))) if key else NO_FACTS


def facts_from_bytes(data: bytes | None) -> Facts:
    """Read facts; none when there are none, or when they can't be read: they only explain."""
    if data is None:
        return NO_FACTS
    try:
        text, _, lines = zlib.decompress(data).partition(b"\n")
        return _facts(json.loads(text), lines)
    except (ValueError, KeyError, TypeError, zlib.error):
        return NO_FACTS


def _facts(head: JsonObject, lines: bytes) -> Facts:
    seen = []
    for item, length in head["seen"]:
        seen.append(Seen(**(item | {"layers": tuple(item["layers"]), "lines": lines[:length]})))
        lines = lines[length:]
    return Facts(
        base=tuple(head["base"]) if head["base"] else None,
        below=_tuples(head["below"]),
        variables=_tuples(head["variables"]),
        ignored={name: tuple(rules) for name, rules in head["ignored"].items()},
        seen=tuple(seen),
        # Facts without the member are of the same version, from before there were warnings.
        warnings=_tuples(head.get("warnings", ())),
        arguments=frozenset(head.get("arguments", ())),
        seconds=head.get("seconds"),
    )


def _tuples(items: Iterable[JsonValue]) -> tuple[JsonValue, ...]:
    return tuple(tuple(item) for item in items)
