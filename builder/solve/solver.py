"""The machine room: walks a plan and finds or makes each step's layer.

First, on one thread and in order, every step that the cache already has: a build that changes nothing ends here.
Then, if anything is missing, the workshop is opened (namespaces are entered while there is still one thread) and the
remaining steps run on a pool, each as soon as what it reads from is there. The first failure cancels the rest.

A layer step is found by its key (`cache_key.py`). When two steps of one build turn out to have the same key, the second
waits for the first.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builder.errors import Cancelled, PybuildError, StoreError
from builder.known_isolation import CHROOT
from builder.oci.canonical import decode, encode
from builder.oci.digest import Digest
from builder.plan.plan import Plan
from builder.plan.step import ImageStep, RunStep, Step, dependencies
from builder.solve import events
from builder.solve.attempt import Attempt, new_attempt
from builder.solve.blame import blamed_on
from builder.solve.last_build import keys_by_place, last_key, place_names
from builder.solve.solution import Solution, Solved, stack_of
from builder.store.records import CacheRecord

if TYPE_CHECKING:
    from builder.solve.explain import Explainer
    from builder.solve.workshop import Workshop
    from builder.store.layers import LayerRecord

_MAX_THREADS = 32


def solve(plan: Plan, workshop: Workshop, *, jobs: int = 0) -> Solution:
    """Find or make every layer of `plan`. `jobs` 0 runs all that is ready (at most 32 at once).

    Raises the first step's error, after everything that was running has ended.
    """
    return _Solver(plan, workshop, workshop.sink, jobs or _MAX_THREADS, workshop.resolver.cancel).solve()


@dataclass(slots=True)
class _Solver:
    plan: Plan
    workshop: Workshop
    sink: events.EventSink
    jobs: int
    cancel: threading.Event
    """Set once anything has failed or the user has had enough: whoever works looks at it."""
    _flight: dict[Digest, threading.Event] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _explainer: Explainer | None = None

    def solve(self) -> Solution:
        missing = []
        for step in self.plan.steps:
            with blamed_on(step):
                if not self._take_from_cache(step):
                    missing.append(step)
        if missing:
            self.workshop.open(missing)
            try:
                self._run_all(missing)
            except BaseException:
                self._remember(whole=False)
                raise
        self._remember(whole=True)
        return self.workshop.solution

    # --- the cached part: one thread, no side effects -------------------------------------------------------------

    def _take_from_cache(self, step: Step) -> bool:
        if any(needed not in self.workshop.solution.steps for needed in dependencies(step)):
            return False
        if isinstance(step, ImageStep):
            layers = self.workshop.resolver.find_layers(step.manifest_digest)
            if layers is None:
                return False
            self._keep(step, Solved(stack=stack_of(layers), cached=True))
            self.sink(events.StepCached(step.id, step.title, ""))
            return True
        attempt = new_attempt(step, self.workshop)
        if step.no_cache or not self.workshop.records.has_definition(attempt.definition_digest):
            return False
        return self._hit(attempt)

    def _hit(self, attempt: Attempt) -> bool:
        found = attempt.find(self.workshop)
        if found is None:
            return False
        self._use(attempt, *found)
        return True

    def _use(self, attempt: Attempt, record: CacheRecord, layer: LayerRecord) -> None:
        solved = Solved(
            stack=attempt.parent.with_layer(layer), layer=layer, created=record.created, cached=True,
            key=str(record.key), in_chroot=record.key != attempt.key,
        )  # fmt: skip
        self._keep(attempt.step, solved)
        self.sink(events.StepCached(attempt.step.id, attempt.step.title, str(layer.diff_id), layer.descriptor.size))

    def _keep(self, step: Step, solved: Solved) -> None:
        with self._lock:
            self.workshop.solution.steps[step.id] = solved

    # --- the rest: a pool of threads --------------------------------------------------------------------------------

    def _run_all(self, missing: list[Step]) -> None:
        from builder.solve.pool import Pool  # a cached build needs none

        Pool(min(self.jobs, _MAX_THREADS), self._solve_one, self.cancel).run(missing, set(self.workshop.solution.steps))

    def _solve_one(self, step: Step) -> None:
        try:
            with blamed_on(step):
                if isinstance(step, ImageStep):
                    self._load_image(step)
                else:
                    self._make(new_attempt(step, self.workshop))
        except Cancelled:
            self.sink(events.StepCancelled(step.id, step.title))
            raise
        except PybuildError as error:
            if self.cancel.is_set():
                self.sink(events.StepCancelled(step.id, step.title))
                raise Cancelled("the build was cancelled") from error
            self.sink(events.StepErrored(step.id, step.title, error))
            raise

    def _load_image(self, step: ImageStep) -> None:
        self.sink(events.StepStarted(step.id, step.title))
        started = time.monotonic()
        layers = self.workshop.resolver.layers(step.manifest_digest)
        self._keep(step, Solved(stack=stack_of(layers), seconds=time.monotonic() - started))
        self.sink(events.StepFinished(step.id, step.title, time.monotonic() - started))

    def _make(self, attempt: Attempt) -> None:
        records = self.workshop.records
        known = records.has_definition(attempt.definition_digest)
        mine: Digest | None = None
        if known or not attempt.operation.inputs_come_after:
            if self._found_or_mine(attempt):
                return
            mine = attempt.key
        try:
            self._execute(attempt)
        finally:
            self._land(mine)

    def _found_or_mine(self, attempt: Attempt) -> bool:
        """Say whether another thread or an earlier build has this layer; if not, the key is ours to make."""
        key = attempt.complete()
        while True:
            if not attempt.step.no_cache and self._hit(attempt):
                return True
            with self._lock:
                other = self._flight.get(key)
                if other is None:
                    self._flight[key] = threading.Event()
                    return False
            other.wait()
            if self.cancel.is_set():
                raise Cancelled("the build was cancelled")
            if attempt.step.no_cache and self._hit(attempt):
                return True

    def _land(self, key: Digest | None) -> None:
        if key is not None:
            with self._lock:
                done = self._flight.pop(key, None)
            if done:
                done.set()

    def _execute(self, attempt: Attempt) -> None:
        step = attempt.step
        in_chroot = isinstance(step, RunStep) and self.workshop.machine.sandbox.name == CHROOT
        reason = self._reason(attempt, in_chroot)
        self.sink(events.StepStarted(step.id, step.title, reason))
        started = time.monotonic()
        layer = attempt.operation.make(lambda line: self.sink(events.StepOutput(step.id, line)), self.cancel)
        key, preimage_ = attempt.confirm(in_chroot=in_chroot)
        record = CacheRecord(
            key=key,
            definition=attempt.definition_digest,
            preimage=preimage_,
            layer=layer,
            created=time.time_ns(),
            description=f"{self.workshop.build_name}\0{place_names(self.plan)[step.id]}",
        )
        seconds = time.monotonic() - started
        self._keep_facts(attempt, record.key)
        self.workshop.records.put(record)
        self._keep(
            step,
            Solved(
                stack=attempt.parent.with_layer(layer), layer=layer, created=record.created, key=str(record.key),
                reason=reason, seconds=seconds, in_chroot=in_chroot,
            ),
        )  # fmt: skip
        self.sink(
            events.StepFinished(step.id, step.title, seconds, str(layer.diff_id), layer.files, layer.descriptor.size)
        )

    def _keep_facts(self, attempt: Attempt, key: Digest) -> None:
        from builder.solve.facts import facts_to_bytes

        assert self._explainer is not None, "the reason was asked for before the step was executed"
        self.workshop.store.facts.put(key, facts_to_bytes(self._explainer.facts(attempt)))

    def _reason(self, attempt: Attempt, in_chroot: bool) -> str:
        """Say why the step has to run; where it can be compared with an earlier one, its inputs are read for that."""
        with self._lock:
            if self._explainer is None:
                from builder.solve.explain import Explainer  # nothing is explained when everything is cached

                self._explainer = Explainer(self.plan, self.workshop)
        return self._explainer.reason(attempt, in_chroot=in_chroot)

    def _remember(self, *, whole: bool) -> None:
        """Keep the keys of this build for the next one; of a build that failed, beside those of the one before."""
        plans, key = self.workshop.store.plans, last_key(self.workshop.build_name)
        keys = keys_by_place(self.plan, self.workshop.solution)
        if not whole and (known := plans.find(key)) is not None:
            keys = encode(decode(known, "the last build") | decode(keys, "this build"))
        with suppress(StoreError):  # a store that can only be read answers all the same
            plans.put(key, keys)
