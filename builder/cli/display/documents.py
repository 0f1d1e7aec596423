"""What machines read: events and warnings as data (docs/errors.md), and the display that prints them.

`--progress=rawjson` prints one object a line: `{"event": "step-started", …}` with the fields of the event.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TextIO

from builder.solve import events as e
from builder.solve.event_json import encoded, location_to_json, name_of


class JsonDisplay:
    """Prints each event as one JSON object a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def __call__(self, event: e.Event) -> None:
        line = json.dumps(_shown(event), ensure_ascii=True)
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()


def warning_to_json(warning: e.Warned) -> dict[str, object]:
    """Return a warning as data."""
    return {"rule": warning.rule, "message": warning.message, "location": location_to_json(warning.location)}


def _shown(event: e.Event) -> dict[str, object]:
    """Return all fields of an event, but for a platform where there is only one; output is text that can be printed."""
    document: dict[str, object] = {"event": name_of(event), "time": round(time.time(), 6)}
    for name, value in event._asdict().items():
        if name != "platform" or value:
            document[name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else encoded(value)
    return document
