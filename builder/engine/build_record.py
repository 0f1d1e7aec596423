"""The record of one build: what it did, step by step, in a form that later builds and `explain` read.

    {"format": 1, "version": "0.1.0", "began": ns since 1970, "seconds": 3.2, "target": "app",
     "manifest": "sha256:…", "names": ["docker.io/library/app:latest"],
     "images": [[platform, image ID, layers, bytes, [[step, title, stage, cached, key, layer, …], …], […]], …],
     "steps":  [[platform, step, line, file], …],           where in the Dockerfile each step stands
     "events": [[0.012, {"event": "step-started", …}], …]}  all but output, with the seconds since the build began

Kept in the store under its digest, and found by the manifest (or index) it made. A step's preimage, and the facts
beside it, are kept under the step's key. Records go when nobody has built the same for a while (builder.store.prune).
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from builder import __version__
from builder.engine.result import ImageReport, StepReport
from builder.errors import StoreError
from builder.oci.canonical import encode
from builder.oci.digest import Digest, digest_of
from builder.solve.events import BlobProgress, StepOutput, Warned
from builder.store import formats

if TYPE_CHECKING:
    from builder.engine.result import BuildResult
    from builder.plan.plan import Plan
    from builder.solve.events import Event, EventSink
    from builder.store.store import Store


class StepLine(NamedTuple):
    """The line of the Dockerfile that a step of the plan for `platform` stands in; steps without one are left out."""

    platform: str
    step: int
    line: int
    file: str


class BuildRecord(NamedTuple):
    began: int
    """Nanoseconds since 1970."""
    seconds: float
    target: str
    manifest: str
    names: tuple[str, ...]
    images: tuple[ImageReport, ...]
    steps: tuple[StepLine, ...]
    events: tuple[tuple[float, dict[str, Any]], ...]
    """(seconds since the build began, event as builder.solve.event_json has it), in the order they came in."""

    def is_repeated_by(self, other: BuildRecord) -> bool:
        """Say whether `other` is the record of the same build again, with every step cached."""
        return (
            other.images == tuple(image.all_cached() for image in self.images)
            and (other.target, other.steps) == (self.target, self.steps)
            and set(other.warnings()) == set(self.warnings())
        )

    def warnings(self) -> tuple[Warned, ...]:
        """Return the warnings of the build."""
        said = [event for _, event in self.events if event["event"] == "warning"]
        if not said:
            return ()
        from builder.solve.event_json import event_from_json  # the warm path: most builds have none

        return tuple(event for event in map(event_from_json, said) if isinstance(event, Warned))


class Recorder:
    """An event sink that passes everything on, and keeps all but output."""

    def __init__(self, sink: EventSink, began_ns: int) -> None:
        self._sink = sink
        self._began_ns = began_ns
        self._lock = Lock()
        self._events: list[tuple[float, Event]] = []

    def __call__(self, event: Event) -> None:
        is_passing = isinstance(event, StepOutput) or (isinstance(event, BlobProgress) and event.state == "moving")
        if not is_passing:
            with self._lock:
                self._events.append((round((time.time_ns() - self._began_ns) / 1e9, 6), event))
        self._sink(event)

    def record(self, result: BuildResult, plans: tuple[tuple[str, Plan], ...]) -> BuildRecord:
        """Return the record of a build that has ended; `plans` are its plans by platform."""
        from builder.solve.event_json import event_to_json

        with self._lock:
            events = tuple((seconds, event_to_json(event)) for seconds, event in self._events)
        return BuildRecord(
            began=self._began_ns,
            seconds=round(result.seconds, 6),
            target=plans[0][1].target,
            manifest=str(result.descriptor.digest),
            names=result.names,
            images=result.images,
            steps=tuple(
                StepLine(platform, step.id, step.location.line, step.location.file)
                for platform, plan in plans
                for step in plan.steps
                if step.location is not None
            ),
            events=events,
        )


def keep_record(store: Store, record: BuildRecord) -> Digest:
    """Keep a record and return its digest; that of the last record, when this build only repeats it."""
    last = _last_of(store, record.manifest)
    before = None if last is None else find_record(store, last)
    if last is not None and before is not None and before.is_repeated_by(record):
        return last
    return put_record(store, record)


def put_record(store: Store, record: BuildRecord) -> Digest:
    """Keep a record, and that it is the last one of its manifest; return its digest."""
    document = {"format": formats.RECORD, "version": __version__} | record._asdict()
    data = json.dumps(document, separators=(",", ":")).encode("ascii")
    digest = digest_of(data)
    with suppress(StoreError):  # a store that can only be read builds all the same
        store.documents.put(digest, data)
        store.documents.put(_key_of(record.manifest), digest.encode("ascii"))
    return digest


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
    digest = _last_of(store, manifest)
    return None if digest is None else find_record(store, digest)


def _last_of(store: Store, manifest: str) -> Digest | None:
    found = store.documents.find(_key_of(manifest))
    return None if found is None else Digest(found.decode("ascii", "replace"))


def _key_of(manifest: str) -> Digest:
    return digest_of(encode({"record": formats.RECORD, "manifest": manifest}))


def _read(data: bytes) -> BuildRecord:
    document = json.loads(data)
    if document.pop("format") != formats.RECORD:
        raise ValueError("a record of another format")
    del document["version"]
    return BuildRecord(
        **document
        | {
            "names": tuple(document["names"]),
            "images": tuple(
                ImageReport(platform, image_id, layers, size, tuple(StepReport(*step) for step in steps), tuple(unused))
                for platform, image_id, layers, size, steps, unused in document["images"]
            ),
            "steps": tuple(StepLine(*step) for step in document["steps"]),
            "events": tuple((seconds, event) for seconds, event in document["events"]),
        }
    )
