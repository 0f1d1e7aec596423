"""Finds what a step that must run is to be compared with, and asks for the reason; keeps what the next build asks for.

The last build of the same name (context, Dockerfile, platform) left the keys of its steps by stage and position. Where
steps were put in or taken out, a step is compared with the one that says the same, wherever that stood in its stage.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builder.context.ignore import parse_ignore
from builder.context.tree import ignore_rules
from builder.errors import PybuildError
from builder.oci.canonical import JsonObject
from builder.oci.digest import DiffID, Digest
from builder.plan.plan import Plan
from builder.plan.step import ContextSource, CopyOp, LayerStep, RunOp, StepID, WorkdirOp, does, makes_layer
from builder.solve.cache_key import shape_of_op, shape_of_preimage
from builder.solve.difference import FIRST_BUILD, Difference, Reasons, only, reasons_of
from builder.solve.reason.below import base_of, changes_below, label, titles_below
from builder.solve.reason.compare import (
    LAYER_GONE,
    NO_CACHE,
    PRUNED,
    Look,
    Sources,
    differences,
    read_look,
)
from builder.solve.reason.facts import Facts, facts_to_bytes, find_facts
from builder.solve.reason.last_build import last_key, place_names
from builder.solve.results import stack_of
from builder.solve.seen import Seen

if TYPE_CHECKING:
    from builder.context.tree import Tree
    from builder.solve.context import SolveContext
    from builder.solve.keyed_step import KeyedStep


@dataclass(slots=True)
class Explainer:
    """Explains the misses of one plan."""

    plan: Plan
    context: SolveContext
    hits: set[StepID] = field(default_factory=set)
    """Of a dry run: steps that the cache has, and that have no result as what is below them has to run first."""
    _places: dict[StepID, str] = field(default_factory=dict)
    _last: dict[str, str] = field(default_factory=dict)
    _shapes: JsonObject = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._places = place_names(self.plan)
        known = self.context.store.documents.find(last_key(self.context.build_name))
        # Read once and before anything is made: solver.py writes today's keys over these at the end.
        self._last = json.loads(known) if known else {}

    def reason(self, keyed_step: KeyedStep, *, in_chroot: bool) -> Reasons:
        """Return why a step must run, in a chroot or not. Its inputs are read where an earlier one can be compared.

        Raises PybuildError.
        """
        step = keyed_step.step
        if step.no_cache:
            return only("no-cache", NO_CACHE)
        earlier = self.earlier(step)
        if earlier is None:
            return self._first(step)
        key, preimage = keyed_step.identity(in_chroot=in_chroot)
        # The very key that was made before, and still a miss: nothing of the step has changed, only what is kept of it.
        if key in (earlier, self._last.get(self._places[step.id])):
            is_pruned = self.context.cache.preimage(key) is None
            return only("pruned", PRUNED) if is_pruned else only("layer-gone", LAYER_GONE)
        before = self._look(Digest(earlier))
        if before is None:
            return only("pruned", PRUNED)
        # From here on inputs are read, which a COPY without an earlier one is spared (docs/decisions/0013).
        now = read_look(preimage, self.facts(keyed_step))
        found = differences(before, now, self._sources(step, before.facts, now.facts))
        return reasons_of(found) if found else only("pruned", PRUNED)

    def reason_waiting(self, step: LayerStep, document: JsonObject, seen: tuple[Seen, ...]) -> Reasons:
        """Return why a step must run that waits for another; `document` is its preimage as far as that is known."""
        if step.no_cache:
            return only("no-cache", NO_CACHE)
        earlier = self.earlier(step)
        before = None if earlier is None else self._look(Digest(earlier))
        if before is None:
            return self._first(step) if earlier is None else only("pruned", PRUNED)
        now = Look(document, self._own_facts(step, seen))
        return reasons_of(differences(before, now, self._sources(step, before.facts, now.facts)))

    def _first(self, step: LayerStep) -> Reasons:
        # Words as of a first build: neither has been made before, and which step is new is seen by where this stands.
        return only("step-added" if self._last else "first-build", FIRST_BUILD, label(step, step))

    def facts(self, keyed_step: KeyedStep) -> Facts:
        """Return what is to be kept beside the record of a step whose inputs are known."""
        results = self.context.results
        return self._own_facts(keyed_step.step, keyed_step.inputs.seen())._replace(
            base=base_of(self.plan, keyed_step.step), below=titles_below(self.plan, keyed_step.step, results)
        )

    def facts_to_keep(self, keyed_step: KeyedStep, warnings: tuple[tuple[str, str], ...], seconds: float) -> bytes:
        """Return `facts`, as they are kept, with what is to be said of the layer (rules, messages) and its time."""
        return facts_to_bytes(self.facts(keyed_step)._replace(warnings=warnings, seconds=round(seconds, 3)))

    def _own_facts(self, step: LayerStep, seen: tuple[Seen, ...]) -> Facts:
        ignored = {name: rules for name in _contexts(step) if (rules := ignore_rules(self._tree(name)))}
        variables = step.op.variables if isinstance(step.op, CopyOp | WorkdirOp) else ()
        arguments = frozenset(step.op.arguments if isinstance(step.op, RunOp) else ())
        return Facts(variables=variables, ignored=ignored, seen=seen, arguments=arguments)

    def _tree(self, context: str) -> Tree:
        return self.context.contexts.tree(context)

    # --- what to compare with -------------------------------------------------------------------------------------

    def earlier(self, step: LayerStep) -> str | None:
        """Return the key of the record that a step is compared with."""
        place = self._places[step.id]
        # The last build first, also where it was cached; the newest record of the place only where
        # that build is forgotten.
        own = self._last.get(place) or self.context.cache.latest(f"{self.context.build_name}\0{place}")
        shape = shape_of_op(step.op)
        # A record that is gone has no shape: this step is taken for the same, and its record for pruned.
        if own is not None and self._shape(own) in (None, shape):
            return own
        stage = place.rpartition("\0")[0] + "\0"
        for other, key in self._last.items():
            if other.startswith(stage) and self._shape(key) == shape:
                return key
        if own is None:
            return None
        # The step that stood here may stand elsewhere today. Then this one is new: compared with that one, every word
        # of it would be a change.
        others = [other for other in self.plan.steps if other.label.stage == step.label.stage and other.id != step.id]
        shapes = [shape_of_op(other.op) for other in others if makes_layer(other)]
        return None if self._shape(own) in shapes else own

    def _shape(self, key: str) -> object:
        if key not in self._shapes:
            preimage = self.context.cache.preimage(Digest(key))
            self._shapes[key] = None if preimage is None else shape_of_preimage(json.loads(preimage))
        return self._shapes[key]

    def _look(self, key: Digest) -> Look | None:
        preimage = self.context.cache.preimage(key)
        return None if preimage is None else read_look(preimage, find_facts(self.context.store, key))

    # --- what is asked while comparing ----------------------------------------------------------------------------

    def _sources(self, step: LayerStep, before: Facts, now: Facts) -> Sources:
        def below() -> Iterator[Difference]:
            return changes_below(self.plan, step, self.context.results, before, self.hits)

        def came(seen: Seen, path: str) -> str:
            was = before.ignored.get(seen.context or "", ()) if seen.context is not None else ()
            if not was or was == now.ignored.get(seen.context or ""):
                return ""
            return " (no longer ignored)" if parse_ignore("\n".join(was), "").decide(path).excluded else ""

        def went(seen: Seen, path: str) -> str:
            rule = self._tree(seen.context).hidden_by(path) if seen.context is not None else ""
            return f" (excluded by {rule})" if rule else ""

        return Sources(below, lambda seen: self._lines(step, seen), came, went)

    def _lines(self, step: LayerStep, seen: Seen) -> bytes:
        if not seen.layers or not does(step, RunOp):
            return seen.lines
        records = [self.context.store.layers.find(DiffID(diff_id)) for diff_id in seen.layers]
        stack = stack_of(tuple(record for record in records if record is not None))
        # A layer of then has been pruned: its files are compared with none, and the digests have told
        # that there is a change.
        if len(stack.layers) < len(records):
            return b""
        try:
            return self.context.tools.run.stage_lines(step, stack, seen.root)
        except PybuildError:
            return b""  # it was not there


def _contexts(step: LayerStep) -> Iterator[str]:
    """Yield the names of the contexts that a step reads."""
    yield from dict.fromkeys(source.name for source, _ in step.op.reads() if isinstance(source, ContextSource))
