"""Opens an image to be explained: wherever it lies, with the record of its build where there is one.

In: the store's path, and a name, an ID, or a location as builder.transport.places.location has them. Out: an
`Explained`, which knows the steps and layers and gives the story of each path. What lies elsewhere is taken into the
store without a name, and goes with the next prune. What is wrong with an image is told, and no error: it is to be
looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from builder.engine.build_record import BuildRecord
from builder.engine.explained_image import Recorded, find_image, find_recorded
from builder.engine.explained_steps import StepOfStack, steps_of_history, steps_of_record
from builder.engine.result import ImageReport
from builder.errors import ImageError, PybuildError
from builder.explain.model import ExplainedLayer, ExplainedStep, Explanation
from builder.explain.totals import Totals, sum_up
from builder.explain.union import PathStory, path_stories
from builder.image.image import Image
from builder.layer.index import LayerIndex
from builder.oci.canonical import MAX_DOCUMENT_BYTES
from builder.oci.descriptor import Descriptor
from builder.oci.digest import ChainID, DiffID, Digest, chain_ids
from builder.solve import events
from builder.solve.reason.facts import Facts, find_facts
from builder.store.layers import LayerRecord
from builder.store.store import Notify, Store, open_store
from builder.transport.layer_index import open_layer_index
from builder.transport.present import find_layer


class _Layer(NamedTuple):
    diff_id: DiffID
    record: LayerRecord | None
    contents: LayerIndex | None
    missing: str


@dataclass(frozen=True, slots=True)
class Explained:
    """An image that is open: its explanation, and its layers' tables of contents."""

    explanation: Explanation
    totals: Totals
    """Of the image's own layers."""
    store: Store
    image: Image
    _recorded: Recorded | None
    _indexes: tuple[LayerIndex | None, ...]

    @property
    def record(self) -> BuildRecord | None:
        """The record of the build, if one is known."""
        return None if self._recorded is None else self._recorded.record

    @property
    def report(self) -> ImageReport | None:
        """What the record has of this image."""
        return None if self._recorded is None else self._recorded.report

    def stories(self, layers: Sequence[int] | None = None) -> Iterator[PathStory]:
        """Yield the story of each path of the image, or of a stack of some layers (positions in the explanation)."""
        chosen = self._indexes[: len(self.explanation.own)] if layers is None else [self._indexes[at] for at in layers]
        return path_stories(chosen)

    def stack_of(self, step: ExplainedStep) -> tuple[int, ...]:
        """Return the layers that the file system after a step is made of, base first, as positions."""
        steps = self.explanation.steps
        found: list[int] = []
        at: ExplainedStep | None = step
        while at is not None:
            found += reversed(at.layers)
            at = None if at.parent is None else steps[at.parent]
        return tuple(reversed(found))

    def facts(self, step: ExplainedStep) -> Facts:
        """Return what is kept beside the record of a step."""
        return find_facts(self.store, step.key)

    def preimage(self, step: ExplainedStep) -> bytes | None:
        """Return what the cache key of a step is the digest of, byte for byte; None when it is gone."""
        carried = self._recorded.carried if self._recorded is not None else None
        if carried is not None:
            return carried.preimages.get(step.key)
        return self.store.records.preimage(Digest(step.key)) if step.key else None

    def document(self, digest: Digest) -> bytes:
        """Return the manifest or config, byte for byte. Raises StoreError."""
        return self.store.blobs.read(digest, MAX_DOCUMENT_BYTES)


@contextmanager
def open_explained(
    root: str,
    text: str,
    *,
    platform: str = "",
    notify: Notify,
    sink: events.EventSink = events.ignore_events,
) -> Iterator[Explained]:
    """Open the image that `text` means; of an index the image for `platform`, by default this machine's.

    Raises PybuildError for a name that stands for nothing, and for documents that cannot be read.
    """
    with ExitStack() as stack:
        store = stack.enter_context(open_store(root, notify=notify))
        stack.enter_context(store.lease())
        name, top, image, problems = find_image(store, text, platform, sink, notify)
        layers = [_open(store, stack, layer, diff_id, problems) for layer, diff_id in _pairs(image)]
        yield _explained(store, stack, name, image, layers, find_recorded(store, top, image))


def _pairs(image: Image) -> Iterator[tuple[Descriptor, DiffID]]:
    return zip(image.manifest.layers, image.config.diff_ids, strict=True)


def _open(store: Store, stack: ExitStack, descriptor: Descriptor, diff_id: DiffID, missing: dict[str, str]) -> _Layer:
    record = find_layer(store, descriptor, diff_id)
    if record is None:
        return _Layer(diff_id, None, None, missing.get(str(descriptor.digest), "it is not in the store"))
    try:
        index = open_layer_index(store, record)
    except PybuildError as error:
        return _Layer(diff_id, record, None, error.message)
    stack.callback(index.close)
    return _Layer(diff_id, record, index, "")


