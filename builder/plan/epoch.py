"""SOURCE_DATE_EPOCH: a number of seconds, or the name of what has a time of its own (T-1).

    1700000000    that moment
    context       the main build context
    NAME          a build context of that name (--build-context), or else a stage that does nothing but fetch:
                  FROM scratch, ARGs, and one ADD of one URL or repository

A commit has its time, a file that is fetched the one its server gives it or, of an archive, that of its newest file.
What has no time (a local directory, an image) leaves the variable unset. The number takes the place of the name
everywhere, in ARGs as well. Asking for the time is the caller's part: `Timestamps`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from builder.dockerfile.instructions import Add, Arg, Dockerfile, Stage
from builder.errors import Location, PlanError
from builder.oci.canonical import MAX_EPOCH
from builder.plan.arguments import BUILD_ARG, EPOCH
from builder.plan.copies import fetched_source
from builder.plan.inputs import SCRATCH, ContextInput, NamedContexts
from builder.plan.options import PlanOptions
from builder.plan.scope import Expander, Scope
from builder.plan.step import ContextSource, GitSource, HttpSource
from builder.suggest import did_you_mean

_CONTEXT = "context"
# MAX_EPOCH has twelve digits; of thousands Python refuses to make a number.
_SECONDS = re.compile("[0-9]{1,12}", re.ASCII)
_FORM = "Such a stage is FROM scratch with a single ADD of one URL or repository; ARG may stand before it."

EpochSource = ContextSource | HttpSource | GitSource


class Timestamps(Protocol):
    """Tells the times of sources."""

    def timestamp(self, source: EpochSource) -> int | None:
        """Return seconds since 1970, None for what has no time. Raises PybuildError when it can't be had."""
        ...


class NoTimestamps:
    """For who has nothing to ask: no source has a time."""

    def timestamp(self, source: EpochSource) -> int | None:
        return None


@dataclass(frozen=True, slots=True)
class Epoch:
    """`seconds` in digits, or empty; `source` is where they come from when that is no number."""

    seconds: str = ""
    source: EpochSource | None = None


def settle_epoch(
    dockerfile: Dockerfile, options: PlanOptions, outside: Scope, expander: Expander, timestamps: Timestamps
) -> tuple[Epoch, PlanOptions]:
    """Return the epoch, and the options with its number in the place of a name; so is `outside`. Raises PlanError."""
    text = options.build_args.get(EPOCH, outside.lookup(EPOCH)) or ""
    # Without leading zeros: it stands in keys, and in ARGs as a command sees it.
    epoch = Epoch(str(int(text))) if _is_time(text) else Epoch()
    if text and not epoch.seconds:
        source = _source(text, dockerfile, options, outside, expander)
        # Now, while planning: the number stands in ARGs, and so in the keys of steps.
        timestamp = timestamps.timestamp(source) if source is not None else None
        epoch = Epoch("" if timestamp is None else str(timestamp), source)
    _put(epoch.seconds, outside)
    # ARG takes its value from the options, so the name gives way to its number there, too. Where the source has no
    # time, the argument is as good as not given.
    if options.build_args.get(EPOCH, epoch.seconds) == epoch.seconds != "":
        return epoch, options
    given = {name: value for name, value in options.build_args.items() if name != EPOCH}
    if epoch.seconds and EPOCH in options.build_args:
        given[EPOCH] = epoch.seconds
    return epoch, replace(options, build_args=given)


def _put(seconds: str, outside: Scope) -> None:
    """Give the variable outside the stages its number, or take it away."""
    binding = outside.find(EPOCH)
    if binding is None:
        return
    if seconds:
        outside.set(EPOCH, seconds, binding.origin, binding.location)
    else:
        outside.unset(EPOCH)


def _is_time(text: str) -> bool:
    return _SECONDS.fullmatch(text) is not None and int(text) <= MAX_EPOCH


def _source(
    name: str, dockerfile: Dockerfile, options: PlanOptions, outside: Scope, expander: Expander
) -> EpochSource | None:
    """Return what `name` stands for; None for an image, which has no time."""
    if name == _CONTEXT:
        return ContextSource()
    # A build context goes before a stage of its name, as it does in FROM (N-3).
    if tree := NamedContexts(options.named_contexts).find(name, options.platform):
        return ContextSource(tree.name) if isinstance(tree, ContextInput) else None
    for stage in dockerfile.stages:
        if stage.name and stage.name == name.lower():
            return _stage_source(stage, outside, options.build_args, expander)
    binding = outside.find(EPOCH)
    names = [_CONTEXT, *options.named_contexts, *(stage.name for stage in dockerfile.stages if stage.name)]
    raise PlanError(
        f"invalid {EPOCH}: {name}{did_you_mean(name, names)}",
        binding.location if binding is not None and EPOCH not in options.build_args else None,
        hint="It is a number of seconds since 1970-01-01T00:00:00Z, 'context', or a build context's or stage's name.",
    )


def _stage_source(
    stage: Stage, outside: Scope, build_args: Mapping[str, str], expander: Expander
) -> HttpSource | GitSource:
    """Return what the stage fetches. Raises PlanError for a stage that does anything else."""
    scope = outside.copy()
    scope.unset(EPOCH)  # its value is what is being looked for
    if expander.word(stage.base.image, scope) != SCRATCH:
        raise _refused("must use FROM scratch", stage.base.image.location)
    found: HttpSource | GitSource | None = None
    for statement in stage.statements:
        match statement:
            case Arg():
                _set_arguments(statement, scope, build_args, expander)
            case Add():
                source = None if found else fetched_source(statement, scope, expander)
                if source is None:
                    raise _refused("must contain exactly one remote ADD, of one source", statement.location)
                found = source
            case _:
                raise _refused(f"cannot have {statement.syntax.keyword} in it", statement.location)
    if found is None:
        raise _refused("must contain exactly one remote ADD", stage.base.location)
    return found


def _set_arguments(statement: Arg, scope: Scope, build_args: Mapping[str, str], expander: Expander) -> None:
    for definition in statement.definitions:
        if definition.name in build_args:
            scope.set(definition.name, build_args[definition.name], BUILD_ARG)
        elif definition.default is not None:
            scope.set(definition.name, expander.word(definition.default, scope), "ARG", definition.location)


def _refused(what: str, location: Location) -> PlanError:
    return PlanError(f"{EPOCH} stage {what}", location, hint=_FORM)
