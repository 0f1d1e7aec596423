"""The display for a terminal has a thread only while a step runs: otherwise the process may have to be alone."""

from __future__ import annotations

import io
import threading
import time

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
