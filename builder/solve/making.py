"""Makes the layers that the cache does not have, on a pool of threads: each as soon as what it reads from is there.

A layer step is found by its key (`cache_key.py`). When two steps of one build turn out to have the same key, the second
waits for the first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from builder.errors import Cancelled, PybuildError, StepFailed
from builder.oci.digest import Digest
from builder.plan.plan import Plan
from builder.plan.step import CopyOp, ImageOp, ImageStep, Op, RunOp, Step, does, makes_layer
from builder.solve import events
from builder.solve.cached_steps import CachedSteps
from builder.solve.context import SolveContext
from builder.solve.dry_run import DryRun, dry_run_plan
from builder.solve.job import JobResult
from builder.solve.keyed_step import KeyedStep, keyed
from builder.solve.known_isolation import CHROOT
from builder.solve.pause import Attendant, FailedStep, PausedStep
from builder.solve.reason.explain import Explainer
from builder.solve.reason.last_build import place_names
from builder.solve.results import StepResult, stack_of
from builder.solve.scheduler import Pool
from builder.solve.step_errors import errors_located_at
from builder.store.records import CacheRecord

_MAX_THREADS = 32


@dataclass(slots=True)
class Making:
    """What `plan` takes beyond the steps that are `cached`."""

    plan: Plan
    context: SolveContext
    cached: CachedSteps
    explainer: Explainer = field(init=False)
    _flight: dict[Digest, threading.Event] = field(default_factory=dict)
    """Keys that a thread is making just now; set when it has ended."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def make(self, missing: Sequence[Step[Op]], jobs: int) -> None:
        """Make the layers of `missing` steps, for which the context is open; `jobs` at once, 0 for all that are ready.

        Raises the first step's error, after everything that was running has ended.
        """
        self.explainer = Explainer(self.plan, self.context)
        limit = min(jobs or _MAX_THREADS, _MAX_THREADS)
        with self._showing_failure():
            Pool(limit, self._make_one, self.context.worker.cancel).run(missing, set(self.context.results.steps))

    def step_through(self, attendant: Attendant) -> Sequence[Step[Op]]:
        """Find or make one step after the other, each looked at by `attendant`; return those left when it had enough.

        All on this thread, which must be the only one. Raises the first step's error.
        """
        self.explainer = Explainer(self.plan, self.context)
        with self._showing_failure():
            for number, step in enumerate(self.plan.steps, 1):
                with errors_located_at(step):
                    is_cached = self.cached.take(step)
                if not is_cached:
                    self.context.open([step])
                    self._make_one(step)
                paused = PausedStep(step=step, number=number, plan=self.plan, context=self.context)
                if not attendant.after_step(paused):
                    return self.plan.steps[number:]
        return ()

    @contextmanager
    def _showing_failure(self) -> Iterator[None]:
        """Have the attendant look at a RUN that fails in the block, when all that was running has ended."""
        try:
            yield
        except StepFailed as error:
            attendant, runs = self.context.attendant, self.context.worker.failed_runs
            run = runs.take() if runs is not None else None
            if run is not None:
                with closing(run):
                    if attendant is not None and run.error is error:
                        attendant.after_failure(FailedStep(run=run, context=self.context))
            raise

    def dry_run(self) -> DryRun:
        """Say what would be made, and why. Raises PybuildError."""
        return dry_run_plan(self.plan, self.context)

    def _make_one(self, step: Step[Op]) -> None:
        try:
            # Inside of the `try`: who is told of the error by an event is told its place, too.
            with errors_located_at(step):
                if does(step, ImageOp):
                    self._load_image(step)
                elif makes_layer(step):
                    self._make(keyed(step, self.context))
        except Cancelled:
            self.context.sink(events.StepCancelled(step.id, step.title))
            raise
        except PybuildError as error:
            # Most likely it failed because something else did: the build has one error, and that is the first.
            if self.context.worker.cancel.is_set():
                self.context.sink(events.StepCancelled(step.id, step.title))
                raise Cancelled("the build was cancelled") from error
            self.context.sink(events.StepErrored(step.id, step.title, error))
            raise

    def _load_image(self, step: ImageStep) -> None:
        self.context.sink(events.StepStarted(step.id, step.title))
        started = time.monotonic()
        layers = self.context.resolver.layers(step.op.manifest_digest)
        self.cached.keep(step, StepResult(stack=stack_of(layers), seconds=time.monotonic() - started))
        self.context.sink(events.StepFinished(step.id, step.title, time.monotonic() - started))

    def _make(self, keyed_step: KeyedStep) -> None:
        mine: Digest | None = None
        # What no record can answer for is copied at once, and its key made on the way: asking for that first would read
        # everything twice (docs/decisions/0004).
        # Two such copies that are the same are both made, since neither has a key that the other could wait for; their
        # layer is in the store once all the same (commit.py).
        is_copy = isinstance(keyed_step.step.op, CopyOp)
        if not is_copy or self.context.cache.has_definition(keyed_step.definition_digest):
            if self._found_or_mine(keyed_step):
                return
            mine = keyed_step.key()
        try:
            self._execute(keyed_step)
        finally:
            # After a failure as well: nothing else wakes who waits for this key.
            self._land(mine)

    def _found_or_mine(self, keyed_step: KeyedStep) -> bool:
        """Say whether another thread or an earlier build has this layer; if not, the key is ours to make."""
        key = keyed_step.key()
        while True:
            if not keyed_step.step.no_cache and self.cached.hit(keyed_step):
                return True
            with self._lock:
                other = self._flight.get(key)
                if other is None:
                    self._flight[key] = threading.Event()
            if other is None:
                return self._landed_meanwhile(keyed_step, key)
            # Now there is a record, unless it has failed: then the build is being cancelled, and what begins here ends.
            other.wait()
            if self.context.worker.cancel.is_set():
                raise Cancelled("the build was cancelled")
            # What this build has just made is not what --no-cache is against.
            if keyed_step.step.no_cache and self.cached.hit(keyed_step):
                return True

    def _landed_meanwhile(self, keyed_step: KeyedStep, key: Digest) -> bool:
        """Say whether another thread has made this layer after we looked and before the key was ours."""
        # Its record was put before it let go of the key, so a look that misses while we hold it is final.
        found = True
        try:
            found = not keyed_step.step.no_cache and self.cached.hit(keyed_step)
        finally:
            if found:
                self._land(key)
        return found

    def _land(self, key: Digest | None) -> None:
        if key is not None:
            with self._lock:
                done = self._flight.pop(key, None)
            if done:
                done.set()

    def _execute(self, keyed_step: KeyedStep) -> None:
        step = keyed_step.step
        in_chroot = isinstance(step.op, RunOp) and self.context.worker.sandbox.name == CHROOT
        why = self.explainer.reason(keyed_step, in_chroot=in_chroot)
        self.context.sink(
            events.StepStarted(step.id, step.title, why.words, differences=why.differences, unsaid=why.unsaid)
        )
        started = time.monotonic()
        # The result says what the step read in fact: of a context that moved meanwhile, not what was read for the key.
        result = self.context.worker.execute(keyed_step.job(), self.context.tell, self.context.secrets)
        # From here on the key can be another one than that in flight: what was read decides, not what was to be read.
        layer = result.layer
        keyed_step.replace_inputs(result)
        for warning in result.warnings:
            self.context.warn(warning)
        key, preimage_ = keyed_step.identity(in_chroot=result.in_chroot)
        record = CacheRecord(
            key=key,
            definition=keyed_step.definition_digest,
            preimage=preimage_,
            layer=layer,
            created=time.time_ns(),
            description=f"{self.context.build_name}\0{place_names(self.plan)[step.id]}",
        )
        seconds = time.monotonic() - started
        # Facts before the record: found without them, it would say nothing of a secret that its layer holds.
        self._keep_facts(keyed_step, record.key, result, seconds)
        # Before the key lands (`_make`): who has waited for it looks for a record, and makes the layer
        # again when there is none.
        self.context.cache.put(record)
        self.cached.keep(
            step,
            StepResult(
                stack=keyed_step.parent.with_layer(layer), layer=layer, created=record.created, key=str(record.key),
                reason=why.words, seconds=seconds, in_chroot=result.in_chroot,
            ),
        )  # fmt: skip
        self.context.sink(
            events.StepFinished(
                step.id, step.title, seconds, str(layer.diff_id), layer.files, layer.bytes, str(record.key)
            )
        )

    def _keep_facts(self, keyed_step: KeyedStep, key: Digest, result: JobResult, seconds: float) -> None:
        warnings = tuple((warning.rule, warning.message) for warning in result.warnings)
        self.context.store.facts.put(key, self.explainer.facts_to_keep(keyed_step, warnings, seconds))
