"""The pool: order, parallelism, errors and cancelling."""

from __future__ import annotations

import threading
import time

import pytest

from builder.errors import Cancelled, PybuildError
from builder.plan.step import ContextSource, CopyOp, Op, Paths, Step, StepID, StepSource
from builder.solve.scheduler import Pool


def step(number: int, *needs: int) -> Step[Op]:
    """Return a step that reads from the steps `needs`; the first is its parent."""
    sources = tuple(Paths(StepSource(StepID(need)), ("x",)) for need in needs[1:]) or (Paths(ContextSource(), ("x",)),)
    parent = StepID(needs[0]) if needs else None
    return Step(id=StepID(number), parent=parent, op=CopyOp(sources=sources, destination="/"))


def run(steps: list[Step[Op]], limit: int = 8, done: set[int] | None = None) -> tuple[list[int], set[int]]:
    """Return the steps in the order they ended, and the threads that ran them."""
    ended: list[int] = []
    threads: set[int] = set()

    def work(step: Step[Op]) -> None:
        ended.append(step.id)
        threads.add(threading.get_ident())

    Pool(limit, work, threading.Event()).run(steps, {StepID(number) for number in done or ()})
    return ended, threads


def test_a_chain_runs_in_order_on_one_thread() -> None:
    ended, threads = run([step(0), *(step(number, number - 1) for number in range(1, 40))])
    assert ended == list(range(40))
    assert len(threads) == 1


def test_a_step_waits_for_all_it_reads_from_but_not_for_what_is_done() -> None:
    ended, _ = run([step(5, 1, 2, 3), step(2, 9), step(3), step(7, 5)], done={1, 9})
    assert ended.index(5) > max(ended.index(2), ended.index(3))
    assert ended[-1] == 7


def test_one_at_a_time_keeps_the_order_of_the_plan() -> None:
    ended, _ = run([step(0), step(1, 0), step(2), step(3, 2), step(4, 1, 3)], limit=1)
    assert ended == [0, 1, 2, 3, 4]


def test_independent_steps_run_at_once_up_to_the_limit() -> None:
    together = threading.Barrier(3)
    at_once: list[int] = []
    running = threading.Semaphore(3)

    def work(step: Step[Op]) -> None:
        assert running.acquire(blocking=False), "more than three at once"
        at_once.append(step.id)
        together.wait(10)
        running.release()

    Pool(3, work, threading.Event()).run([step(number) for number in range(9)], set())
    assert sorted(at_once) == list(range(9))


def test_all_that_becomes_ready_at_once_runs_at_once() -> None:
    together = threading.Barrier(4)

    def work(step: Step[Op]) -> None:
        if step.id:
            together.wait(10)

    Pool(8, work, threading.Event()).run([step(0), *(step(number, 0) for number in range(1, 5))], set())


def test_the_first_error_stops_the_rest_and_is_raised_when_all_have_ended() -> None:
    cancel, both_run, ended = threading.Event(), threading.Barrier(2), []

    def work(step: Step[Op]) -> None:
        both_run.wait(10)
        if step.id == 1:
            raise PybuildError("broken")
        assert cancel.wait(10)
        time.sleep(0.05)
        ended.append(step.id)
        raise Cancelled("the build was cancelled")

    with pytest.raises(PybuildError, match="broken"):
        Pool(2, work, cancel).run([step(1), step(2), step(3, 1), step(4, 2), step(5)], set())
    assert ended == [2]


def test_an_error_is_not_hidden_by_a_cancellation_that_came_first() -> None:
    both_run = threading.Barrier(2)

    def work(step: Step[Op]) -> None:
        both_run.wait(10)
        if step.id == 0:
            raise Cancelled("the build was cancelled")
        time.sleep(0.05)
        raise PybuildError("broken")

    with pytest.raises(PybuildError, match="broken"):
        Pool(2, work, threading.Event()).run([step(0), step(1)], set())
