"""What machines read: events, warnings and errors as data (docs/errors.md), and the display that prints them.

`--progress=rawjson` prints one object a line: `{"event": "step-started", …}` with the fields of the event.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TextIO

from builder.errors import Location, PybuildError, SourceError, StepFailed
from builder.solve import events as e

EVENT_NAMES: dict[type, str] = {
    e.BuildStarted: "build-started",
    e.StepStarted: "step-started",
    e.StepOutput: "step-output",
    e.StepCached: "step-cached",
    e.StepFinished: "step-finished",
    e.StepErrored: "step-failed",
    e.StepCancelled: "step-cancelled",
    e.Noted: "note",
    e.Warned: "warning",
    e.ImageWritten: "image-written",
}


class JsonDisplay:
    """Prints each event as one JSON object a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def __call__(self, event: e.Event) -> None:
        line = json.dumps(event_to_json(event), ensure_ascii=True)
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()


def event_to_json(event: e.Event) -> dict[str, object]:
    """Return the event's name and fields as JSON values; output lines are text with replacement characters."""
    document: dict[str, object] = {"event": EVENT_NAMES[type(event)], "time": round(time.time(), 6)}
    match event:
        case e.StepOutput(step, line):
            return document | {"step": step, "line": line.decode("utf-8", "replace")}
        case e.StepErrored(step, title, error):
            return document | {"step": step, "title": title, "error": error_to_json(error)}
        case e.Warned():
            return document | warning_to_json(event)
        case _:
            return document | event._asdict()


def location_to_json(location: Location | None) -> dict[str, object] | None:
    """Return a location as an object, without the members that are unknown."""
    return {key: value for key, value in location._asdict().items() if value} if location else None


def warning_to_json(warning: e.Warned) -> dict[str, object]:
    """Return a warning as data."""
    return {"rule": warning.rule, "message": warning.message, "location": location_to_json(warning.location)}


def error_to_json(error: PybuildError) -> dict[str, object]:
    """Return an error as data: what `--progress=rawjson` and `--metadata-file` carry."""
    document: dict[str, object] = {"kind": type(error).__name__, "message": error.message, "exit_code": error.exit_code}
    if error.hint:
        document["hint"] = error.hint
    if isinstance(error, SourceError):
        if error.location:
            document["location"] = location_to_json(error.location)
        if error.others:
            document["others"] = [error_to_json(other) for other in error.others]
    if isinstance(error, StepFailed):
        document["step"] = error.step
        document["command_exit_code"] = error.command_exit_code
        document["tail"] = list(error.tail)
    return document
