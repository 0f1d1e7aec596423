"""Walks a plan and finds or makes each step's layer.

First, on one thread and in order, every step that the cache already has: a build that changes nothing ends here.
Then, if anything is missing, the worker is opened (namespaces are entered while there is still one thread) and the
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
from builder.linux.cancel import Cancel
from builder.oci.canonical import decode, encode
from builder.oci.digest import Digest
from builder.plan.plan import Plan
from builder.plan.step import CopyOp, ImageOp, ImageStep, Op, RunOp, Step, dependencies, does, makes_layer
from builder.solve import events
from builder.solve.keyed_step import KeyedStep, keyed
from builder.solve.known_isolation import CHROOT
from builder.solve.reason.last_build import keys_by_place, last_key, place_names
from builder.solve.results import Results, StepResult, stack_of
from builder.solve.step_errors import errors_located_at
from builder.store.records import CacheRecord

if TYPE_CHECKING:
    from builder.solve.context import SolveContext
    from builder.solve.job import JobResult
    from builder.solve.reason.explain import Explainer
    from builder.store.layers import LayerRecord

_MAX_THREADS = 32


def solve(plan: Plan, context: SolveContext, *, jobs: int = 0) -> Results:
    """Find or make every layer of `plan`. `jobs` 0 runs all that is ready (at most 32 at once).

    Raises the first step's error, after everything that was running has ended.
    """
    return _Solver(plan, context, context.sink, jobs or _MAX_THREADS, context.worker.cancel).solve()


@dataclass(slots=True)
class _Solver:
    plan: Plan
    context: SolveContext
    sink: events.EventSink
    jobs: int
    cancel: Cancel
    """Set once anything has failed or the user has had enough: whoever works looks at it."""
    _flight: dict[Digest, threading.Event] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _explainer: Explainer | None = None

    def solve(self) -> Results:
        missing = []
        for step in self.plan.steps:
            with errors_located_at(step):
                if not self._take_from_cache(step):
                    missing.append(step)
        if missing:
            self.context.open(missing)
            try:
                self._run_all(missing)
            except BaseException:
                self._remember(whole=False)
                raise
        self._remember(whole=True)
        return self.context.results

    # --- the cached part: one thread, no side effects -------------------------------------------------------------

    def _take_from_cache(self, step: Step[Op]) -> bool:
        if any(needed not in self.context.results.steps for needed in dependencies(step)):
            return False
        if does(step, ImageOp):
            layers = self.context.resolver.find_layers(step.op.manifest_digest)
            if layers is None:
                return False
            self._keep(step, StepResult(stack=stack_of(layers), cached=True))
            self.sink(events.StepCached(step.id, step.title, ""))
            return True
        assert makes_layer(step)
        keyed_step = keyed(step, self.context)
        # Without a record of the definition no key can be found: the files need not be read to make one.
        if step.no_cache or not self.context.cache.has_definition(keyed_step.definition_digest):
            return False
        return self._hit(keyed_step)

    def _hit(self, keyed_step: KeyedStep) -> bool:
        found = keyed_step.find()
        if found is None:
            return False
        self._use(keyed_step, *found)
        return True

    def _use(self, keyed_step: KeyedStep, record: CacheRecord, layer: LayerRecord) -> None:
        # `find` looks under two keys: a record of another key than the step's own is that of a chroot.
        solved = StepResult(
            stack=keyed_step.parent.with_layer(layer), layer=layer, created=record.created, cached=True,
            key=str(record.key), in_chroot=record.key != keyed_step.key(),
        )  # fmt: skip
        step = keyed_step.step
        self._keep(step, solved)
        self._say_again(step, record)
        self.sink(events.StepCached(step.id, step.title, str(layer.diff_id), layer.descriptor.size, str(record.key)))

    def _say_again(self, step: Step[Op], record: CacheRecord) -> None:
        """Give the warnings of a cached layer again, in a build that has secrets: they are about secrets in it."""
        if self.context.secrets.values:
            from builder.solve.reason.facts import facts_from_bytes  # gate: rare. Most builds have no secrets

            try:
                facts = self.context.store.facts.find(record.key)
            except StoreError as error:
                said = f"whether cached layers hold the value of a secret cannot be told: {error.message}"
                self.context.warn(events.Warned("SecretInLayer", said))
                return
            for rule, message in facts_from_bytes(facts).warnings:
                self.context.warn(events.Warned(rule, message, step.label.location))

    def _keep(self, step: Step[Op], solved: StepResult) -> None:
        with self._lock:
            self.context.results.steps[step.id] = solved

    # --- the rest: a pool of threads --------------------------------------------------------------------------------

    def _run_all(self, missing: list[Step[Op]]) -> None:
        from builder.solve.scheduler import Pool  # gate: must execute

        Pool(min(self.jobs, _MAX_THREADS), self._solve_one, self.cancel).run(missing, set(self.context.results.steps))

    def _solve_one(self, step: Step[Op]) -> None:
        try:
            with errors_located_at(step):
                if does(step, ImageOp):
                    self._load_image(step)
                elif makes_layer(step):
                    self._make(keyed(step, self.context))
        except Cancelled:
            self.sink(events.StepCancelled(step.id, step.title))
            raise
        except PybuildError as error:
            # Most likely it failed because something else did: the build has one error, and that is the first.
            if self.cancel.is_set():
                self.sink(events.StepCancelled(step.id, step.title))
                raise Cancelled("the build was cancelled") from error
            self.sink(events.StepErrored(step.id, step.title, error))
            raise

    def _load_image(self, step: ImageStep) -> None:
        self.sink(events.StepStarted(step.id, step.title))
        started = time.monotonic()
        layers = self.context.resolver.layers(step.op.manifest_digest)
        self._keep(step, StepResult(stack=stack_of(layers), seconds=time.monotonic() - started))
        self.sink(events.StepFinished(step.id, step.title, time.monotonic() - started))

    def _make(self, keyed_step: KeyedStep) -> None:
        mine: Digest | None = None
        # What no record can answer for is copied at once, and its key made on the way: asking for that first would read
        # everything twice (docs/decisions/0004).
        is_copy = isinstance(keyed_step.step.op, CopyOp)
        if not is_copy or self.context.cache.has_definition(keyed_step.definition_digest):
            if self._found_or_mine(keyed_step):
                return
            mine = keyed_step.key()
        try:
            self._execute(keyed_step)
        finally:
            self._land(mine)

    def _found_or_mine(self, keyed_step: KeyedStep) -> bool:
        """Say whether another thread or an earlier build has this layer; if not, the key is ours to make."""
        key = keyed_step.key()
        while True:
            if not keyed_step.step.no_cache and self._hit(keyed_step):
                return True
            with self._lock:
                other = self._flight.get(key)
                if other is None:
                    self._flight[key] = threading.Event()
            if other is None:
                return self._landed_meanwhile(keyed_step, key)
            # Now there is a record, unless it has failed: then the build is being cancelled, and what begins here ends.
            other.wait()
            if self.cancel.is_set():
                raise Cancelled("the build was cancelled")
            # What this build has just made is not what --no-cache is against.
            if keyed_step.step.no_cache and self._hit(keyed_step):
                return True

    def _landed_meanwhile(self, keyed_step: KeyedStep, key: Digest) -> bool:
        """Say whether another thread has made this layer after we looked and before the key was ours."""
        # Its record was put before it let go of the key, so a look that misses while we hold it is final.
        found = True
        try:
            found = not keyed_step.step.no_cache and self._hit(keyed_step)
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
        reason = self._reason(keyed_step, in_chroot)
        self.sink(events.StepStarted(step.id, step.title, reason))
        started = time.monotonic()
        # The result says what the step read in fact: of a context that moved meanwhile, not what was read for the key.
        result = self.context.worker.execute(keyed_step.job(), self.context.tell, self.context.secrets)
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
        self._keep_facts(keyed_step, record.key, result)
        self.context.cache.put(record)
        self._keep(
            step,
            StepResult(
                stack=keyed_step.parent.with_layer(layer), layer=layer, created=record.created, key=str(record.key),
                reason=reason, seconds=seconds, in_chroot=result.in_chroot,
            ),
        )  # fmt: skip
        self.sink(
            events.StepFinished(
                step.id, step.title, seconds, str(layer.diff_id), layer.files, layer.descriptor.size, str(record.key)
            )
        )

    def _keep_facts(self, keyed_step: KeyedStep, key: Digest, result: JobResult) -> None:
        assert self._explainer is not None, "the reason was asked for before the step was executed"
        warnings = tuple((warning.rule, warning.message) for warning in result.warnings)
        self.context.store.facts.put(key, self._explainer.facts_to_keep(keyed_step, warnings))

    def _reason(self, keyed_step: KeyedStep, in_chroot: bool) -> str:
        """Return why the step has to run. Its inputs are read where there is an earlier step to compare them with."""
        with self._lock:
            if self._explainer is None:
                from builder.solve.reason.explain import Explainer  # gate: must execute. What is cached needs no reason

                self._explainer = Explainer(self.plan, self.context)
        return self._explainer.reason(keyed_step, in_chroot=in_chroot)

    def _remember(self, *, whole: bool) -> None:
        """Keep the keys of this build's steps for the next; those of a failed build are added to those of the last."""
        plans, key = self.context.store.documents, last_key(self.context.build_name)
        keys = keys_by_place(self.plan, self.context.results)
        if not whole and (known := plans.find(key)) is not None:
            keys = encode(decode(known, "the last build") | decode(keys, "this build"))
        with suppress(StoreError):  # a store that can only be read answers all the same
            plans.put(key, keys)
