"""The display for a terminal has a thread only while a step runs: otherwise the process may have to be alone."""

from __future__ import annotations

import functools
import io
import threading
import time

import pytest
from rich.console import Console

from builder.cli.display.plain import PlainDisplay
from builder.cli.display.tty import TtyDisplay
from builder.errors import PybuildError
from builder.solve import events as e


def threads_of_displays(wanted: int) -> int:
    """How many there are, once there are as many as `wanted` or five seconds have passed."""
    deadline = time.monotonic() + 5
    while (found := sum(one.name == "display" for one in threading.enumerate())) != wanted:
        if time.monotonic() > deadline:
            break
        time.sleep(0.005)
    return found


def test_it_draws_from_the_first_step_to_the_end_of_the_last_one() -> None:
    display = TtyDisplay(io.StringIO())
    for event in (e.BuildStarted(5), e.Noted("pull"), e.Warned("", "careful"), e.StepCached(1, "a", "")):
        display(event)
        assert threads_of_displays(0) == 0
    for _ in range(3):
        display(e.StepStarted(2, "b"))
        display(e.StepStarted(3, "c"))
        assert threads_of_displays(1) == 1
        display(e.StepFinished(2, "b", 1.0))
        display(e.StepOutput(3, b"line"))
        assert threads_of_displays(1) == 1
        display(e.StepErrored(3, "c", PybuildError("no")))
        assert threads_of_displays(0) == 0
    display.close()


def test_hundreds_of_short_steps_leave_no_thread() -> None:
    display = TtyDisplay(io.StringIO())
    for step in range(200):
        display(e.StepStarted(step, "a"))
        display(e.StepCancelled(step, "a"))
    assert threads_of_displays(0) == 0
    display.close()


def test_closing_ends_it_whatever_still_runs() -> None:
    display = TtyDisplay(io.StringIO())
    display(e.StepStarted(1, "a"))
    assert threads_of_displays(1) == 1
    display.close()
    assert threads_of_displays(0) == 0


def test_what_is_printed_is_what_happened() -> None:
    stream = io.StringIO()
    display = TtyDisplay(stream)
    display(e.StepStarted(1, "RUN make"))
    display(e.StepOutput(1, b"compiling"))
    display(e.StepFinished(1, "RUN make", 2.5, "sha256:a", 3, 100))
    display.close()
    assert "RUN make" in stream.getvalue()
    assert "2.5s  +3 files" in stream.getvalue()


def test_notes_and_warnings_are_shown_to_their_end() -> None:
    stream = io.StringIO()
    display = TtyDisplay(stream)
    long = " ".join(f"word{number}" for number in range(60)) + " end-of-" + "x" * 300 + "-it"
    for event in (e.Noted(long), e.Warned("Rule", long), e.StepCached(1, long, "")):
        display(event)
    display.close()
    shown = stream.getvalue().replace("\n", "")
    assert shown.count("end-of-") == 2
    assert shown.count("-it") == 2
    assert "… " in shown, "a step's title has one line"


def test_a_blob_has_a_bar_while_it_moves_and_a_line_when_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("builder.cli.display.tty.Console", functools.partial(Console, force_terminal=True, width=80))
    display = TtyDisplay(stream)
    display(e.BlobProgress("sha256:" + "ab" * 32, "moving", 40_000_000, 10_000_000, 2.0))
    assert threads_of_displays(1) == 1
    for text in ("█████░░░░░░░░░░░░░░░", "10MB/40MB", "5MB/s"):
        wait_for(stream, text)
    display(e.BlobProgress("sha256:" + "ab" * 32, "done", 40_000_000, 40_000_000, 8.0))
    display(e.BlobProgress("sha256:" + "cd" * 32, "present", 7))
    assert threads_of_displays(0) == 0
    display.close()
    assert "abababababab 40MB 8.0s" in stream.getvalue()
    assert "cdcdcdcdcdcd already exists" in stream.getvalue()


def wait_for(stream: io.StringIO, text: str) -> None:
    deadline = time.monotonic() + 5
    while text not in stream.getvalue():
        assert time.monotonic() < deadline, stream.getvalue()
        time.sleep(0.005)


def test_without_a_terminal_a_blob_has_one_line() -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream)
    display(e.BlobProgress("sha256:" + "ab" * 32, "moving", 40_000_000, 10_000_000, 2.0))
    display(e.BlobProgress("sha256:" + "ab" * 32, "done", 40_000_000, 40_000_000, 8.0))
    assert stream.getvalue() == "abababababab 40MB 8.0s\n"
