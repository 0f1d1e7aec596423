"""One step to execute, as data: what a solver asks of a worker, in this process or in another one.

    StepJob      step, layers below it and of what it reads, where its contexts lie, what RUN is given
    JobResult    the layer (which is in the worker's store), what was read, what is to be said of it

Both go through JSON unchanged, and are NamedTuples, as making a dataclass costs a cached build four times as much.

A job names everything that its step reads: layers that are in the worker's store, and contexts by a location that the
worker can open. So worker and solver share the disk that contexts lie on; a context that is to be read elsewhere has to
become a layer first.

Values of secrets and sockets of agents are in no job: `StepSecrets` hold them, and are handed beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from builder.context.location import ContextLocation, location_from_json, location_to_json
from builder.errors import PlanError
from builder.oci.canonical import Document, JsonObject, JsonValue
from builder.oci.descriptor import descriptor_from_json
from builder.oci.digest import DiffID, Digest, digest_of
from builder.oci.run_options import NO_OPTIONS, RunOptions, run_options_from_json
from builder.plan.serialise import step_from_json, step_to_json
from builder.plan.step import LayerStep, Network, StepID, makes_layer
from builder.solve.cache_key import preimage
from builder.solve.event_json import event_from_json, event_to_json
from builder.solve.events import Warned
from builder.solve.results import SCRATCH, Stack, stack_of
from builder.solve.seen import Seen
from builder.store.layers import LayerRecord

_NONE: Mapping[Any, Any] = MappingProxyType({})


class RunSettings(NamedTuple):
    """The options of the command line that hold for every RUN step."""

    network: Network = "default"
    run: RunOptions = NO_OPTIONS
    hostname: str = ""
    allow: frozenset[str] = frozenset()
    cache_namespace: str = ""


class StepSecrets(NamedTuple):
    """What no job may hold. Never written anywhere."""

    values: Mapping[str, bytes] = _NONE
    """Secrets by id."""
    ssh: Mapping[str, str] = _NONE
    """Sockets of agents on the worker's machine, by id."""

    # It stands in tracebacks, and in whatever holds this value and is printed.
    def __repr__(self) -> str:
        return "StepSecrets(…)"


NO_SECRETS = StepSecrets()


class StepJob(NamedTuple):
    """`build` is what jobs of one build have in common: they share what was opened and fetched for them."""

    build: str
    step: LayerStep
    parent: Stack
    """The file system that the step sees below it; scratch for COPY --link."""
    stacks: Mapping[StepID, Stack] = _NONE
    """The file systems of other steps that it reads."""
    contexts: Mapping[str, ContextLocation] = _NONE
    """The build contexts that it reads, by name."""
    settings: RunSettings = RunSettings()
    epoch: int | None = None
    """The time that no file of a layer may be younger than, in seconds since 1970."""
    made_at: int = 0
    """The time for what has none of its own, as a directory that COPY makes; in seconds since 1970."""
    definition: Document = _NONE
    """The preimage of the cache key, without the inputs (cache_key.py)."""
    inputs: JsonValue = None
    """The inputs of the cache key, digests of what the step will read; None where they are found on the way."""

    def key(self) -> Digest | None:
        """Return the cache key of the isolated step, None while its inputs are not known."""
        return None if self.inputs is None else digest_of(preimage(dict(self.definition), self.inputs))

    def stack(self, step: StepID | None) -> Stack:
        """Return the file system after `step`, which the job's step reads; scratch for None."""
        return SCRATCH if step is None else self.stacks[step]

    def to_json(self) -> JsonObject:
        """Return the job as an object."""
        settings = self.settings
        return {
            "build": self.build,
            "step": step_to_json(self.step),
            "parent": _stack_to_json(self.parent),
            "stacks": {str(step): _stack_to_json(stack) for step, stack in self.stacks.items()},
            "contexts": {name: location_to_json(location) for name, location in self.contexts.items()},
            "settings": {
                "network": settings.network,
                "run": settings.run._asdict(),
                "hostname": settings.hostname,
                # A set has no order that two processes share.
                "allow": sorted(settings.allow),
                "cache_namespace": settings.cache_namespace,
            },
            "epoch": self.epoch,
            "made_at": self.made_at,
            "definition": dict(self.definition),
            "inputs": self.inputs,
        }


