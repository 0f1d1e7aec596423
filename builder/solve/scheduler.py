"""Runs steps on threads, each as soon as what it reads from is there.

There are as many threads as there is work for: a chain of steps runs on one, and nobody is woken who has nothing to do.
The first error cancels the rest; `run` returns when nothing works any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush

from builder.errors import Cancelled
from builder.plan.step import Op, Step, StepID, dependencies

_INTERRUPT_SECONDS = 0.5
"""How often the waiting thread looks up: Python gives it Ctrl-C only then."""


class Pool:
    """At most `limit` steps at once; `work` executes one. `cancel` is looked at before each, and set by an error."""

    def __init__(self, limit: int, work: Callable[[Step[Op]], None], cancel: threading.Event) -> None:
        self._limit = limit
        self._work = work
        self._cancel = cancel
        self._condition = threading.Condition()
        self._steps: dict[StepID, Step[Op]] = {}
        self._needs: dict[StepID, set[StepID]] = {}
        """What each step still waits for."""
        self._needed_by: dict[StepID, list[StepID]] = {}
        self._ready: list[StepID] = []
        """A heap: of the steps that could run, the first of the plan does."""
        self._working = 0
        self._error: BaseException | None = None

    def run(self, steps: Iterable[Step[Op]], done: set[StepID]) -> None:
        """Run `steps`; those in `done` have a result already. Raises the first error, after all threads have ended."""
        for step in steps:
            self._steps[step.id] = step
            self._needs[step.id] = set(dependencies(step)) - done
            for needed in self._needs[step.id]:
                self._needed_by.setdefault(needed, []).append(step.id)
        self._ready = [identifier for identifier, needed in self._needs.items() if not needed]
        heapify(self._ready)
        try:
            with self._condition:
                self._start(len(self._ready))
            self._wait()
        except BaseException:
            # Ctrl-C gets here. What steps use is closed next, so they are told to stop, and waited for.
            self._cancel.set()
            self._wait()
            raise
        if self._error is not None:
            raise self._error

    def _start(self, wanted: int) -> None:
        """Start up to `wanted` threads more; the lock is held."""
        for _ in range(min(wanted, self._limit - self._working)):
            threading.Thread(target=self._loop, name="step", daemon=True).start()
            self._working += 1

    def _wait(self) -> None:
        """Return when no thread works any more. Not join: when interrupted it takes threads for ended (3.11)."""
        with self._condition:
            while self._working:
                self._condition.wait(_INTERRUPT_SECONDS)

    def _loop(self) -> None:
        try:
            while (step := self._next()) is not None:
                self._work(step)
                self._finish(step.id)
        except BaseException as error:
            # Whatever it is: a thread that ended without `_leave` would have `_wait` wait for ever.
            with self._condition:
                # The first that is one: a step may be cancelled, and say so, before the error behind it arrives.
                if self._error is None or isinstance(self._error, Cancelled):
                    self._error = error
                self._cancel.set()
                self._leave()

    def _next(self) -> Step[Op] | None:
        """Return what to do, or None when the thread is to end."""
        with self._condition:
            if self._ready and not self._cancel.is_set():
                return self._steps[heappop(self._ready)]
            self._leave()
            return None

    def _finish(self, finished: StepID) -> None:
        """Note what can run now; this thread takes one of it, further threads the others."""
        with self._condition:
            for identifier in self._needed_by.get(finished, ()):
                self._needs[identifier].discard(finished)
                if not self._needs[identifier]:
                    heappush(self._ready, identifier)
            # Not a thread for each step: thirty RUNs in a row on thirty threads, all of them woken after each, took
            # 8,300 futex calls.
            self._start(len(self._ready) - 1)

    def _leave(self) -> None:
        self._working -= 1
        # Nobody else waits: threads that have nothing to do have ended.
        if not self._working:
            self._condition.notify_all()
