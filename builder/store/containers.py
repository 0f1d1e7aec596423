"""Containers of a store: what each was made from, what it runs, how it ended; beside it its writable layer.

    ROOT/containers/<64 hex digits>/
        container.json   the record: written whole, by whoever holds the lock
        lock             flock(2): held by a command that runs in it, and by whatever else changes it
        fs/  scan        the writable layer (builder.snapshot.writable)
    ROOT/containers/names.lock       flock(2) of whoever takes a name

A container runs as long as its record says so and its lock is held, which ends with the process, kill -9 included. What
has a directory and no record was never finished, and belongs to nobody once its lock is free.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from builder.errors import PybuildError, StoreError
from builder.oci import canonical
from builder.oci.digest import short_digest
from builder.store import atomic
from builder.store.checked import open_regular
from builder.store.container_record import ContainerRecord, check_name, record_from_json
from builder.store.os_errors import store_error, translated
from builder.store.store import Store
from builder.store.trash import discard

KILLED = 137
"""128 + SIGKILL: how a container ended whose process nobody was left to ask."""

_ID = re.compile(r"[0-9a-f]{64}")
_ID_PART = re.compile(r"[0-9a-f]{1,64}")
_RECORD = "container.json"
_LOCK = "lock"
_LOCKS = "/proc/locks"
_PRIVATE_MODE = 0o600
_PRIVATE_DIRECTORY_MODE = 0o700
_POLL_SECONDS = 0.01
_ASKING_SECONDS = 0.5
"""Who looks whether a lock is held has it for a moment: so long it is asked for again."""


@dataclass(slots=True)
class HeldContainer:
    """A container that nobody else can change; `record` is what is written of it."""

    record: ContainerRecord
    directory: str
    _write: Callable[[ContainerRecord], None] = field(repr=False)

    def put(self, **changes: Any) -> ContainerRecord:
        """Change members of the record, on the disk too. Raises StoreError."""
        record = replace(self.record, **changes)
        self._write(record)
        self.record = record
        return record


class Containers:
    """The containers of one store."""

    def __init__(self, store: Store) -> None:
        self._directory = f"{store.root}/containers"
        self._temporary = store.temporary
        self._trash = store.trash
        self._pin = store.leases.pin

    def directory(self, record: ContainerRecord) -> str:
        return f"{self._directory}/{record.id}"

    def walk(self) -> Iterator[ContainerRecord]:
        """Give all containers, the youngest first; what is damaged is left out, and `damaged` tells of it."""
        found = [record for name in self._ids() if (record := self._read_sound(name)) is not None]
        yield from sorted(found, key=lambda record: (-record.created, record.id))

    def damaged(self) -> Iterator[tuple[str, str]]:
        """Give ID and reason for each record that cannot be read."""
        for name in self._ids():
            try:
                self._read(name)
            except StoreError as error:
                yield name, error.message

    def unfinished(self) -> Iterator[str]:
        """Give the IDs of directories that never became containers and that nobody is making."""
        for name in self._ids():
            if not os.path.exists(f"{self._directory}/{name}/{_RECORD}") and not self._is_locked(name):
                yield name

    def find(self, text: str) -> ContainerRecord | None:
        """Return the container that a name, an ID or a unique beginning of one means. Raises StoreError for several."""
        records = list(self.walk())
        for record in records:
            if text in (record.id, record.name):
                return record
        if not _ID_PART.fullmatch(text):
            return None
        found = [record for record in records if record.id.startswith(text)]
        if len(found) > 1:
            raise StoreError(f"{text!r} is the beginning of several container IDs", hint="Give more digits.")
        return found[0] if found else None

    def get(self, text: str) -> ContainerRecord:
        """As `find`. Raises StoreError when there is none."""
        found = self.find(text)
        if found is None:
            raise StoreError(f"No such container: {text}", hint="'pybuild ps -a' lists those there are.")
        return found

    def is_running(self, record: ContainerRecord) -> bool:
        return record.state == "running" and self._is_locked(record.id)

    def is_run_by(self, record: ContainerRecord) -> bool:
        """Say whether the process of the record is who holds the lock, seen from here.

        A store may be shared by machines and containers, where the same number is another process.
        """
        try:
            inode = os.stat(f"{self._directory}/{record.id}/{_LOCK}").st_ino
            with open(_LOCKS, encoding="ascii") as file:
                locks = [line.split() for line in file]
        except OSError:
            return False
        # 1: FLOCK  ADVISORY  WRITE 4711 00:2a:815 0 EOF         (man 5 proc_locks)
        return any(
            fields[1] == "FLOCK" and fields[4] == str(record.pid) and fields[5].rpartition(":")[2] == str(inode)
            for fields in locks
            if len(fields) > 5 and "->" not in fields
        )

    def seen(self, record: ContainerRecord) -> ContainerRecord:
        """Return the record as it is to be understood: one whose process was killed has ended."""
        if record.state != "running" or self._is_locked(record.id):
            return record
        return replace(record, state="exited", exit_code=KILLED, finished=record.finished or record.started)

    @contextmanager
    def make(self, record: ContainerRecord, choose: Callable[[Collection[str]], str]) -> Iterator[HeldContainer]:
        """Write a new container and hold it; `choose` gives a name that is not among these to one without.

        Raises StoreError when its name is taken, or is none.
        """
        if record.name:
            check_name(record.name)
        with translated("making a container"):
            self._pin(f"containers/{record.id}")  # before it is there
            os.makedirs(self._directory, _PRIVATE_DIRECTORY_MODE, exist_ok=True)
            names = os.open(f"{self._directory}/names.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE_MODE)
            lock = -1
            try:
                fcntl.flock(names, fcntl.LOCK_EX)
                taken = {other.name: other.id for other in self.walk()}
                if record.name in taken:
                    raise _taken(record.name, taken[record.name])
                record = record if record.name else replace(record, name=choose(taken.keys()))
                os.mkdir(self.directory(record), _PRIVATE_DIRECTORY_MODE)
                lock = self._open_lock(record.id)
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._write(record)
            except BaseException:
                if lock >= 0:
                    os.close(lock)
                raise
            finally:
                os.close(names)
        try:
            yield HeldContainer(record, self.directory(record), self._write)
        finally:
            os.close(lock)

    @contextmanager
    def hold(self, text: str, doing: str) -> Iterator[HeldContainer]:
        """Keep others from changing a container. Raises StoreError when it is running, or when somebody else has it."""
        record = self.get(text)
        lock = self._open_lock(record.id)
        try:
            self._lock_within(lock, record, doing)
            yield HeldContainer(self._read(record.id) or self.get(text), self.directory(record), self._write)
        finally:
            os.close(lock)

    def remove(self, container: HeldContainer) -> None:
        """Take a container away, with its writable layer. Raises StoreError."""
        with translated("removing a container"):
            atomic.remove(f"{container.directory}/{_RECORD}")  # from now on it is none
            discard(container.directory, self._trash)

    def _ids(self) -> list[str]:
        try:
            return [name for name in os.listdir(self._directory) if _ID.fullmatch(name)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise store_error(error, "reading the containers of the store") from error

    def _read_sound(self, name: str) -> ContainerRecord | None:
        try:
            return self._read(name)
        except StoreError:
            return None

    def _read(self, name: str) -> ContainerRecord | None:
        path = f"{self._directory}/{name}/{_RECORD}"
        try:
            with open_regular(path) as file:
                return record_from_json(json.loads(file.read()), f"container {short_digest(name)}")
        except FileNotFoundError:
            return None  # unfinished, or removed meanwhile
        except OSError as error:
            raise store_error(error, f"reading container {short_digest(name)}") from error
        except StoreError:
            raise
        except (PybuildError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise StoreError(
                f"the record of container {short_digest(name)} is damaged: {type(error).__name__}: {error}",
                hint=f"Look into it, or remove the container with its changes: rm -r '{self._directory}/{name}'",
            ) from error

    def _write(self, record: ContainerRecord) -> None:
        with translated("writing down a container"):
            path = f"{self.directory(record)}/{_RECORD}"
            data = canonical.encode(record.to_json())
            atomic.write_file(path, self._temporary.path("container"), data, _PRIVATE_MODE)

    def _open_lock(self, identifier: str) -> int:
        with translated("locking a container"):
            path = f"{self._directory}/{identifier}/{_LOCK}"
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE_MODE)

    def _lock_within(self, lock: int, record: ContainerRecord, doing: str) -> None:
        deadline = time.monotonic() + _ASKING_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(_POLL_SECONDS)
                    continue
            found = self._read(record.id) or record
            what = f"is running (process {found.pid})" if found.state == "running" else "is being changed"
            raise StoreError(
                f"cannot {doing} container {record.name}: it {what}",
                hint="Wait until it ends, or end it first." if found.state == "running" else "Try again.",
            )

    def _is_locked(self, identifier: str) -> bool:
        try:
            lock = os.open(f"{self._directory}/{identifier}/{_LOCK}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False


def _taken(name: str, identifier: str) -> StoreError:
    return StoreError(
        f'Conflict. The container name "/{name}" is already in use by container "{identifier}"',
        hint=f"Remove it with 'pybuild rm {name}', or take another name.",
    )
