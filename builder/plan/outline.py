"""What a Dockerfile offers: its targets, and the arguments, secrets, sockets and caches a target uses.

The documents of `--call=targets` and `--call=outline`. A comment directly above an ARG or a FROM describes it when it
begins with the name (`# version of the compiler` does not, `# VERSION of the compiler` does).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from builder.dockerfile.instructions import Arg, ArgDefinition, Dockerfile, Stage
from builder.dockerfile.source import encode_source
from builder.errors import Location
from builder.plan.image_resolver import ImageResolver
from builder.plan.options import PlanOptions
from builder.plan.planner import Planner
from builder.plan.step import CacheMount, RunOp, SecretMount, SshMount

# Names alone: what a word does with their values is all the same here.
_VARIABLE = re.compile(r"\$\{?(\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A stage that can be built. `base` and `platform` are as written."""

    name: str
    description: str = ""
    default: bool = False
    base: str = ""
    platform: str = ""
    location: Location = field(compare=False)

    def to_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "name": self.name,
            "default": self.default,
            "description": self.description,
            "base": self.base,
            "platform": self.platform,
        }
        return _without_blanks(document) | {"location": _location_to_json(self.location)}


@dataclass(frozen=True, slots=True)
class Targets:
    """The targets of a file, and its text."""

    targets: tuple[Target, ...]
    source: str

    def to_json(self) -> dict[str, Any]:
        return {"targets": [target.to_json() for target in self.targets], "sources": [encode_source(self.source)]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Something a target uses: an ARG with its `value`, a secret, a socket, a cache."""

    name: str
    description: str = ""
    value: str = ""
    required: bool = False
    location: Location | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {"name": self.name}
        for key, value in (("description", self.description), ("value", self.value), ("required", self.required)):
            if value:
                document[key] = value
        if self.location:
            document["location"] = _location_to_json(self.location)
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What one target uses, in the order of the file; `source` is the text of that."""

    name: str
    description: str = ""
    args: tuple[Need, ...] = ()
    secrets: tuple[Need, ...] = ()
    ssh: tuple[Need, ...] = ()
    caches: tuple[Need, ...] = ()
    source: str = field(default="", compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        document = _without_blanks({"name": self.name, "description": self.description})
        for key, needs in (("args", self.args), ("secrets", self.secrets), ("ssh", self.ssh), ("cache", self.caches)):
            if needs:
                document[key] = [need.to_json() for need in needs]
        return document | {"sources": [encode_source(self.source)]}


def _without_blanks(document: dict[str, Any]) -> dict[str, Any]:
    """Return the members that say something; what BuildKit leaves out is not there."""
    return {key: value for key, value in document.items() if value}


def list_targets(dockerfile: Dockerfile) -> Targets:
    """Return the stages of a file; nothing is expanded and no image looked up."""
    targets = tuple(
        Target(
            name=stage.name,
            description=_description(stage.base.syntax.comments, stage.name),
            default=stage.index == len(dockerfile.stages) - 1,
            base=stage.base.image.text,
            platform=stage.base.platform.text if stage.base.platform else "",
            location=stage.base.location,
        )
        for stage in dockerfile.stages
    )
    return Targets(targets, dockerfile.text)


def make_outline(dockerfile: Dockerfile, options: PlanOptions, resolver: ImageResolver) -> Outline:
    """Return what the target uses. Raises PlanError where a plan would."""
    # A whole plan is made, since ARGs, ONBUILD and mounts decide what a target uses; nothing is built.
    planner = Planner(dockerfile, options, resolver)
    plan = planner.plan()
    stage = planner.graph.stages[planner.graph.target(options.target)]
    runs = [(step.op, step.label) for step in plan.steps if isinstance(step.op, RunOp)]
    mounts = [(mount, label.location) for op, label in runs for mount in op.mounts]
    return Outline(
        name=stage.name,
        source=dockerfile.text,
        description=_description(stage.base.syntax.comments, stage.name),
        args=_merged(_arguments(dockerfile, planner)),
        secrets=_merged(
            Need(name=mount.identifier, required=mount.required, location=place)
            for mount, place in mounts
            if isinstance(mount, SecretMount)
        ),
        ssh=_merged(
            Need(name=mount.identifier, required=mount.required, location=place)
            for mount, place in mounts
            if isinstance(mount, SshMount)
        ),
        caches=_merged(
            Need(name=mount.identifier, location=place) for mount, place in mounts if isinstance(mount, CacheMount)
        ),
    )


def _arguments(dockerfile: Dockerfile, planner: Planner) -> Iterator[Need]:
    """Yield the ARGs of the planned stages, and those before the first FROM that they lead to."""
    stages = [planner.graph.stages[index] for index in sorted(planner.finished)]
    wanted: set[str] = set()
    for stage in stages:
        wanted |= _names_in_from(stage)
        for definition, arg in _definitions(stage):
            if definition.default is None and planner.outside.find(definition.name):
                wanted.add(definition.name)
                if definition.name in planner.outside.declared:
                    continue  # the one before the first FROM tells more
                if definition.name not in planner.options.build_args:
                    continue  # predefined: nobody has to give it
            value = planner.finished[stage.index].scope.lookup(definition.name) or ""
            yield _argument(definition, arg, value)
    yield from _global_arguments(dockerfile, planner, wanted)


def _global_arguments(dockerfile: Dockerfile, planner: Planner, wanted: set[str]) -> Iterator[Need]:
    """Yield the wanted ARGs before the first FROM, and those that their defaults use."""
    definitions = [(definition, arg) for arg in dockerfile.global_args for definition in arg.definitions]
    # From the last to the first: a default can only use what stands above it.
    for definition, arg in reversed(definitions):
        if definition.name in wanted:
            wanted |= set(_VARIABLE.findall(definition.default.text)) if definition.default else set()
            yield _argument(definition, arg, planner.outside.lookup(definition.name) or "")


def _names_in_from(stage: Stage) -> set[str]:
    words = [stage.base.image, *([stage.base.platform] if stage.base.platform else [])]
    return {name for word in words for name in _VARIABLE.findall(word.text)}


def _definitions(stage: Stage) -> Iterator[tuple[ArgDefinition, Arg]]:
    for statement in stage.statements:
        if isinstance(statement, Arg):
            for definition in statement.definitions:
                yield definition, statement


def _argument(definition: ArgDefinition, arg: Arg, value: str) -> Need:
    description = _description(arg.syntax.comments, definition.name)
    return Need(name=definition.name, description=description, value=value, location=arg.location)


def _description(comments: tuple[str, ...], name: str) -> str:
    """Return the rest of the comment line that begins with the name."""
    for line in comments:
        text = line.strip()
        if name and text.startswith(name + " "):
            return text[len(name) + 1 :].strip()
    return ""


def _merged(needs: Iterator[Need]) -> tuple[Need, ...]:
    """Return each name once, in the order of the file; a need that is required somewhere is required."""
    found: dict[str, Need] = {}
    # In the order of the file, since arguments before the first FROM are found last, and backwards.
    for need in sorted(needs, key=lambda need: need.location.line if need.location else 0):
        first = found.get(need.name)
        if first is None or (need.required and not first.required):
            found[need.name] = need
    return tuple(found.values())


def _location_to_json(location: Location) -> dict[str, Any]:
    """Return a place as BuildKit's documents hold it: ranges of lines."""
    end = location.end_line or location.line
    return {"ranges": [{"start": {"line": location.line}, "end": {"line": end}}]}
