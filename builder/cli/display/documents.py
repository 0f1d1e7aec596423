"""What machines read: events, warnings and results as data (docs/errors.md), and who prints and writes them.

`--progress=rawjson` prints one object a line: `{"event": "step-started", …}` with the fields of the event.
"""

from __future__ import annotations

import json
import threading
import time
from typing import Any, TextIO

from builder.cli.display.results import write_json
from builder.engine.result import BuildResult
from builder.errors import PybuildError
from builder.solve import events as e
from builder.solve.event_json import encoded, error_to_json, location_to_json, name_of


class MachineReader:
    """Who reads a build as data: its events where there is a `stream`, its result where there is a file for it."""

    def __init__(self, stream: TextIO | None, metadata_file: str | None) -> None:
        self._stream = stream
        self._metadata_file = metadata_file
        self._lock = threading.Lock()
        self._warnings: list[e.Warned] = []

    def __call__(self, event: e.Event) -> None:
        """Print an event as one JSON object a line; keep a warning for the metadata file."""
        if isinstance(event, e.Warned):
            self._warnings.append(event)
        if self._stream is not None:
            line = json.dumps(_shown(event), ensure_ascii=True)
            with self._lock:
                self._stream.write(line + "\n")
                self._stream.flush()

    def fail(self, error: PybuildError) -> None:
        """Say why there is no image; the metadata file has the warnings before it, too."""
        self._write({"error": error_to_json(error)})
        if self._stream is not None:
            print(json.dumps({"event": "build-failed", "error": error_to_json(error)}), file=self._stream)

    def finish(self, result: BuildResult) -> None:
        """Write what was built."""
        self._write(result.metadata())

    def _write(self, document: dict[str, Any]) -> None:
        if self._metadata_file:
            warnings = [warning_to_json(warning) for warning in self._warnings]
            write_json(self._metadata_file, document | ({"pybuild.warnings": warnings} if warnings else {}))


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
