"""Containers taken away: one by one, or all that are not running.

What a container has written may belong to subordinate ids, and only in the namespace of builds is that its user's to
delete: all here move this process there, so it must have one thread.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from builder.errors import PybuildError, StoreError
from builder.image.prune_filter import EVERYTHING, PruneFilter
from builder.sandbox.namespace import enter_for_files
from builder.store.container_record import ContainerRecord
from builder.store.containers import Containers
from builder.store.prune_plan import disk_usage
from builder.store.store import Notify, open_store
from builder.store.trash import empty_trash

_POLL_SECONDS = 0.02
_GRACE_SECONDS = 2.0
"""What a run that was told to end twice takes to write down how it ended."""


class Removed(NamedTuple):
    """What came of removing one container."""

    text: str
    """As it was asked for."""
    error: PybuildError | None = None


class PrunedContainers(NamedTuple):
    """Containers that were removed, and what that freed."""

    ids: tuple[str, ...]
    bytes: int
    """On the disk."""


def remove_containers(root: str, texts: Sequence[str], *, force: bool = False, notify: Notify) -> Iterator[Removed]:
    """Remove containers with their writable layers; give what came of each, going on after a failure.

    With `force`, one that runs is killed first, and one that is missing is no error. Raises StoreError when there is
    no store to be had. This process enters the namespaces of builds and must have one thread.
    """
    enter_for_files()
    with open_store(root, notify=notify) as store, store.lease():
        containers = Containers(store)
        for text in texts:
            yield _remove(containers, text, force)
        empty_trash(store.trash)


def _remove(containers: Containers, text: str, force: bool) -> Removed:
    try:
        if force:
            record = containers.find(text)
            if record is None:
                return Removed(text)
            _end(containers, record)
            if containers.find(record.id) is None:  # it was to go with its command (--rm)
                return Removed(text)
        elif containers.is_running(record := containers.get(text)):
            raise StoreError(
                f"cannot remove container {record.name}: it is running (process {record.pid})",
                hint="End it first, or use --force.",
            )
        with containers.hold(text, "remove") as container:
            containers.remove(container)
    except PybuildError as error:
        return Removed(text, error)
    return Removed(text)


def prune_containers(
    root: str, *, allowed: PruneFilter = EVERYTHING, dry_run: bool = False, notify: Notify
) -> PrunedContainers:
    """Remove all containers that are not running and that `allowed` lets go. Raises StoreError.

    As `remove_containers`, of one thread.
    """
    enter_for_files()
    with open_store(root, notify=notify) as store, store.lease():
        containers = Containers(store)
        stopped = [
            record
            for record in containers.walk()
            if allowed.takes(record.created, record.runtime.labels) and not containers.is_running(record)
        ]
        used = {record.id: disk_usage(containers.directory(record)) for record in stopped}
        gone = [record.id for record in stopped if dry_run or _remove(containers, record.id, False).error is None]
        if not dry_run:
            empty_trash(store.trash)
    return PrunedContainers(tuple(gone), sum(used[identifier] for identifier in gone))


def _end(containers: Containers, record: ContainerRecord) -> None:
    """Kill what runs in a container by telling its pybuild to end: the second SIGTERM leaves it no time to answer.

    Raises StoreError when that is no process of this machine: its number is another's here.
    """
    deadline = time.monotonic() + _GRACE_SECONDS
    while (found := containers.find(record.id)) is not None and containers.is_running(found):
        record = found
        is_late = time.monotonic() > deadline
        if containers.is_run_by(record):
            with suppress(ProcessLookupError):
                os.kill(record.pid, signal.SIGKILL if is_late else signal.SIGTERM)
        elif is_late:
            raise StoreError(
                f"cannot end container {record.name}: it is run from elsewhere, as process {record.pid} there",
                hint="End it where it was started.",
            )
        time.sleep(_POLL_SECONDS)
