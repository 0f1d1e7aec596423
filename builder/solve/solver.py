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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from builder.errors import Cancelled, PybuildError
from builder.known_isolation import CHROOT
from builder.oci.digest import Digest
from builder.plan.plan import Plan
from builder.plan.step import ImageStep, RunStep, Step, StepID, dependencies
from builder.solve import events
from builder.solve.attempt import Attempt, new_attempt
from builder.solve.blame import blamed_on
from builder.solve.cache_key import preimage
from builder.solve.reason import NO_CACHE, main_reason
from builder.solve.solution import Solution, Solved, stack_of
from builder.store.records import CacheRecord

if TYPE_CHECKING:
    from builder.solve.workshop import Workshop
    from builder.store.layers import LayerRecord

_MAX_THREADS = 32


def solve(plan: Plan, workshop: Workshop, *, jobs: int = 0) -> Solution:
    """Find or make every layer of `plan`. `jobs` 0 runs all that is ready (at most 32 at once).

    Raises the first step's error, after everything that was running has ended.
    """
    return _Solver(plan, workshop, workshop.sink, jobs or _MAX_THREADS, workshop.resolver.cancel).solve()


def place_names(plan: Plan, build_name: str) -> dict[StepID, str]:
    """Return for each step the name under which the next build of this context looks for it: stage and position."""
    counts: dict[str, int] = {}
    names = {}
    for step in plan.steps:
        counts[step.stage] = counts.get(step.stage, 0) + 1
        names[step.id] = f"{build_name}\0{step.stage}\0{counts[step.stage]}"
    return names


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
    _places: dict[StepID, str] = field(default_factory=dict)

    def solve(self) -> Solution:
        self._places = place_names(self.plan, self.workshop.build_name)
        missing = []
        for step in self.plan.steps:
            with blamed_on(step):
                if not self._take_from_cache(step):
                    missing.append(step)
        if missing:
            self.workshop.open(missing)
            self._run_all(missing)
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
        if (known or not attempt.operation.inputs_come_after) and self._found_or_mine(attempt):
            return
        try:
            self._execute(attempt)
        finally:
            self._land(attempt.key)

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
        step, name = attempt.step, self._places[attempt.step.id]
        in_chroot = isinstance(step, RunStep) and self.workshop.machine.sandbox.name == CHROOT
        reason = self._reason(attempt, name, in_chroot)
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
            description=name,
        )
        seconds = time.monotonic() - started
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

    def _reason(self, attempt: Attempt, name: str, in_chroot: bool) -> str:
        if attempt.step.no_cache:
            return NO_CACHE
        latest = self.workshop.records.latest(name)
        if latest is None:
            return ""  # most likely the first build: nothing to compare with, and nothing to say
        # Without a key the inputs are not known yet; the definition alone tells what changed, since it did.
        if attempt.key is None:
            return main_reason(latest.preimage, preimage(attempt.definition, json_inputs(latest.preimage)))
        return main_reason(latest.preimage, attempt.identity(in_chroot=in_chroot)[1])


def json_inputs(data: bytes) -> Any:
    """Return the inputs member of a stored preimage."""
    import json

    return json.loads(data).get("inputs")