def job_from_json(document: JsonObject) -> StepJob:
    """Return the job that an object says. Raises KeyError, TypeError, ValueError, PybuildError for others."""
    step = step_from_json(document["step"])
    if not makes_layer(step):
        raise PlanError("a job is for a step that makes a layer")
    settings = document["settings"]
    run = run_options_from_json(settings["run"])
    return StepJob(
        build=document["build"],
        step=step,
        parent=_stack_from_json(document["parent"]),
        stacks={StepID(int(number)): _stack_from_json(stack) for number, stack in document["stacks"].items()},
        contexts={name: location_from_json(location) for name, location in document["contexts"].items()},
        settings=RunSettings(**(settings | {"run": run, "allow": frozenset(settings["allow"])})),
        epoch=document["epoch"],
        made_at=document["made_at"],
        definition=document["definition"],
        inputs=document["inputs"],
    )


def _nothing_seen() -> tuple[Seen, ...]:
    return ()


class Inputs(NamedTuple):
    """What a step read, or will read."""

    document: JsonValue
    """The inputs member of the preimage of its key (cache_key.py)."""
    seen: Callable[[], tuple[Seen, ...]] = _nothing_seen
    """Gives the files behind the digests of the document; called when a miss is explained, not by cached builds."""
    warnings: tuple[Warned, ...] = ()
    """Given whether the step is cached or not."""


class JobResult(NamedTuple):
    layer: LayerRecord
    inputs: Inputs
    warnings: tuple[Warned, ...] = ()
    """Given whenever the layer is used, also when a later build takes it from the cache."""
    in_chroot: bool = False
    """Whether a RUN that was not isolated made it."""

    def to_json(self) -> JsonObject:
        """Return the result as an object; what was seen is read for it."""
        seen = [
            each._asdict() | {"lines": each.lines.decode("utf-8", "surrogateescape")} for each in self.inputs.seen()
        ]
        return {
            "layer": _layer_to_json(self.layer),
            "inputs": self.inputs.document,
            "seen": seen,
            "read_warnings": [event_to_json(warning) for warning in self.inputs.warnings],
            "warnings": [event_to_json(warning) for warning in self.warnings],
            "in_chroot": self.in_chroot,
        }


def result_from_json(document: JsonObject) -> JobResult:
    """Return the result that an object says. Raises KeyError, TypeError, ValueError, PybuildError."""
    seen = tuple(
        Seen(**(each | {"lines": each["lines"].encode("utf-8", "surrogateescape"), "layers": tuple(each["layers"])}))
        for each in document["seen"]
    )
    return JobResult(
        layer=_layer_from_json(document["layer"]),
        inputs=Inputs(document["inputs"], lambda: seen, _warnings(document["read_warnings"])),
        warnings=_warnings(document["warnings"]),
        in_chroot=document["in_chroot"],
    )


def _warnings(documents: list[JsonObject]) -> tuple[Warned, ...]:
    return tuple(event for document in documents if isinstance(event := event_from_json(document), Warned))


def _stack_to_json(stack: Stack) -> list[JsonObject]:
    return [_layer_to_json(layer) for layer in stack.layers]


def _stack_from_json(documents: list[JsonObject]) -> Stack:
    return stack_of(tuple(map(_layer_from_json, documents)))


def _layer_to_json(layer: LayerRecord) -> JsonObject:
    return layer._asdict() | {"descriptor": layer.descriptor.to_json(), "diff_id": str(layer.diff_id)}


def _layer_from_json(document: JsonObject) -> LayerRecord:
    descriptor = descriptor_from_json(document["descriptor"], "the layer of a job")
    return LayerRecord(**(document | {"descriptor": descriptor, "diff_id": DiffID(document["diff_id"])}))
