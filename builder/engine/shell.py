"""A shell in the tree after any step of the build that made an image; what it changes is thrown away.

record of the build    steps as displays number them, of every stage, also of those that are not in the image;
                       the facts beside each cache record say what layers the step stands on
no record              the layers of the image, as `history` numbers them
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import NamedTuple

from builder.engine.build_record import BuildRecord, record_of
from builder.engine.result import StepReport
from builder.errors import StoreError, UsageError
from builder.image.image import Image
from builder.oci.canonical import decode
from builder.oci.digest import DiffID, Digest
from builder.oci.platform import host_platform, parse_platform
from builder.oci.reference import reference_or_none
from builder.solve.events import ignore_events
from builder.solve.reason.facts import Facts, find_facts
from builder.solve.results import Stack, stack_of
from builder.solve.shell import Streams, Surroundings, find_shell, run_in_tree, surroundings, surroundings_of
from builder.solve.views import Views
from builder.solve.worker import Worker
from builder.store.layers import LayerRecord
from builder.store.store import Notify, Store, open_store
from builder.transport.present import load_manifest
from builder.transport.resolver import Resolver

_NUMBER = re.compile(r"\[(?:[^\]]* )?(\d+)/\d+\] ")
"""The beginning of a title (plan/titles.py)."""
_SHOWN_CHARACTERS = 60


class ShellRequest(NamedTuple):
    """What is asked for; `command` empty for a shell."""

    root: str
    image: str
    """A name, which is pulled when it isn't here, or an image ID."""
    step: int | None = None
    """As displays number the steps of a stage, from 1; None for the last."""
    stage: str = ""
    """Empty for the one that the image is of."""
    command: tuple[str, ...] = ()
    user: str | None = None
    """None for that of the step."""
    isolation: str | None = None
    platform: str = ""
    large_layers: bool = False


class _Place(NamedTuple):
    """A file system, and what a shell in it is started with."""

    stack: Stack
    started_with: Surroundings


def run_shell(request: ShellRequest, streams: Streams, notify: Notify) -> int:
    """Run a shell, or a command, in the tree after a step; return its exit code.

    This process enters the namespaces of builds and must have one thread. Raises PybuildError.
    """
    with ExitStack() as stack:
        store = stack.enter_context(open_store(request.root, large_layers=request.large_layers, notify=notify))
        stack.enter_context(store.lease())
        views = Views(store)
        stack.callback(views.close)
        place = _find_place(request, store, Resolver(store, notify=notify))
        started_with = place.started_with
        if request.user is not None:
            started_with = started_with._replace(user=request.user)
        # Before a namespace is entered: that there is no shell is known from the layers' indexes.
        argv = request.command or find_shell(views.view(place.stack))
        worker = Worker(store, request.isolation)
        stack.callback(worker.close)
        worker.open(ignore_events, needs_network=True)
        return run_in_tree(worker, views, place.stack, started_with, argv, streams).code


def _find_place(request: ShellRequest, store: Store, resolver: Resolver) -> _Place:
    platform = parse_platform(request.platform) if request.platform else host_platform()
    name = resolver.meant(request.image)
    manifest = resolver.resolve(name, platform).manifest_digest
    image = load_manifest(store, manifest)
    own = surroundings_of(image.config.runtime)
    whole = stack_of(resolver.layers(manifest))
    if request.step is None and not request.stage:
        return _Place(whole, own)
    record = _record(store, name, manifest)
    if record is None:
        return _Place(_layers_of(request, whole), own)
    steps = _RecordedSteps(store, resolver, record, image)
    return steps.place(request, whole)


def _record(store: Store, name: str, manifest: Digest) -> BuildRecord | None:
    """Return the record of the build that made an image, alone or as one of an index."""
    found = record_of(store, manifest)
    reference = reference_or_none(name)
    top = store.names.find(reference.pinned) if found is None and reference is not None else None
    return found if top is None else record_of(store, top.digest)


def _layers_of(request: ShellRequest, whole: Stack) -> Stack:
    """Return the first layers of an image that nobody has a record of. Raises UsageError."""
    count = len(whole.layers)
    if request.stage:
        raise UsageError(
            f"there is no record of the build that made {request.image}, so its stages are not known",
            hint="It was built elsewhere, or long ago. Build it here again.",
        )
    assert request.step is not None, "asked for without stage and step, it is the whole image"
    if not 1 <= request.step <= count:
        raise UsageError(
            f"{request.image} has no layer {request.step}: "
            + (f"its layers are 1 to {count}" if count else "it has none at all"),
            hint="There is no record of its build: --step counts the layers that 'pybuild history' shows.",
        )
    return stack_of(whole.layers[: request.step])


