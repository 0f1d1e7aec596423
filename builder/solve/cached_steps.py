"""Steps that the cache answers for: their results, and what is to be said of their layers again. Nothing is run."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builder.errors import StoreError
from builder.plan.step import ImageOp, Op, Step, dependencies, does, makes_layer
from builder.solve import events
from builder.solve.keyed_step import KeyedStep, keyed
from builder.solve.reason.facts import facts_from_bytes
from builder.solve.results import StepResult, stack_of
from builder.store.records import CacheRecord

if TYPE_CHECKING:
    from builder.solve.context import SolveContext
    from builder.store.layers import LayerRecord


@dataclass(slots=True)
class CachedSteps:
    """Of one plan; the results are the context's."""

    context: SolveContext
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, step: Step[Op]) -> bool:
        """Give a step its result from the cache, if what it stands on has one and the cache knows it."""
        if any(needed not in self.context.results.steps for needed in dependencies(step)):
            return False
        if does(step, ImageOp):
            layers = self.context.resolver.find_layers(step.op.manifest_digest)
            if layers is None:
                return False
            self.keep(step, StepResult(stack=stack_of(layers), cached=True))
            self.context.sink(events.StepCached(step.id, step.title, ""))
            return True
        assert makes_layer(step)
        keyed_step = keyed(step, self.context)
        # Without a record of the definition no key can be found: the files need not be read to make one.
        if step.no_cache or not self.context.cache.has_definition(keyed_step.definition_digest):
            return False
        return self.hit(keyed_step)

    def hit(self, keyed_step: KeyedStep) -> bool:
        """Give a step its result if there is a record of its key. Raises PybuildError."""
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
        self.keep(step, solved)
        self._say_again(step, record)
        self.context.sink(events.StepCached(step.id, step.title, str(layer.diff_id), layer.bytes, str(record.key)))

    def _say_again(self, step: Step[Op], record: CacheRecord) -> None:
        """Give the warnings of a cached layer again, in a build that has secrets: they are about secrets in it."""
        if self.context.secrets.values:
            try:
                facts = self.context.store.facts.find(record.key)
            except StoreError as error:
                # Facts lie in a database of their own, and one that is lost keeps no build from its end
                # (docs/decisions/0015). But who has secrets must hear that nobody looked.
                said = f"whether cached layers hold the value of a secret cannot be told: {error.message}"
                self.context.warn(events.Warned("SecretInLayer", said))
                return
            for rule, message in facts_from_bytes(facts).warnings:
                self.context.warn(events.Warned(rule, message, step.label.location))

    def keep(self, step: Step[Op], solved: StepResult) -> None:
        """Give a step its result. Safe for threads."""
        with self._lock:
            self.context.results.steps[step.id] = solved
