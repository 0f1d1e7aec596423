"""What an edit of files of the context would run again, and what it would cost, without building: `--if-changed`.

In: the graph of a build's steps, and what is kept beside the cache record of each (solve/reason/facts.py): the files it
read, what is ignored, the seconds it took. Out: which steps run for certain, and which only if another one gives other
bytes than it did.

Certain is what stands on content: a step whose files are edited has another key, and so has one that stands on a layer
with other bytes. A COPY puts what it reads into its layer, under the path that the layer's index shows; what a RUN
makes of it nobody knows; and a COPY --from runs only for what it selects.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from builder.context.ignore import way_to
from builder.context.paths import inside_root, join
from builder.engine.edits import Edits, Hit, new_hit, takes
from builder.engine.step_graph import StepNode
from builder.filesystem.entry import DIRECTORY, FILE
from builder.layer.index import LayerIndex
from builder.oci.canonical import JsonObject
from builder.oci.digest import DiffID, Digest
from builder.solve.entry_line import described
from builder.solve.reason.facts import NO_FACTS, Facts, find_facts
from builder.solve.seen import Seen
from builder.store.store import Store

_COPIES = ("copy", "add", "workdir")
"""Operations that make the same layer of the same inputs."""


class Foretold(NamedTuple):
    """A step that would run again."""

    node: StepNode
    certain: bool
    because: str
    seconds: float | None
    """What it took when it was last made; None where that was not kept."""


class Answer(NamedTuple):
    """What is to be said of one path that was asked for."""

    path: str
    readers: tuple[StepNode, ...]
    note: str = ""


class Cost(NamedTuple):
    """Seconds, as far as they are known."""

    work: float
    """Of all steps together."""
    critical: float
    """Of the longest way through steps that wait for one another: what it takes with enough processors."""
    unknown: int
    """Steps of which nobody knows how long they take."""


class Foretelling(NamedTuple):
    """For one platform."""

    platform: str
    answers: tuple[Answer, ...]
    steps: tuple[Foretold, ...]
    nodes: tuple[StepNode, ...]

    def cost(self, *, certain_only: bool) -> Cost:
        """Return what the steps that run for certain would cost, or all that may run."""
        chosen = {each.node.step: each.seconds for each in self.steps if each.certain or not certain_only}
        return Cost(
            work=sum(seconds or 0.0 for seconds in chosen.values()),
            critical=max(longest_ways(self.nodes, chosen).values(), default=0.0),
            unknown=sum(seconds is None for seconds in chosen.values()),
        )


def longest_ways(nodes: Sequence[StepNode], seconds: dict[int, float | None]) -> dict[int, float]:
    """Return for each step the seconds until it is done, if each starts when all that it needs is done."""
    ways: dict[int, float] = {}
    for node in nodes:
        before = max((ways[needed] for needed in node.needs() if needed in ways), default=0.0)
        ways[node.step] = before + (seconds.get(node.step) or 0.0)
    return ways


class _Known(NamedTuple):
    """What the store knows of a step."""

    facts: Facts
    preimage: JsonObject
    layer: str
    """Diff ID of the layer it made; "" where that is gone."""


class _Change(NamedTuple):
    """How the file system after a step differs from what it was."""

    certain: bool
    """Whether its layers have other bytes for certain."""
    paths: frozenset[str] | None
    """All paths that hold something else, each for certain; None: any may."""
    by: int
    """The step that it hangs on."""


def foretell(
    store: Store, nodes: Sequence[StepNode], asked: Sequence[str], *, dockerfile: str = "Dockerfile"
) -> Foretelling:
    """Return what an edit of all that `asked` names would run again; `nodes` are of one platform.

    Paths are of the context, and may have wildcards. Raises UsageError for a pattern that is none.
    """
    edits = Edits(asked)
    known = {node.step: _known(store, node) for node in nodes if node.key}
    hits = {step: tuple(edits.hits(found.facts)) for step, found in known.items()}
    met = {hit.asked for each in hits.values() for hit in each}
    new = [number for number in range(len(asked)) if number not in met]
    for step, found in known.items():
        hits[step] += tuple(hit for number in new for hit in edits.new_hits(number, found.facts, found.preimage))
    with ExitStack() as stack:
        walk = _Walk(store, nodes, known, stack)
        steps = tuple(foretold for node in nodes if node.key and (foretold := walk.step(node, hits[node.step])))
    answers = []
    for number, path in enumerate(edits.asked):
        readers = tuple(node for node in nodes if any(hit.asked == number for hit in hits.get(node.step, ())))
        note = _note(edits, number, known, dockerfile, readers, is_new=bool(readers) and number in new)
        answers.append(Answer(path, readers, note))
    return Foretelling(nodes[0].platform if nodes else "", tuple(answers), steps, tuple(nodes))


def _known(store: Store, node: StepNode) -> _Known:
    record = store.records.find(Digest(node.key))
    preimage = store.records.preimage(Digest(node.key))
    facts = find_facts(store, node.key)
    layer = record.layer.diff_id if record is not None and record.layer is not None else ""
    # A layer that is to be fetched has no index yet.
    layer = layer if layer and os.path.exists(store.layers.index_path(DiffID(layer))) else ""
    return _Known(facts, {} if preimage is None else json.loads(preimage), layer)


def _note(
    edits: Edits, number: int, known: dict[int, _Known], dockerfile: str, readers: tuple[StepNode, ...], *, is_new: bool
) -> str:
    path = edits.asked[number]
    if path in (dockerfile, ".dockerignore", f"{dockerfile}.dockerignore"):
        return "what else an edit of it changes, `pybuild plan` says"
    if is_new:
        return "as a new file: it was not there"
    if readers:
        return ""
    rules = (edits.hidden_by(number, found.facts) for found in known.values())
    rule = next(filter(None, rules), "")
    if rule:
        return f"no step reads it: .dockerignore hides it ({rule})"
    return "no step reads it" if edits.is_path(number) else "no step reads anything that it matches"


class _Walk:
    """Goes through the steps in order, and carries along how the file system after each differs."""

    def __init__(self, store: Store, nodes: Sequence[StepNode], known: dict[int, _Known], stack: ExitStack) -> None:
        self._store = store
        self._stack = stack
        self._indexes: dict[str, LayerIndex] = {}
        self._nodes = {node.step: node for node in nodes}
        self._known = known
        self._changes: dict[int, _Change] = {}
        self._run: set[int] = set()

    def step(self, node: StepNode, hits: tuple[Hit, ...]) -> Foretold | None:
        """Return whether and why a step runs again; None when it does not."""
        known = self._known[node.step]
        under = None if node.parent is None else self._changes.get(node.parent)
        # COPY --link does not see what is below it.
        below = None if known.preimage.get("link") else under
        read, vague = self._read_of_steps(node, known)
        is_unknown = known.facts == NO_FACTS or not known.preimage
        certain = bool(hits or read or (below is not None and below.certain))
        if not (certain or vague or below or is_unknown):
            if under is not None:
                self._changes[node.step] = self._hiding(under, known.layer)
            return None
        self._run.add(node.step)
        own = self._own_layer(node, known, (*hits, *read), is_vague=bool(vague) or is_unknown)
        change = _on_top(own, None if under is None else self._hiding(under, known.layer))
        if change.certain or change.paths is None:
            self._changes[node.step] = change
        if hits:
            because = f"reads {_shown(hits)}"
        elif read:
            because = f"reads {read[0].path} of {self._nodes[read[0].asked].name(node.stage)}"
        elif below is not None and below.certain:
            because = f"follows {self._nearest(node).name(node.stage)}"
        elif is_unknown:
            because = "what it read is not known any more"
        else:
            by = vague or (below.by if below is not None else node.step,)
            because = f"only if {self._nodes[by[0]].name(node.stage)} gives other bytes"
        return Foretold(node, certain, because, known.facts.seconds)

    def _read_of_steps(self, node: StepNode, known: _Known) -> tuple[tuple[Hit, ...], tuple[int, ...]]:
        """Return what a step reads of other steps' file systems that is edited for certain; the steps whose file
        systems nobody can tell the paths of.
        """
        found: list[Hit] = []
        vague = []
        for number in node.reads:
            change = self._changes.get(number)
            if change is None:
                continue
            if change.paths is None:
                vague.append(change.by)
                continue
            for seen in known.facts.seen:
                if seen.context is None and self._may_be_of(seen, number):
                    if self._leads_astray(seen):
                        vague.append(change.by)
                    else:
                        found += _hits_of(change.paths, number, seen, known.preimage)
        return tuple(found), tuple(vague)

    def _may_be_of(self, seen: Seen, step: int) -> bool:
        # Of mounts the layers are kept, which tell one stage from the others; a COPY reads one only.
        of = self._known.get(step)
        return not seen.layers or of is None or not of.layer or seen.layers[-1] == of.layer

    def _leads_astray(self, seen: Seen) -> bool:
        """Say whether a link may stand on the way to what a mount shows: then its path does not say what it is."""
        for layer in seen.layers if seen.root.strip("/") else ():
            try:
                index = self._index(layer)
            except FileNotFoundError:
                return True
            ways = (index.find(way) for way in way_to(inside_root(seen.root)))
            if any(found is not None and found.entry.kind not in (DIRECTORY, FILE) for found in ways):
                return True
        return False

    def _own_layer(self, node: StepNode, known: _Known, hits: tuple[Hit, ...], *, is_vague: bool) -> _Change:
        """Return how the layer of a step that runs again differs by what it reads."""
        if known.preimage.get("operation") not in _COPIES:
            return _Change(False, None, node.step)
        landed = [self._landed(known, hit) for hit in hits]
        paths = None if is_vague or None in landed else frozenset(filter(None, landed))
        return _Change(any(landed), paths, node.step)

    def _landed(self, known: _Known, hit: Hit) -> str | None:
        """Return the path in its layer that a COPY has put a file under; None where that cannot be told, as for what
        another source hides, what an archive was unpacked to, and what a link in the base has led elsewhere.
        """
        if hit.entry.kind != FILE or not known.layer or (hit.is_new and not hit.seen.is_directory):
            return None
        destination = inside_root(str(known.preimage.get("destination", "")))
        ways = (join(destination, hit.entry.path), *(() if hit.seen.is_directory else (destination,)))
        index = self._index(known.layer)
        if hit.is_new:
            # Where the layer has its other files, it is: no link has led them elsewhere.
            return ways[0] if not destination or index.has_below(destination) else None
        for path in ways:
            found = index.find(path)
            entry = None if found is None else found.entry
            # Digests are kept cut (entry_line.py).
            is_it = entry is not None and entry.kind == FILE and entry.digest.startswith(hit.entry.digest)
            if is_it and hit.entry.digest:
                return str(path)
        return None

    def _hiding(self, change: _Change, layer: str) -> _Change:
        """Leave out what a layer on top hides with what it has itself."""
        if not change.paths:
            return change
        if not layer:
            return change._replace(paths=None)
        index = self._index(layer)
        return change._replace(paths=frozenset(path for path in change.paths if not _hides(index, path)))

    def _nearest(self, node: StepNode) -> StepNode:
        """Return the next step below that runs again."""
        below = node
        while below.parent is not None:
            below = self._nodes[below.parent]
            if below.step in self._run:
                break
        return below

    def _index(self, layer: str) -> LayerIndex:
        if layer not in self._indexes:
            path = self._store.layers.index_path(DiffID(layer))
            self._indexes[layer] = self._stack.enter_context(LayerIndex(path, DiffID(layer)))
        return self._indexes[layer]


def _on_top(own: _Change, under: _Change | None) -> _Change:
    """Return the change of a file system of that of a layer, and that of what is below it."""
    if under is None:
        return own
    paths = None if own.paths is None or under.paths is None else own.paths | under.paths
    return _Change(own.certain or under.certain, paths, own.by if own.paths is None else under.by)


def _hides(index: LayerIndex, path: str) -> bool:
    """Say whether a layer hides what lower ones have at a path."""
    found = index.find(path)
    if found is not None and found.entry.kind != DIRECTORY:
        return True
    for way in way_to(path):
        above = index.find(way)
        if index.has_whiteout(way) or (above is not None and above.entry.kind != DIRECTORY):
            return True
        if way != path and index.is_opaque(way):
            return True
    return index.is_opaque("")


def _hits_of(paths: frozenset[str], step: int, seen: Seen, preimage: JsonObject) -> Iterator[Hit]:
    """Yield what a step reads of the file system of another one, among `paths` of that which are edited."""
    if seen.layers:
        # Of mounts the files are not kept: all that is below the root is seen.
        root = seen._replace(root=inside_root(seen.root))
        yield from (new_hit(step, root, path) for path in sorted(paths) if path == root.root or takes(path, root, {}))
        return
    files = {seen.path_of(file.path): file for file in described(seen.lines)}
    for path in sorted(paths):
        if path in files:
            yield Hit(step, seen, files[path])
        elif takes(path, seen, preimage):
            yield new_hit(step, seen, path)


def _shown(hits: tuple[Hit, ...]) -> str:
    paths = list(dict.fromkeys(hit.path for hit in hits))
    return paths[0] + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