class _RecordedSteps:
    """The steps of a build that is on record, for one platform."""

    def __init__(self, store: Store, resolver: Resolver, record: BuildRecord, image: Image) -> None:
        self._store = store
        self._resolver = resolver
        # The record is of this image: of several platforms, the one with its ID.
        report = next((one for one in record.images if one.image_id == str(image.id)), record.images[0])
        self._stages: dict[str, dict[int, StepReport]] = {}
        for step in report.steps:
            if step.stage and (number := _NUMBER.match(step.title)):
                self._stages.setdefault(step.stage, {})[int(number[1])] = step
        self._target = record.target if record.target in self._stages else next(reversed(self._stages), "")

    def place(self, request: ShellRequest, whole: Stack) -> _Place:
        """Return the file system after the step that is asked for. Raises UsageError, StoreError."""
        stage = request.stage or self._target
        steps = self._stages.get(stage)
        if steps is None:
            raise UsageError(
                f"the build of {request.image} had no stage {stage!r} with steps of its own",
                hint=f"Its stages are {', '.join(self._stages)}.",
            )
        number = max(steps) if request.step is None else request.step
        if number not in steps and number + 1 not in steps:
            raise UsageError(
                f"stage {stage} of {request.image} has no step {number}",
                hint=f"Its steps: {'; '.join(_short(steps[each].title) for each in sorted(steps))}.",
            )
        is_last = stage == self._target and number == max(steps)
        stack = whole if is_last else self._stack(steps, number)
        nearest = [steps[at].key for at in sorted(steps, reverse=True) if at <= number]
        base = self._base_of(steps)
        runtime = None if base is None else load_manifest(self._store, base).config.runtime
        return _Place(stack, surroundings(nearest, self._store.records.preimage, runtime))

    def _stack(self, steps: dict[int, StepReport], number: int) -> Stack:
        """Return the layers after a step. Raises StoreError."""
        if number not in steps:  # shared with another stage, which has its title: the next one stands on it
            return self._below(steps[number + 1])
        step = steps[number]
        if not step.layer:  # FROM: its layers are what the next step stands on, or those of the base that facts name
            return self._base(steps)
        # What COPY --link copies is one layer wherever it stands, so its record may be of another place.
        is_followed = self._is_link(step) and number - 1 in steps
        below = self._stack(steps, number - 1) if is_followed else self._below(step)
        return stack_of((*below.layers, self._layer(step.layer, step)))

    def _base(self, steps: dict[int, StepReport]) -> Stack:
        base = self._base_of(steps)
        if base is None:
            raise StoreError(
                "the layers of this base image are not on record: no step stands on it",
                hint="'pybuild shell' takes the name of the base image, too.",
            )
        return stack_of(self._resolver.layers(base))

    def _base_of(self, steps: dict[int, StepReport]) -> Digest | None:
        """Return the manifest of the image that a stage is FROM, if any is known and here."""
        facts = (self._facts(step) for _, step in sorted(steps.items()) if step.key)
        base = next((found.base for found in facts if found.base is not None), None)
        return Digest(base[1]) if base is not None and self._store.blobs.has(Digest(base[1])) else None

    def _facts(self, step: StepReport) -> Facts:
        return find_facts(self._store, step.key)

    def _is_link(self, step: StepReport) -> bool:
        preimage = self._store.records.preimage(Digest(step.key))
        return preimage is not None and decode(preimage, "a cache record").get("link") is True

    def _below(self, step: StepReport) -> Stack:
        """Return the layers that a step stands on. Raises StoreError."""
        found = stack_of(tuple(self._layer(diff_id, step) for diff_id, _ in self._facts(step).below))
        preimage = self._store.records.preimage(Digest(step.key))
        document = decode(preimage, "a cache record") if preimage is not None else {}
        # The key says on what: facts that do not fit are those of a damaged store, or of a COPY --link elsewhere.
        if document.get("parent") != found.chain_id:
            raise self._lost(step)
        return found

    def _layer(self, diff_id: str, step: StepReport) -> LayerRecord:
        found = self._store.layers.find(DiffID(diff_id))
        if found is None:
            raise self._lost(step)
        return found

    def _lost(self, step: StepReport) -> StoreError:
        return StoreError(
            f"the layers of {_short(step.title)} are not in the store any more, or not known",
            hint="They were pruned, perhaps. Build the image again: what is gone runs again.",
        )


def _short(title: str) -> str:
    return title if len(title) <= _SHOWN_CHARACTERS else f"{title[:_SHOWN_CHARACTERS]}…"
