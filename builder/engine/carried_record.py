"""A build record on its way: with the preimages of its steps, attached to the image in a registry.

    {"format": 2, "record": {…}, "preimages": {"sha256:…": "…"}, "seconds": {"sha256:…": 2.1}}

`record` is as builder.engine.build_record keeps it, preimages are the texts that the cache keys are the digests of;
`seconds` says how long steps took that came from the cache. Whoever has the image gets no more values of ARG and ENV
than its history tells: neither those of before, nor preimages of stages that are not in the image. Files that steps
read are not among it, either. What comes from a registry is anybody's: types are checked member by member, and
preimages against their digests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from builder.engine.build_record import BuildRecord, record_from_json, steps_below
from builder.engine.typed import is_typed
from builder.oci.canonical import JsonObject, encode
from builder.oci.digest import Digest, digest_of
from builder.solve.difference import Difference
from builder.solve.event_json import event_from_json, event_to_json
from builder.solve.events import Event, StepStarted
from builder.solve.reason.facts import find_facts
from builder.store import formats
from builder.store.store import Store

ARTIFACT_TYPE = "application/vnd.pybuild.build-record.v1+json"


_STARTED = tuple[int, str, str, str, tuple[Difference, ...], int]
"""What the members of a StepStarted are."""


class CarriedRecord(NamedTuple):
    """A record with what explains it."""

    record: BuildRecord
    preimages: Mapping[str, bytes]
    """By cache key."""
    seconds: Mapping[str, float]


def carried_to_bytes(store: Store, record: BuildRecord) -> bytes:
    """Return a record of this store as it is carried."""
    keys = {step.key for image in record.images for step in image.steps if step.key}
    shown = _keys_in_image(record)
    preimages, seconds = {}, {}
    for key in sorted(keys):
        if key in shown and (preimage := store.records.preimage(Digest(key))) is not None:
            preimages[key] = preimage.decode("utf-8", "surrogatepass")
        if (took := find_facts(store, key).seconds) is not None:
            seconds[key] = took
    document = {
        "format": formats.RECORD,
        "record": _without_values(record)._asdict(),
        "preimages": preimages,
        "seconds": seconds,
    }
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def _keys_in_image(record: BuildRecord) -> set[str]:
    """Return the cache keys of the steps that the images are made of, and not only something they copy from."""
    results = dict(record.results)
    found: set[str] = set()
    for image in record.images:
        in_image = set(steps_below(record.steps_for(image.platform), results.get(image.platform)))
        found.update(step.key for step in image.steps if step.step in in_image)
    return found


def _without_values(record: BuildRecord) -> BuildRecord:
    """Return the record without what variables hold or held, as reasons tell it."""
    events, reasons = [], {}
    for seconds, event in record.events:
        if differences := event.get("differences"):
            cut = [_without_value(each) for each in differences]
            more = f" and {len(cut) - 1} more" if len(cut) > 1 else ""
            reason = event["reason"] if cut == differences else cut[0]["words"] + more
            event = event | {"differences": cut, "reason": reason}
            reasons[event.get("platform", ""), event["step"]] = reason
        events.append((seconds, event))
    one = len(record.images) == 1
    images = tuple(
        image._replace(
            steps=tuple(
                step._replace(reason=reasons.get(("" if one else image.platform, step.step), step.reason))
                for step in image.steps
            )
        )
        for image in record.images
    )
    return record._replace(events=tuple(events), images=images)


def _without_value(difference: JsonObject) -> JsonObject:
    what, _, happened = difference["kind"].partition("-")
    if what not in ("argument", "variable"):
        return difference
    name = {"argument": "ARG", "variable": "ENV"}[what]
    return {
        "kind": difference["kind"],
        "words": f"{name} {difference.get('subject', '')} {happened}",
        "subject": difference.get("subject", ""),
    }


def carried_from_bytes(data: bytes) -> CarriedRecord | None:
    """Read what was carried; None for another format, or what is no record at all."""
    try:
        document = json.loads(data)
        if document["format"] != formats.RECORD:
            return None
        record = record_from_json(document["record"])
        started = [(seconds, event_from_json(event)) for seconds, event in record.events if _is_start(event)]
        if not is_typed(record, BuildRecord) or not all(_is_sound(event) for _, event in started):
            return None
        # Why steps ran is all that is asked of its events later.
        record = record._replace(events=tuple((seconds, event_to_json(event)) for seconds, event in started))
        preimages = {
            key: raw
            for key, text in _dictionary(document["preimages"], str).items()
            if digest_of(raw := text.encode("utf-8", "surrogatepass")) == key
        }
        return CarriedRecord(record, preimages, _dictionary(document["seconds"], (int, float)))
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None


def _is_start(event: JsonObject) -> bool:
    return bool(event["event"] == "step-started")


def _is_sound(event: Event) -> bool:
    return isinstance(event, StepStarted) and is_typed(tuple(event), _STARTED)


def keep_carried(store: Store, manifest: str, data: bytes) -> None:
    """Keep what came with an image, to be found by its manifest or index."""
    store.documents.put(_key(manifest), data)


def find_carried(store: Store, manifest: str) -> CarriedRecord | None:
    """Return the record that came with a manifest or index, if one did."""
    data = store.documents.find(_key(manifest))
    return None if data is None else carried_from_bytes(data)


def _key(manifest: str) -> Digest:
    return digest_of(encode({"carried": formats.RECORD, "manifest": manifest}))


def _dictionary(value: Any, kind: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(each, kind) for each in value.values()):
        raise TypeError(value)
    return value
