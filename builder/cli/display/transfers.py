"""What a pull or a push shows: a bar for each blob on a terminal, and one line for each when it is there.

9b2f0c1a77de: Pull complete         as docker says it: Pull complete, Pushed, Already exists, Layer already exists
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from builder.oci.digest import short_digest
from builder.solve import events as e

if TYPE_CHECKING:
    from rich.live import Live

PULLED: Mapping[str, str] = {"done": "Pull complete", "present": "Already exists"}
PUSHED: Mapping[str, str] = {"done": "Pushed", "present": "Layer already exists"}
COPIED: Mapping[str, str] = {"done": "Copied", "present": "Already exists"}


class TransferDisplay:
    """A sink of events, and a context manager: leaving it leaves the cursor below what was printed.

    Each blob has its line once: a push says of a layer twice that it is there.
    """

    def __init__(self, words: Mapping[str, str], stream: TextIO | None = None) -> None:
        self._words = words
        self._stream = stream or sys.stdout
        self._moving: dict[str, e.BlobProgress] = {}
        self._said: set[str] = set()
        self._lock = threading.Lock()
        self._live: Live | None = None
        if self._stream.isatty():
            from builder.cli.display.transfer_bars import live_bars  # gate: rare. rich is the slowest import of all

            # A copy: blobs come and go while rich draws, on a thread of its own.
            self._live = live_bars(self._stream, lambda: list(self._moving.values()))

    def __enter__(self) -> TransferDisplay:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What is left was cut short, by an error or by Ctrl-C: no bar of it stays on the screen.
        self._moving.clear()
        if self._live is not None:
            self._live.stop()

    def __call__(self, event: e.Event) -> None:
        if not isinstance(event, e.BlobProgress):
            return
        with self._lock:
            if event.state == "moving":
                self._moving[event.digest] = event
                return
            self._moving.pop(event.digest, None)
            if event.digest in self._said:
                return
            self._said.add(event.digest)
            self.say(f"{short_digest(event.digest)}: {self._words[event.state]}")

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        if self._live is None:
            print(line, file=self._stream, flush=True)
        else:
            # Not as rich's markup: brackets in a line are brackets.
            self._live.console.print(line, markup=False, soft_wrap=True)


class LateTransferDisplay:
    """As TransferDisplay, but made when the first blob moves: most of what may have to fetch has everything here."""

    def __init__(self, words: Mapping[str, str], stream: TextIO) -> None:
        self._words, self._stream = words, stream
        self._lock = threading.Lock()
        self._display: TransferDisplay | None = None

    def __enter__(self) -> LateTransferDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._display is not None:
            self._display.__exit__(kind, error, trace)

    def __call__(self, event: e.Event) -> None:
        if not isinstance(event, e.BlobProgress):
            return
        with self._lock:
            if self._display is None and event.state == "moving":
                self._display = TransferDisplay(self._words, self._stream).__enter__()
        if self._display is not None:
            self._display(event)
