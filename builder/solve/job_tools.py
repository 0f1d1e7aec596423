"""What the jobs of one build share on one machine: views of layers, contexts that are open, sources that were fetched.

In: a job, which names things. Out: what stands behind the names. Everything is made when it is first asked for, so that
a build that is wholly cached makes none of it.
"""

from __future__ import annotations

from contextlib import ExitStack
from threading import RLock
from typing import TYPE_CHECKING

from builder.context.ignore import IgnorePatterns
from builder.context.location import (
    ContextArchive,
    ContextDirectory,
    ContextLocation,
    EmptyContext,
    GrowthWarning,
    open_directory,
)
from builder.context.tree import EmptyTree, Tree, ViewTree
from builder.plan.step import ContextSource, StepSource
from builder.solve.copy.timestamps import open_remote
from builder.solve.events import EventSink, Warned, ignore_events
from builder.solve.job import StepJob, StepSecrets

if TYPE_CHECKING:
    from builder.solve.copy.remote import RemoteSources
    from builder.solve.copy.selection import FindRemote
    from builder.solve.run.context import RunContext
    from builder.solve.views import Views
    from builder.solve.worker import Worker


class JobTools:
    """Safe for threads; `close` lets go of everything."""

    def __init__(self, worker: Worker, secrets: StepSecrets) -> None:
        self.worker = worker
        self.secrets = secrets
        self.sink: EventSink = ignore_events
        """Told of what is noticed about contexts while they are read."""
        self._trees: dict[ContextLocation, Tree] = {}
        self._stack = ExitStack()
        self._views: Views | None = None
        self._run: RunContext | None = None
        self._remote: RemoteSources | None = None
        # Taken again by who has it: a context that is an archive is opened by way of `views`.
        self._lock = RLock()
        self._note_growth = GrowthWarning(lambda rule, message: self.sink(Warned(rule, message)))

    @property
    def views(self) -> Views:
        with self._lock:
            if self._views is None:
                from builder.solve.views import Views  # gate: must execute, or to copy from a stage

                self._views = Views(self.worker.store)
                self._stack.callback(self._views.close)
            return self._views

    @property
    def run(self) -> RunContext:
        """What the RUN steps share."""
        with self._lock:
            if self._run is None:
                from builder.solve.run.context import RunContext  # gate: must execute, or to look at what mounts show

                self._run = RunContext(self)
            return self._run

    def adopt(self, location: ContextLocation, tree: Tree) -> None:
        """Take a context that this process has open already; whoever opened it closes it."""
        with self._lock:
            self._trees.setdefault(location, tree)

    def context(self, job: StepJob, name: str) -> Tree:
        """Return a build context of a job by name. Raises PybuildError."""
        location = job.contexts[name]
        with self._lock:
            if location not in self._trees:
                self._trees[location] = self._open(location)
            return self._trees[location]

    def tree(self, job: StepJob, source: ContextSource | StepSource) -> Tree:
        """Return what COPY reads from: a context, or the file system of another step. Raises PybuildError."""
        if isinstance(source, ContextSource):
            return self.context(job, source.name)
        stack = job.stack(source.step)
        return ViewTree(self.views.view(stack), job.made_at) if stack.layers else EmptyTree(job.made_at)

    def find_remote(self) -> FindRemote:
        """Return how ADD fetches URLs and repositories."""
        with self._lock:
            if self._remote is None:
                self._remote = open_remote(self.worker.store, self.secrets.values, self.worker.cancel.is_set)
                self._stack.callback(self._remote.close)
            return self._remote.select

    def close(self) -> None:
        self._stack.close()

    def _open(self, location: ContextLocation) -> Tree:
        match location:
            case ContextDirectory(path, rules):
                return open_directory(path, IgnorePatterns(rules), self.worker.store, self._note_growth, self._stack)
            case ContextArchive(contents_path, index_path, made_at):
                return ViewTree(self.views.archive(contents_path, index_path), made_at)
            case EmptyContext(made_at):
                return EmptyTree(made_at)
