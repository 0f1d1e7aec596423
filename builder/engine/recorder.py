"""Makes the record of a build while it goes on, and keeps it (build_record.py says what is in it, and reads it)."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from threading import Lock

from builder import __version__
from builder.engine.build_record import BuildRecord, RecordedStep, find_record, key_of, last_of
from builder.engine.result import BuildResult
from builder.errors import Location, StoreError
from builder.oci.digest import Digest, digest_of
from builder.plan.plan import Plan
from builder.plan.step import Op, Step, steps_read
from builder.solve.event_json import event_to_json
from builder.solve.events import BlobProgress, Event, EventSink, StepOutput
from builder.store import formats
from builder.store.store import Store
from builder.web.address import with_masked_credentials


class Recorder:
    """An event sink that passes everything on, and keeps all but output."""

    def __init__(self, sink: EventSink, began_ns: int) -> None:
        self._sink = sink
        self._began_ns = began_ns
        self._lock = Lock()
        self._events: list[tuple[float, Event]] = []

    def __call__(self, event: Event) -> None:
        # Output may be large, and may hold what was not meant to be kept (docs/decisions/0019).
        is_passing = isinstance(event, StepOutput) or (isinstance(event, BlobProgress) and event.state == "moving")
        if not is_passing:
            with self._lock:
                self._events.append((round((time.time_ns() - self._began_ns) / 1e9, 6), event))
        # Outside of the lock: a display may take its time, and steps on other threads report, too.
        self._sink(event)

    def record(
        self, result: BuildResult, plans: tuple[tuple[str, Plan], ...], dockerfile: tuple[str, str]
    ) -> BuildRecord:
        """Return the record of a build that has ended; `plans` are by platform, `dockerfile` is name and text."""
        with self._lock:
            events = tuple((seconds, event_to_json(event)) for seconds, event in self._events)
        return BuildRecord(
            began=self._began_ns,
            seconds=round(result.seconds, 6),
            target=plans[0][1].target,
            manifest=str(result.descriptor.digest),
            names=result.names,
            images=result.images,
            steps=tuple(_recorded(platform, step) for platform, plan in plans for step in plan.steps),
            results=tuple((platform, plan.image.result) for platform, plan in plans),
            dockerfile=(dockerfile[0], with_masked_credentials(dockerfile[1])),
            events=events,
        )


def _recorded(platform: str, step: Step[Op]) -> RecordedStep:
    location = step.label.location or Location("", 0)
    reads = tuple(dict.fromkeys(steps_read(step)))
    last_line = max(location.line, location.end_line)
    return RecordedStep(platform, step.id, location.line, last_line, location.file, step.parent, reads)


def keep_record(store: Store, record: BuildRecord) -> Digest:
    """Keep a record and return its digest; that of the last record, when this build only repeats it."""
    last = last_of(store, record.manifest)
    before = None if last is None else find_record(store, last)
    if last is not None and before is not None and before.is_repeated_by(record):
        with suppress(StoreError):
            # Documents go when nobody has put them for a month; an idle build puts nothing, and its
            # record is still of use.
            store.documents.renew(last, key_of(record.manifest))
        return last
    return put_record(store, record)


def put_record(store: Store, record: BuildRecord) -> Digest:
    """Keep a record, and that it is the last one of its manifest; return its digest."""
    document = {"format": formats.RECORD, "version": __version__} | record._asdict()
    # ASCII, with lone surrogates as escapes: names of files need not be UTF-8.
    data = json.dumps(document, separators=(",", ":")).encode("ascii")
    digest = digest_of(data)
    with suppress(StoreError):  # a store that can only be read builds all the same
        store.documents.put(digest, data)
        store.documents.put(key_of(record.manifest), digest.encode("ascii"))
    return digest