def _explained(
    store: Store,
    stack: ExitStack,
    name: str,
    image: Image,
    layers: list[_Layer],
    recorded: Recorded | None,
) -> Explained:
    record = recorded.record if recorded is not None else None
    problems = [f"layer {number}: {layer.missing}" for number, layer in enumerate(layers, 1) if layer.missing]
    if recorded is not None:
        report = recorded.report
        times = _seconds(store, report) if recorded.carried is None else recorded.carried.seconds
        steps, others = _placed(steps_of_record(recorded.record, report, times), layers, store, stack)
    else:
        found, wrong = steps_of_history(image.config.history, len(layers))
        problems += wrong
        steps, others = _placed(found, layers, store, stack)
    totals = sum_up(path_stories([layer.contents for layer in layers]), len(layers))
    explanation = Explanation(
        name=name,
        names=tuple(store.names.names_of(image.descriptor.digest)),
        platform=str(image.config.platform),
        image_id=str(image.id),
        manifest=str(image.descriptor.digest),
        created=image.config.created,
        steps=tuple(steps),
        layers=(*_own_layers(store, image, layers, steps, totals), *(layer for layer, _ in others)),
        dockerfile=record.dockerfile if record is not None else None,
        target=record.target if record is not None else "",
        began=record.began if record is not None else 0,
        seconds=record.seconds if record is not None else 0.0,
        problems=tuple(problems),
    )
    indexes = (*(layer.contents for layer in layers), *(index for _, index in others))
    return Explained(explanation, totals, store, image, recorded, indexes)


def _seconds(store: Store, report: ImageReport) -> dict[str, float]:
    """Return how long the steps that came from the cache took when they were made."""
    found = {}
    for step in report.steps:
        if step.cached and step.key:
            seconds = find_facts(store, step.key).seconds
            if seconds is not None:
                found[step.key] = seconds
    return found


_Others = list[tuple[ExplainedLayer, LayerIndex | None]]


def _placed(
    found: list[StepOfStack], layers: list[_Layer], store: Store, stack: ExitStack
) -> tuple[list[ExplainedStep], _Others]:
    """Give each step its layers: those of the image in order, and then those of other stages."""
    mine = [number for number, one in enumerate(found) if one.step.in_image and (one.diff_id or one.is_base)]
    own = sum(not found[number].is_base for number in mine)
    base = len(layers) - own
    steps = [one.step for one in found]
    at = 0
    for number in mine:
        count = base if found[number].is_base else 1
        steps[number] = steps[number]._replace(layers=tuple(range(at, at + count)))
        at += count
    others: _Others = []
    for number, one in enumerate(found):
        if one.step.in_image or not one.diff_id:
            continue
        record = store.layers.find(DiffID(one.diff_id))
        index = None
        missing = "it is not in the store"
        if record is not None:
            try:
                index = open_layer_index(store, record)
                stack.callback(index.close)
                missing = ""
            except PybuildError as error:
                missing = error.message
        steps[number] = steps[number]._replace(layers=(len(layers) + len(others),))
        layer = ExplainedLayer(
            len(others) + 1, one.diff_id, "", "", "", record.bytes if record else None, _tar_size(record), None, number,
            one.step.stage, in_image=False, missing=missing,
        )  # fmt: skip
        others.append((layer, index))
    for number, one in enumerate(found):
        if one.same_as is not None:
            steps[number] = steps[number]._replace(layers=steps[one.same_as].layers)
    return steps, others


def _tar_size(record: LayerRecord | None) -> int | None:
    """Return the size of the uncompressed tar where that is the form in which the layer lies here."""
    if record is None or record.descriptor.digest != record.diff_id:
        return None
    return record.descriptor.size


def _own_layers(
    store: Store, image: Image, layers: list[_Layer], steps: list[ExplainedStep], totals: Totals
) -> Iterator[ExplainedLayer]:
    packed = store.layers.compressed_sizes()
    maker = {layer: number for number, step in enumerate(steps) if step.in_image for layer in step.layers}
    chains: tuple[ChainID, ...] = tuple(chain_ids(image.config.diff_ids))
    for at, (layer, descriptor) in enumerate(zip(layers, image.manifest.layers, strict=True)):
        sums = totals.layers[at]
        is_plain = descriptor.digest == layer.diff_id
        known = layer.contents is not None
        yield ExplainedLayer(
            at + 1,
            str(layer.diff_id),
            str(chains[at]),
            str(descriptor.digest),
            descriptor.media_type,
            sums.stored if known else None,
            descriptor.size if is_plain else _tar_size(layer.record),
            packed.get(layer.diff_id) if is_plain else descriptor.size,
            maker.get(at, 0),
            steps[maker[at]].stage if at in maker else "",
            missing=layer.missing,
            added=sums.added,
            modified=sums.modified,
            deleted=sums.deleted,
            hidden=sums.hidden,
            hides=sums.hides,
        )


def step_named(explanation: Explanation, text: str) -> ExplainedStep | None:
    """Return the step that people mean: a number as displays have it, `STAGE:N`, or a layer as `LN`.

    None for what can't mean one: then it is an image. Raises ImageError, with those that there are, for a number that
    no step has.
    """
    stage, _, number = text.rpartition(":")
    steps = explanation.steps
    if text[:1] in "Ll" and text[1:].isdecimal():
        found = [steps[layer.step] for layer in explanation.own if layer.number == int(text[1:])]
    elif number.isdecimal() and (not stage or any(step.stage == stage for step in steps)):
        found = [step for step in steps if step.number == int(number) and stage in ("", step.stage)]
        if not stage:  # the target's, whose numbers displays show last
            found = [step for step in found if step.stage == explanation.target] or found
    else:
        return None
    if not found:
        named = (f"{step.stage}:{step.number}" if step.stage else str(step.number) for step in steps if step.number)
        count = len(explanation.own)
        known = (*dict.fromkeys(named), "L1" if count == 1 else f"L1 to L{count}" if count else "")
        raise ImageError(
            f"{explanation.name} has no step {text!r}", hint=f"There are: {', '.join(filter(None, known)) or 'none'}."
        )
    return found[-1]
