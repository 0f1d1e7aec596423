"""The display for a terminal: one line a step, the running ones with a clock and their last lines of output.

    [+] building demo:latest  3.2s  4/7 steps, 2 cached
     ✔ [base 1/2] FROM busybox                     cached
     ✔ [base 2/2] RUN make                         1.2s   +14 files  2.3MB
     ⠋ [app 2/3] RUN ./configure                   0.8s
         │ checking for gcc... yes
     ↕ 5f70bf18a086  ██████░░░░░░░░░░░░░░  12.1MB/40.2MB  9.3MB/s
Finished lines scroll up for good; only the running steps are drawn again. Failed steps leave their whole tail to the
error message.

What is drawn changes by itself only while a step runs or a blob is copied, and only then is there a thread that draws:
between the steps the process may have to be alone (linux/threads.py).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from builder.cli.display.text import blob_line, clean, clipped, last_written, size_text
from builder.cli.display.transfer_bars import blob_row
from builder.errors import counted
from builder.solve import events as e

_OUTPUT_LINES = 4
_REFRESH_PER_SECOND = 10
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class _Running:
    def __init__(self, title: str, reason: str) -> None:
        self.title = title
        self.reason = reason
        self.started = time.monotonic()
        self.lines: deque[str] = deque(maxlen=_OUTPUT_LINES)


class TtyDisplay:
    """A rich Live view of the event stream. `close` leaves the cursor below everything that was printed."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False, soft_wrap=False)
        self._running: dict[tuple[str, int], _Running] = {}
        """By platform and step: the plans of two platforms number theirs alike."""
        self._moving: dict[str, e.BlobProgress] = {}
        """Blobs on their way, by digest."""
        self._changed = threading.Condition()
        """Guards what is counted here; notified when nothing runs any more."""
        self._has_clock = False
        self._started = time.monotonic()
        self._total = self._done = self._cached = 0
        self._first = False
        # Not refreshed by rich: its thread would be there while no step runs.
        self._live = Live(get_renderable=self._render, console=self._console, auto_refresh=False, transient=True)
        # Transient: what runs goes from the screen at the end, and what has finished was printed above it for good.
        self._live.start()

    def __call__(self, event: e.Event) -> None:
        with self._changed:
            self._take(event)
            self._keep_clock()

    def close(self) -> None:
        with self._changed:
            self._running.clear()
            self._moving.clear()
            self._keep_clock()
        with suppress(OSError):  # as in `set_aside`
            self._live.stop()

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """Leave the terminal to somebody else until the block ends; nothing runs meanwhile."""
        with self._changed:  # the clock draws no more: it has ended, or ends at its next look
            self._changed.wait_for(lambda: not self._has_clock, 1)
        self._live.stop()
        try:
            yield
        finally:
            with suppress(OSError):  # the terminal may have gone, which whoever had it tells
                self._live.start()

    def _keep_clock(self) -> None:
        """Have a clock while steps run, and no longer; the lock is held."""
        if not self._is_busy():
            # It wakes the thread that draws, which draws once more and ends: nobody joins it.
            self._changed.notify_all()
        elif not self._has_clock:
            self._has_clock = True
            # Named, so that who must be alone can say who is not (linux/threads.py).
            threading.Thread(target=self._draw_on, name="display", daemon=True).start()

    def _is_busy(self) -> bool:
        return bool(self._running or self._moving)

    def _draw_on(self) -> None:
        goes_on = True
        while goes_on:
            goes_on = self._goes_on()
            self._live.refresh()

    def _goes_on(self) -> bool:
        """Wait until it is time to draw; False when it is for the last time, since nothing runs."""
        with self._changed:
            self._has_clock = not self._changed.wait_for(lambda: not self._is_busy(), 1 / _REFRESH_PER_SECOND)
            if not self._has_clock:
                self._changed.notify_all()
            return self._has_clock

    def _take(self, event: e.Event) -> None:
        match event:
            case e.BuildStarted(steps, _, first):
                self._total, self._first = steps, first
            case e.StepStarted(step, title, reason, platform):
                # Of a first build every step would say the same.
                self._running[platform, step] = _Running(title, "" if self._first else reason)
            case e.StepOutput(step, line, platform):
                if (platform, step) in self._running:
                    text = clean(last_written(line.decode("utf-8", "replace")))
                    self._running[platform, step].lines.append(text)
            case e.StepCached(step, title, platform=platform):
                self._finish((platform, step), title, "✔", "green", "cached")
                self._cached += 1
            case e.StepFinished(step, title, seconds, layer, files, size, platform=platform):
                made = f"{seconds:.1f}s" + (f"  +{counted(files, 'file')}  {size_text(size)}" if layer else "")
                self._finish((platform, step), title, "✔", "green", made)
            case e.StepErrored(step, title, _, platform):
                self._finish((platform, step), title, "✘", "bold red", "failed")
            case e.StepCancelled(step, title, platform):
                self._finish((platform, step), title, "-", "yellow", "cancelled")
            case e.Noted(text):
                self._say(Text(f"note: {clean(text)}", style="dim"))
            case e.Warned(rule, message, location):
                where = f" (line {location.line})" if location and location.line else ""
                rule = f"{rule}: " if rule else ""
                self._say(Text(f"warning: {clean(rule + message)}{where}", style="yellow"))
            case e.BlobProgress(digest, state, size, _, seconds):
                if state == "moving":
                    self._moving[digest] = event
                else:
                    self._moving.pop(digest, None)
                    self._print(Text(f"   {blob_line(digest, state, size, seconds)}", style="dim"))
            case e.ImageWritten():
                pass

    def _finish(self, step: tuple[str, int], title: str, mark: str, style: str, result: str) -> None:
        running = self._running.pop(step, None)
        self._done += 1
        reason = f"  ({running.reason})" if running and running.reason else ""
        result = f"  {result}{reason}"
        line = Text(f" {mark} ", style=style)
        line.append(clipped(clean(title), self._console.width, len(result) + 3), style="")
        line.append(result, style="dim")
        self._print(line)

    def _say(self, sentence: Text) -> None:
        """Print what must be read to its end: over as many lines as it takes."""
        self._console.print(sentence, overflow="fold")

    def _print(self, line: Text) -> None:
        self._console.print(line, no_wrap=True, overflow="ellipsis", crop=True)

    def _render(self) -> Table:
        grid = Table.grid(padding=0)
        if not self._is_busy():
            return grid
        now = time.monotonic()
        if self._total:
            cached = f", {self._cached} cached" if self._cached else ""
            steps = f"{self._done}/{counted(self._total, 'step')}{cached}"
            grid.add_row(Text(f"[+] {now - self._started:.1f}s  {steps}", style="bold"))
        spinner = _SPINNER[int(now * _REFRESH_PER_SECOND) % len(_SPINNER)]
        # Copies: steps begin, speak and end while this draws.
        for running in list(self._running.values()):
            row = Text(f" {spinner} ", style="cyan", no_wrap=True, overflow="ellipsis")
            row.append(clean(running.title))
            row.append(f"  {now - running.started:.1f}s", style="dim")
            if running.reason:
                row.append(f"  ({clean(running.reason)})", style="dim")
            grid.add_row(row)
            for text in list(running.lines):
                grid.add_row(Text(f"    │ {text}", style="dim", no_wrap=True, overflow="ellipsis"))
        for blob in list(self._moving.values()):
            grid.add_row(blob_row(blob))
        return grid
