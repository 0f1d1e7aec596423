"""One kind of step, bound to its step and the file system below it: what it reads, and how it makes its layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol, assert_never

from builder.plan.step import BindMount, ContextSource, CopyStep, RunStep, WorkdirStep
from builder.solve.cache_key import LayerStep
from builder.solve.commit import commit_layer, until_cancelled
from builder.solve.events import Warned
from builder.solve.results import Stack
from builder.store.layers import LayerRecord

if TYPE_CHECKING:
    from builder.filesystem.entry import Entry
    from builder.layer.content import Content
    from builder.layer.index import LayerIndex
    from builder.solve.context import SolveContext
    from builder.solve.copy.selection import Copy
    from builder.solve.reason.facts import Seen
    from builder.solve.run.binds import Shown

Emit = Callable[[bytes], None]


class Op(Protocol):
    """An operation is used by one thread."""

    inputs_come_after: bool
    """Making the layer tells the inputs as well: asking for them first would read everything twice."""

    def inputs(self) -> Any:
        """Return the inputs member of the cache key's preimage: what will be read, and after `make` what was.

        Raises PybuildError.
        """
        ...

    def seen(self) -> tuple[Seen, ...]:
        """Return what the inputs are digests of; after `inputs`."""
        ...

    def make(self, emit: Emit, cancel: Event) -> LayerRecord:
        """Execute the step and write its layer to the store. Raises PybuildError, Cancelled."""
        ...


def op_for(step: LayerStep, parent: Stack, context: SolveContext) -> Op:
    """Return the operation for `step` on top of `parent`."""
    match step:
        case RunStep():
            return RunOp(step, parent, context)
        case CopyStep():
            return CopyOp(step, parent, context)
        case WorkdirStep():
            return WorkdirOp(step, parent, context)
        case _:
            assert_never(step)


@dataclass(slots=True)
class RunOp:
    step: RunStep
    parent: Stack
    context: SolveContext
    inputs_come_after: bool = False
    _shown: dict[BindMount, Shown] = field(default_factory=dict)
    """What mounts of contexts showed the command, once it has run."""

    def inputs(self) -> Any:
        if not self.step.mounts:
            return {}
        from builder.solve.run.inputs import run_inputs

        return run_inputs(self.step, self.context.mount_trees(), self.context.store.plans, self._shown)

    def seen(self) -> tuple[Seen, ...]:
        if not self.step.mounts:
            return ()
        from builder.solve.run.inputs import run_seen

        return run_seen(self.step, self.context.mount_trees(), self._shown)

    def make(self, emit: Emit, cancel: Event) -> LayerRecord:
        from builder.solve.run.execute import run_step

        layers, tools = self.context.views.stack_layers(self.parent), self.context.run_tools()
        while True:
            with run_step(self.step, layers, tools, emit, cancel) as done:
                if self._held_still(done.shown):
                    record = _layer(self.step, until_cancelled(done.changes(), cancel), self.context)
                    done.keep(record.diff_id)
                    self._shown = dict(done.shown)
                    return record

    def _held_still(self, shown: Mapping[BindMount, Shown]) -> bool:
        """Say whether the command saw what the key says; what it may not have seen so is a copy from now on."""
        for mount, seen in shown.items():
            if (path := seen.moved()) is not None and isinstance(mount.source, ContextSource):
                self.context.mount_sources().copies.moving.add((mount.source.name, mount.subpath))
                message = f"{path or '.'!r} changed while a command could read it: the step runs again, on a copy"
                self.context.warn(Warned("ContextChanged", message, self.step.location))
                return False
        return True


class CopyOp:
    """COPY and ADD: written while it is read; the layer's index tells the digests of large files afterwards."""

    inputs_come_after = True

    def __init__(self, step: CopyStep, parent: Stack, context: SolveContext) -> None:
        self._context = context
        self._step = step
        self._parent = parent
        self._copy: Copy | None = None

    def inputs(self) -> Any:
        inputs = self._bound().inputs()
        self._warn()
        return inputs

    def seen(self) -> tuple[Seen, ...]:
        return self._bound().seen()

    def make(self, emit: Emit, cancel: Event) -> LayerRecord:
        from builder.solve.copy.layer import layer_items  # layers and accounts: a COPY that is cached writes nothing
        from builder.transport.layer_index import open_layer_index

        copy = self._bound()
        items = layer_items(copy, self._context.views.view(self._parent))
        record = _layer(self._step, until_cancelled(items, cancel), self._context)
        with open_layer_index(self._context.store, record) as index:
            copy.complete(lambda path: _digest_in(index, path))
        self._warn()
        return record

    def _warn(self) -> None:
        """Say which wildcards matched nothing: BuildKit copies nothing in silence (Z-18)."""
        for word in self._bound().unmatched:
            message = f"{word} matches nothing, so nothing is copied"
            self._context.warn(Warned("UnmatchedWildcard", message, self._step.location))

    def _bound(self) -> Copy:
        if self._copy is None:
            from builder.solve.copy.selection import Copy

            self._copy = Copy(
                self._step,
                self._context.tree,
                # Not asked for before a URL is met: it brings clients along.
                lambda source, exclude: self._context.find_remote()(source, exclude),
                made_at=self._context.now(),
                temporary=self._context.store.temporary.path,
                large=self._context.store.large_layers,
            )
        return self._copy


def _digest_in(index: LayerIndex, path: str) -> str:
    found = index.find(path)
    assert found is not None, f"{path} was written a moment ago"
    return found.entry.digest


@dataclass(slots=True)
class WorkdirOp:
    step: WorkdirStep
    parent: Stack
    context: SolveContext
    inputs_come_after: bool = False

    def inputs(self) -> Any:
        return {}

    def seen(self) -> tuple[Seen, ...]:
        return ()

    def make(self, emit: Emit, cancel: Event) -> LayerRecord:
        from builder.solve.copy.workdir import workdir_layer_items

        items = workdir_layer_items(self.step, self.context.views.view(self.parent), made_at=self.context.now())
        return _layer(self.step, items, self.context)


def _layer(step: LayerStep, items: Iterable[tuple[Entry, Content | None]], context: SolveContext) -> LayerRecord:
    """Write the layer of a step, and warn of secrets that are in it."""
    if not context.settings.secrets:
        return commit_layer(context.store, items, epoch=context.epoch)
    from builder.solve.secret_watch import watch_for
    from builder.transport.layer_index import open_layer_index

    watch = watch_for(context.settings.secrets)
    record = commit_layer(context.store, items, epoch=context.epoch, watch=watch)
    if watch is not None and watch.found:
        with open_layer_index(context.store, record) as index:
            for name, path in watch.places(index).items():
                where = f" (/{path})" if path else ""
                message = (
                    f"the value of secret {name} is in the layer of {step.title}{where}: whoever has the image has it"
                )
                context.warn(Warned("SecretInLayer", message, step.location))
    return record
