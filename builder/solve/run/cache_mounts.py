"""The directories behind RUN --mount=type=cache: found by identity, shared by threads, processes and builds.

    STORE/mounts/<sha256 of the identity>/
        0, 1, …           the directories: `private` users that meet take different ones
        0.lock, 1.lock    flock(2): shared by users of `shared`, exclusive for `private` and `locked`

The identity is the namespace (BUILDKIT_CACHE_MOUNT_NS) and id; where first contents or owner and mode are given, these
too, since another seed or owner means another cache (BuildKit does it so). Names are hashed, so an id is never
part of a path. Nothing of a cache is in a layer, and only its place and kind are in a cache key.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Lock

from builder.errors import Cancelled, StoreError
from builder.oci.canonical import encode
from builder.oci.digest import digest_of
from builder.plan.step import CacheMount
from builder.store.trash import discard

_POLL_SECONDS = 0.1  # BuildKit's, too
_PRIVATE_MODE = 0o700
_DEFAULT_MODE = 0o755
_MAX_PRIVATE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRequest:
    """One cache that a RUN wants. `seed` writes the first contents to a path that doesn't exist yet."""

    mount: CacheMount
    base: str = ""
    """Identity of what it is seeded from; empty without `from`."""
    seed: Callable[[str], None] | None = None


@dataclass(slots=True)
class CacheMounts:
    """The caches of one store, as one build uses them."""

    directory: str
    """STORE/mounts"""
    trash: str
    namespace: str = ""
    owners: bool = True
    """Whether files can be given to other users (not with a single id)."""
    pin: Callable[[str], None] = lambda path: None
    """Told which cache (`mounts/<name>`) is used from now on, before it is looked for."""
    _emptied: set[str] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def identity(self, request: CacheRequest) -> str:
        """Return the hex name under which the cache of a request is kept."""
        mount = request.mount
        parts: dict[str, object] = {"namespace": self.namespace, "id": mount.identifier}
        if mount.base is not None:
            parts |= {"base": request.base, "subpath": mount.subpath}
        if (mount.mode, mount.uid, mount.gid) != (None, None, None):
            parts |= {"mode": mount.mode, "uid": mount.uid, "gid": mount.gid}
        return digest_of(encode(parts)).encoded

    @contextmanager
    def acquire(self, requests: Sequence[CacheRequest], *, empty: bool, cancel: Event) -> Iterator[tuple[str, ...]]:
        """Give the directory for each request until the block ends, waiting for others that have `locked` ones.

        `empty` throws away what is in them, once in a build. Raises StoreError, Cancelled.
        """
        wanted: dict[str, CacheRequest] = {}
        for request in requests:
            name = self.identity(request)
            known = wanted.get(name)
            if known is None or known.mount.sharing == "shared":
                wanted[name] = request  # mounted twice in one step: the stricter one decides
        with ExitStack() as stack:
            taken = {}
            for name in sorted(wanted):  # in one order everywhere: two steps can't wait for each other
                taken[name] = stack.enter_context(self._take(name, wanted[name], empty, cancel))
            yield tuple(taken[self.identity(request)] for request in requests)

    @contextmanager
    def _take(self, name: str, request: CacheRequest, empty: bool, cancel: Event) -> Iterator[str]:
        folder = f"{self.directory}/{name}"
        self.pin(f"mounts/{name}")
        with ExitStack() as stack:
            try:
                os.makedirs(folder, _PRIVATE_MODE, exist_ok=True)
                path, lock = self._locked(folder, request.mount.sharing, cancel, stack)
            except OSError as error:
                raise StoreError(f"cache mount {request.mount.identifier!r}: {error.strerror}") from error
            self._make_ready(path, lock, request, empty, cancel)
            with suppress(OSError):  # a disk that is full of inodes
                os.utime(lock)  # when it was last used: `prune --filter until=` goes by that
            yield path

    def _locked(self, folder: str, sharing: str, cancel: Event, stack: ExitStack) -> tuple[str, int]:
        """A directory and the descriptor of its lock, which is held until the stack is closed."""
        for number in range(_MAX_PRIVATE):
            # The lock is a file beside the directory and stays: one that is removed and made anew could be held twice.
            lock = os.open(f"{folder}/{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, lock)
            if sharing != "private":
                _wait_for(lock, fcntl.LOCK_SH if sharing == "shared" else fcntl.LOCK_EX, cancel)
                return f"{folder}/{number}", lock
            if _try(lock, fcntl.LOCK_EX):
                return f"{folder}/{number}", lock
        raise StoreError(f"more than {_MAX_PRIVATE} steps use one private cache mount at the same time")

    def _make_ready(self, path: str, lock: int, request: CacheRequest, empty: bool, cancel: Event) -> None:
        """Empty or fill the directory if need be. For that the lock is ours alone, and shared again afterwards."""
        with self._lock:
            empty = empty and path not in self._emptied
        if os.path.isdir(path) and not empty:
            return
        # Going from a shared lock to an exclusive one lets go of the first (man 2 flock): two that do it at once do not
        # wait for each other, and the second finds the directory made, since `_renew` looks again.
        shared = request.mount.sharing == "shared"
        if shared:
            _wait_for(lock, fcntl.LOCK_EX, cancel)
        try:
            self._renew(path, request, empty)
        except OSError as error:
            raise StoreError(f"cache mount {request.mount.identifier!r}: {error.strerror or error}") from error
        if shared:
            fcntl.flock(lock, fcntl.LOCK_SH)

    def _renew(self, path: str, request: CacheRequest, empty: bool) -> None:
        with self._lock:
            if empty and path not in self._emptied:
                discard(path, self.trash)
            self._emptied.add(path)
        if os.path.isdir(path):
            return
        fresh = f"{path}.new"
        discard(fresh, self.trash)  # from a build that was killed
        if request.seed is not None:
            request.seed(fresh)
        if not os.path.lexists(fresh):
            self._make_empty(fresh, request.mount)
        # Whole or not at all: a seed that fails, or a kill, leaves no half-filled cache that the next build would take.
        os.rename(fresh, path)

    def _make_empty(self, path: str, mount: CacheMount) -> None:
        os.mkdir(path, _PRIVATE_MODE)
        if self.owners:
            os.chown(path, mount.uid or 0, mount.gid or 0)
        # After chown(2), which takes set-id bits away, and not by mkdir(2), which asks the umask: 0777 is 0777 (Z-24).
        os.chmod(path, _DEFAULT_MODE if mount.mode is None else mount.mode)


def _try(lock: int, op: int) -> bool:
    try:
        fcntl.flock(lock, op | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno != errno.EWOULDBLOCK:
            raise
        return False
    return True


def _wait_for(lock: int, op: int, cancel: Event) -> None:
    # A flock(2) that blocks would not hear of a cancel: no signal comes to this thread.
    while not _try(lock, op):
        if cancel.wait(_POLL_SECONDS):
            raise Cancelled("the build was stopped")
