"""The record of one build: what it did, step by step, in a form that later builds and `explain` read.

    {"format": 1, "version": "0.1.0", "began": ns since 1970, "seconds": 3.2, "target": "app",
     "manifest": "sha256:…", "names": ["docker.io/library/app:latest"],
     "images": [[platform, image ID, layers, bytes, [[step, title, stage, cached, key, layer, …], …], […]], …],
     "steps":  [[platform, step, line, file], …],           where in the Dockerfile each step stands
     "events": [[0.012, {"event": "step-started", …}], …]}  all but output, with the seconds since the build began

Made by recorder.py; kept in the store under its digest, and found by the manifest (or index) it made. A step's
preimage, and the facts beside it, are kept under the step's key. Records go when nobody has built the same for a while
(builder.store.prune).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from builder.engine.result import ImageReport, StepReport
from builder.errors import Location
from builder.oci.canonical import JsonObject, encode
from builder.oci.digest import Digest, digest_of
from builder.solve.events import Warned
from builder.store import formats
from builder.store.store import Store


class RecordedStep(NamedTuple):
    """A step of the plan for a platform: where it stands in the Dockerfile, and in the graph of steps."""

    platform: str
    step: int
    line: int
    """From 1; 0 for a step that the Dockerfile does not spell out."""
    last_line: int
    file: str
    parent: int | None
    """The step whose file system it stands on."""
    reads: tuple[int, ...]
    """Steps whose file systems it copies from or mounts."""


class BuildRecord(NamedTuple):
    began: int
    """Nanoseconds since 1970."""
    seconds: float
    target: str
    manifest: str
    names: tuple[str, ...]
    images: tuple[ImageReport, ...]
    steps: tuple[RecordedStep, ...]
    results: tuple[tuple[str, int | None], ...]
    """For each platform, the step whose file system the image has; None for an empty one."""
    dockerfile: tuple[str, str]
    """What it is called, and its text."""
    events: tuple[tuple[float, JsonObject], ...]
    """(seconds since the build began, event as builder.solve.event_json has it), in the order they came in."""

    def is_repeated_by(self, other: BuildRecord) -> bool:
        """Say whether `other` is of the same build once more, for which nothing was left to do."""
        # Cached or not is all that differs when a build is done again; times and reasons are of the day.
        return (
            other.images == tuple(image.all_cached() for image in self.images)
            and (other.target, other.steps, other.dockerfile) == (self.target, self.steps, self.dockerfile)
            and set(other.warnings()) == set(self.warnings())
        )

    def steps_for(self, platform: str) -> dict[int, RecordedStep]:
        """Return the steps of the plan for a platform, by number."""
        return {step.step: step for step in self.steps if step.platform == platform}

    def warnings(self) -> tuple[Warned, ...]:
        """Return what was warned of."""
        return tuple(_warning(event) for _, event in self.events if event["event"] == "warning")


def steps_below(recorded: Mapping[int, RecordedStep], step: int | None) -> tuple[int, ...]:
    """Return a step and those whose file systems it stands on, one upon the other; `recorded` is by number.

    None stands on nothing. A way that leads in a circle ends where it begins anew.
    """
    found: dict[int, None] = {}
    while step is not None and step in recorded and step not in found:
        found[step] = None
        step = recorded[step].parent
    return tuple(found)


def find_record(store: Store, digest: Digest) -> BuildRecord | None:
    """Return a record by its digest; None when it is gone, damaged or of another format."""
    data = store.documents.find(digest)
    if data is None or digest_of(data) != digest:
        return None  # a receipt would repeat its warnings and steps: what was altered must not be believed
    try:
        return _read(data)
    except (ValueError, KeyError, TypeError):
        return None


def record_of(store: Store, manifest: Digest) -> BuildRecord | None:
    """Return the record of the last build that made a manifest or index."""
    digest = last_of(store, manifest)
    return None if digest is None else find_record(store, digest)


def last_of(store: Store, manifest: str) -> Digest | None:
    """Return the digest of the last record of a manifest or index."""
    found = store.documents.find(key_of(manifest))
    return None if found is None else Digest(found.decode("ascii", "replace"))


def key_of(manifest: str) -> Digest:
    """Return what the digest of the last record of a manifest is kept under."""
    return digest_of(encode({"record": formats.RECORD, "manifest": manifest}))


def _read(data: bytes) -> BuildRecord:
    document = json.loads(data)
    # Another version of pybuild may have written it: then a receipt has nothing to show, and the
    # build goes the long way.
    if document.pop("format") != formats.RECORD:
        raise ValueError("a record of another format")
    # For whoever reads the JSON; the format alone says whether it can be read.
    del document["version"]
    return record_from_json(document)


def record_from_json(document: JsonObject) -> BuildRecord:
    """Return the record that the members of a document are; of their types only the outer ones are seen to.

    Raises KeyError, TypeError, ValueError, IndexError.
    """
    return BuildRecord(
        **document
        | {
            "names": tuple(document["names"]),
            "images": tuple(
                ImageReport(platform, image_id, layers, size, tuple(StepReport(*step) for step in steps), tuple(unused))
                for platform, image_id, layers, size, steps, unused in document["images"]
            ),
            "steps": tuple(RecordedStep(*step)._replace(reads=tuple(step[-1])) for step in document["steps"]),
            "results": tuple((platform, step) for platform, step in document["results"]),
            "dockerfile": tuple(document["dockerfile"]),
            "events": tuple((seconds, event) for seconds, event in document["events"]),
        }
    )


def _warning(document: JsonObject) -> Warned:
    """Do what `event_from_json` does, for the one kind of event that a receipt shows again."""
    known: JsonObject = {"file": "", "line": 0}
    location = Location(**known | document["location"]) if "location" in document else None
    return Warned(document["rule"], document["message"], location)
