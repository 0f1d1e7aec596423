"""The store: one directory, a valid OCI image layout (image-spec image-layout.md) and what a build keeps beside it.

    ROOT/  0700
      oci-layout  index.json  blobs/sha256/…     the image layout: any peer can read it
      indexes/sha256/…                           tables of contents of layers, by diff ID
      state.db  contexts.db  facts.db            cache records, layers, plans; digests of context files; what explains
      known.db  repositories.db                  a miss; which large files were found to be what they should be; what
                                                 registries have of these images
      snapshots/  mounts/                        unpacked layers; cache mounts
      containers/                                containers, each with its writable layer
      tmp/  trash/                               unfinished files; what prune is about to delete
      leases/  lock                              what running builds use, and prune; flock(2)
      index.lock  reserve                        flock(2) of writers of index.json; room to remove names on a full disk

In: a path. Out: a `Store` with its parts. Opening an existing store writes nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from types import TracebackType

from builder.errors import StoreError
from builder.filesystem import sound
from builder.store import atomic, documents, formats, known_files, layers, records, repositories, stat_cache
from builder.store.blob_source import BlobSource
from builder.store.checked import open_regular
from builder.store.content import ContentStore
from builder.store.database import Database
from builder.store.documents import Documents, Origins
from builder.store.known_files import KnownFiles
from builder.store.layers import Layers
from builder.store.leases import Leases
from builder.store.names import ImageNames, empty_index
from builder.store.os_errors import store_error, translated
from builder.store.records import CacheRecords, Facts
from builder.store.repositories import Repositories
from builder.store.reserve import Reserve
from builder.store.stat_cache import StatCache
from builder.store.temporary import TemporaryFiles

LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_DIRECTORIES = ("blobs", "blobs/sha256", "indexes", "indexes/sha256", "snapshots", "mounts", "tmp", "trash", "leases")
_POLL_SECONDS = 0.05
_NEW = ".new-"
"""Begins the names of the first files of a store before they have their own: nothing sweeps them away."""


Notify = Callable[[str], None]


def _say_nothing(sentence: str) -> None:
    pass


class Store:
    """An open store. A context manager; `close` removes this process's temporary files."""

    def __init__(
        self,
        root: str,
        *,
        large_layers: bool = False,
        notify: Notify = _say_nothing,
        source: BlobSource | None = None,
    ) -> None:
        self.root = root
        self.large_layers = large_layers
        """Whether layers and archives are let in that grow beyond all proportion when they are unpacked."""
        self._notify = notify
        self.temporary = TemporaryFiles(f"{root}/tmp")
        self.leases = Leases(root)
        self.reserve = Reserve(root)
        self.blobs = ContentStore(root, self.temporary, self.leases, source)
        self.names = ImageNames(root, self.temporary, self.reserve)
        schema = layers.SCHEMA + records.SCHEMA + documents.SCHEMA
        self.database = Database(f"{root}/state.db", schema, formats.STATE_DATABASE, notify)
        self.layers = Layers(root, self.blobs, self.database, self.leases)
        self.records = CacheRecords(self.database, self.layers, self.blobs)
        self.documents = Documents(self.database)
        self.origins = Origins(self.database)
        self.known = Database(f"{root}/known.db", known_files.SCHEMA, formats.KNOWN_DATABASE, notify)
        self.known_files = KnownFiles(self.known)
        self._load_known = self.known_files.load
        sound.consult(self._load_known)

    @cached_property
    def stat_cache(self) -> StatCache:
        return StatCache(self.contexts)

    @cached_property
    def contexts(self) -> Database:
        """The database of the stat cache."""
        return Database(f"{self.root}/contexts.db", stat_cache.SCHEMA, formats.CONTEXTS_DATABASE, self._notify)

    @cached_property
    def facts(self) -> Facts:
        return Facts(self.explanations)

    @cached_property
    def explanations(self) -> Database:
        """The database of facts."""
        return Database(f"{self.root}/facts.db", records.FACTS_SCHEMA, formats.FACTS_DATABASE, self._notify)

    @cached_property
    def repositories(self) -> Repositories:
        return Repositories(self._registries)

    @cached_property
    def _registries(self) -> Database:
        schema = repositories.SCHEMA
        return Database(f"{self.root}/repositories.db", schema, formats.REPOSITORIES_DATABASE, self._notify)

    @property
    def indexes(self) -> str:
        return f"{self.root}/indexes"

    @property
    def snapshots(self) -> str:
        """Directory of unpacked layers."""
        return f"{self.root}/snapshots"

    @property
    def mounts(self) -> str:
        """Directory of cache mounts."""
        return f"{self.root}/mounts"

    @property
    def trash(self) -> str:
        """Directory to move things to before deleting them, so that they vanish at once."""
        return f"{self.root}/trash"

    @contextmanager
    def lease(self, *, everything: bool = False) -> Iterator[None]:
        """Keep what this process uses of the store (with `everything`, all of it) from being pruned while the body
        runs; many may hold one.
        """
        with self.leases.hold(everything=everything):
            yield

    @contextmanager
    def exclusive(self, wait_seconds: float = 0.0) -> Iterator[None]:
        """Have the store alone. Raises StoreError when leases are still held after `wait_seconds`."""
        deadline = time.monotonic() + wait_seconds
        while True:
            with self.leases.alone(wait_seconds):
                if not self.leases.running():
                    yield
                    return
            if time.monotonic() >= deadline:
                raise StoreError(f"the store {self.root} is in use by a build", hint="Try again when it has finished.")
            time.sleep(_POLL_SECONDS)

    def require_writable(self, doing: str) -> None:
        """Raise StoreError where this process cannot write to the store."""
        if not os.access(self.root, os.W_OK):
            number = errno.EROFS if os.statvfs(self.root).f_flag & os.ST_RDONLY else errno.EACCES
            raise store_error(OSError(number, os.strerror(number), self.root), doing)

    def close(self) -> None:
        with suppress(StoreError):  # when a record was last used is not worth failing for
            self.records.flush()
        with suppress(StoreError):
            self.known_files.put(sound.part_with(self._load_known))
        self.temporary.close()
        self.database.close()
        self.known.close()
        if "contexts" in self.__dict__:
            self.contexts.close()
        if "explanations" in self.__dict__:
            self.explanations.close()
        if "_registries" in self.__dict__:
            self._registries.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_store(
    root: str,
    *,
    create: bool = True,
    large_layers: bool = False,
    notify: Notify = _say_nothing,
    source: BlobSource | None = None,
) -> Store:
    """Open the store at `root`, making it when there is none and `create` is set. Raises StoreError.

    `notify` is told, in sentences, what of the store was found damaged and made anew; `source` is asked for blobs that
    are wanted and not here.
    """
    root = os.path.abspath(root)
    try:
        with open_regular(f"{root}/oci-layout") as file:
            known = file.read(4096)
    except (FileNotFoundError, NotADirectoryError):
        known = b""
    except OSError as error:
        raise store_error(error, f"opening the store {root}") from error
    if known and not os.path.isdir(f"{root}/tmp") and create:
        _furnish(root)  # an image layout somebody else made
    if not known:
        if not create:
            raise StoreError(f"there is no store at {root}", hint="A build makes one; or name another with --root.")
        _create(root)
    elif b'"imageLayoutVersion"' not in known or b'"1.0.0"' not in known:
        raise StoreError(
            f"{root} holds an image layout of a version other than 1.0.0: {known[:80]!r}",
            hint=f"If it is pybuild's store and the file is damaged, remove it: rm '{root}/oci-layout'",
        )
    store = Store(root, large_layers=large_layers, notify=notify, source=source)
    store.temporary.sweep()
    return store


