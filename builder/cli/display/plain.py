"""The display for pipes and logs: plain lines.

Plain follows the habit of docker's: `#4 [2/3] RUN make`, `#4 0.31 output`, `#4 DONE 0.4s`. A step that the cache could
not serve says why on the line below its title. Nothing is clipped.
"""

from __future__ import annotations

import threading
import time
from typing import TextIO

from builder.cli.display.text import blob_line, clean, last_written, size_text
from builder.errors import counted
from builder.oci.digest import short_digest
from builder.solve import events as e


class PlainDisplay:
    """Prints each event as lines to `stream`, at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._numbers: dict[tuple[str, int], int] = {}
        self._started: dict[tuple[str, int], float] = {}
        self._first = False
        self._lock = threading.Lock()

    def __call__(self, event: e.Event) -> None:
        with self._lock:
            for line in self._lines(event):
                self._stream.write(line + "\n")
            # At once: a log is watched while it grows.
            self._stream.flush()

    def _number(self, step: tuple[str, int]) -> int:
        """Return the number that lines of a step begin with: the plans of two platforms number theirs alike."""
        return self._numbers.setdefault(step, len(self._numbers) + 1)

    def _lines(self, event: e.Event) -> list[str]:
        match event:
            case e.StepStarted(step, title, reason, platform):
                self._started[platform, step] = time.monotonic()
                number = self._number((platform, step))
                # Of a first build every step would say the same.
                said = [f"#{number} ({clean(reason)})"] if reason and not self._first else []
                return [f"#{number} {clean(title)}", *said]
            case e.StepOutput(step, line, platform):
                elapsed = time.monotonic() - self._started.get((platform, step), time.monotonic())
                text = clean(last_written(line.decode("utf-8", "replace")))
                return [f"#{self._number((platform, step))} {elapsed:.3f} {text}"]
            case e.StepCached(step, title, platform=platform):
                number = self._number((platform, step))
                return [f"#{number} {clean(title)}", f"#{number} CACHED"]
            case e.StepFinished(step, _, seconds, layer, files, size, platform=platform):
                made = f" {short_digest(layer)} {counted(files, 'file')} {size_text(size)}" if layer else ""
                return [f"#{self._number((platform, step))} DONE {seconds:.1f}s{made}"]
            case e.StepErrored(step, _, error, platform):
                return [f"#{self._number((platform, step))} ERROR: {clean(error.message)}"]
            case e.StepCancelled(step, _, platform):
                return [f"#{self._number((platform, step))} CANCELED"]
            case e.Noted(text):
                return [f"note: {clean(text)}"]
            case e.Warned(rule, message, location):
                where = f" (line {location.line})" if location and location.line else ""
                return [f"warning: {clean(rule + ': ' if rule else '')}{clean(message)}{where}"]
            case e.BuildStarted(_, _, first):
                self._first = first
                return []
            case e.BlobProgress(digest, state, size, _, seconds):
                return [] if state == "moving" else [blob_line(digest, state, size, seconds)]
            case e.ImageWritten():
                return []


class WarningsDisplay:
    """Prints warnings alone, for commands that build nothing and have an answer of their own."""

    def __init__(self, stream: TextIO) -> None:
        self._plain = PlainDisplay(stream)

    def __call__(self, event: e.Event) -> None:
        if isinstance(event, e.Warned):
            self._plain(event)
