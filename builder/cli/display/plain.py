"""The display for pipes and logs: plain lines.

Plain follows the habit of docker's: `#4 [2/3] RUN make`, `#4 0.31 output`, `#4 DONE 0.4s`. A step that the cache could
not serve says why on the line below its title. Nothing is clipped.
"""

from __future__ import annotations

import threading
import time
from typing import TextIO

from builder.cli.display.text import clean, last_written, short_digest, size_text
from builder.solve import events as e


class PlainDisplay:
    """Prints each event as lines to `stream`, at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._numbers: dict[int, int] = {}
        self._started: dict[int, float] = {}
        self._first = False
        self._lock = threading.Lock()

    def __call__(self, event: e.Event) -> None:
        with self._lock:
            for line in self._lines(event):
                self._stream.write(line + "\n")
            self._stream.flush()

    def _number(self, step: int) -> int:
        return self._numbers.setdefault(step, len(self._numbers) + 1)

    def _lines(self, event: e.Event) -> list[str]:
        match event:
            case e.StepStarted(step, title, reason):
                self._started[step] = time.monotonic()
                head = f"#{self._number(step)} {clean(title)}"
                # Of a first build every step would say the same.
                return [head, f"#{self._number(step)} ({clean(reason)})"] if reason and not self._first else [head]
            case e.StepOutput(step, line):
                elapsed = time.monotonic() - self._started.get(step, time.monotonic())
                return [f"#{self._number(step)} {elapsed:.3f} {clean(last_written(line.decode('utf-8', 'replace')))}"]
            case e.StepCached(step, title):
                return [f"#{self._number(step)} {clean(title)}", f"#{self._number(step)} CACHED"]
            case e.StepFinished(step, _, seconds, layer, files, size):
                made = f" {short_digest(layer)} {files} files {size_text(size)}" if layer else ""
                return [f"#{self._number(step)} DONE {seconds:.1f}s{made}"]
            case e.StepErrored(step, _, error):
                return [f"#{self._number(step)} ERROR: {clean(error.message)}"]
            case e.StepCancelled(step, _):
                return [f"#{self._number(step)} CANCELED"]
            case e.Noted(text):
                return [f"note: {clean(text)}"]
            case e.Warned(rule, message, location):
                where = f" (line {location.line})" if location and location.line else ""
                return [f"warning: {clean(rule + ': ' if rule else '')}{clean(message)}{where}"]
            case e.BuildStarted(_, _, first):
                self._first = first
                return []
            case e.ImageWritten():
                return []


class WarningsDisplay:
    """Prints warnings alone, for commands that build nothing and have an answer of their own."""

    def __init__(self, stream: TextIO) -> None:
        self._plain = PlainDisplay(stream)

    def __call__(self, event: e.Event) -> None:
        if isinstance(event, e.Warned):
            self._plain(event)