def _create(root: str) -> None:
    if os.path.exists(root) and not os.path.isdir(root):
        raise StoreError(f"{root} is not a directory", hint="Name a directory for the store with --root.")
    with translated(f"making a store at {root}"):
        os.makedirs(root, 0o700, exist_ok=True)
        found = {name for name in os.listdir(root) if not name.startswith(_NEW)}
        unknown = sorted(
            found - {"containers", "oci-layout", "index.json", "lock", "index.lock", "reserve", *_DIRECTORIES}
        )
        if unknown and not {"blobs", "index.json"} <= found:  # else a store that has lost its oci-layout
            raise StoreError(
                f"{root} is not a store and not empty: it holds {unknown[0]!r}",
                hint="Name an empty directory with --root.",
            )
        os.chmod(root, 0o700)  # makedirs goes by the umask, and the directory may have been there
        _furnish(root)
        lock = _open_lock(f"{root}/index.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            Reserve(root).fill()
            marker = os.urandom(8).hex()
            if not os.path.exists(f"{root}/index.json"):
                atomic.write_file(f"{root}/index.json", f"{root}/{_NEW}{marker}", empty_index())
            # Last, since it says that all the rest is there.
            atomic.write_file(f"{root}/oci-layout", f"{root}/{_NEW}{marker}", LAYOUT)
        finally:
            os.close(lock)


def _furnish(root: str) -> None:
    with translated(f"making a store at {root}"):
        for name in _DIRECTORIES:
            os.makedirs(f"{root}/{name}", 0o700, exist_ok=True)
        os.close(_open_lock(f"{root}/lock"))


def _open_lock(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
