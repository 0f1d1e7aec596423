"""The times of sources, for SOURCE_DATE_EPOCH: build contexts, files and repositories that ADD fetches.

Implements builder.plan.epoch.Timestamps. Each source is asked once; what a file's server said is kept for the step that
adds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from builder.plan.step import ContextSource

if TYPE_CHECKING:
    from builder.plan.epoch import EpochSource
    from builder.solve.copy.remote import RemoteSources
    from builder.store.store import Store


class TimestampedContexts(Protocol):
    """The build contexts."""

    def timestamp(self, name: str) -> int | None:
        """Return the time of a context, in seconds since 1970; None for one that has none. Raises PybuildError."""
        ...


class SourceTimestamps:
    """Asks contexts, servers and repositories for their times. `secrets` hold credentials."""

    def __init__(self, contexts: TimestampedContexts, store: Store, secrets: Mapping[str, bytes]) -> None:
        self._contexts = contexts
        self._store = store
        self._secrets = secrets
        self._known: dict[EpochSource, int | None] = {}

    def timestamp(self, source: EpochSource) -> int | None:
        """Return seconds since 1970, None for what has no time. Raises PybuildError."""
        if source not in self._known:
            self._known[source] = self._ask(source)
        return self._known[source]

    def _ask(self, source: EpochSource) -> int | None:
        if isinstance(source, ContextSource):
            return self._contexts.timestamp(source.name)
        return open_remote(self._store, self._secrets).timestamp(source)


def open_remote(
    store: Store, secrets: Mapping[str, bytes], cancelled: Callable[[], bool] = lambda: False
) -> RemoteSources:
    """Return what fetches files of servers and commits of repositories."""
    from builder.solve.copy.remote import RemoteSources  # gate: network

    return RemoteSources(store, secrets=secrets, cancelled=cancelled)
