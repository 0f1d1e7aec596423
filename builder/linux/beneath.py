"""Paths inside a root that is not ours: symbolic links mean what they would mean after chroot, and nothing gets out.

    open_in_root(root, "etc/resolv.conf", O_RDONLY)   -> descriptor
    walk_in_root(root, "run/secrets/x/y")             -> how far the path exists, with links resolved

openat2(2) with RESOLVE_IN_ROOT where the kernel has it and a seccomp profile lets it through; else a walk of one
component at a time with O_NOFOLLOW, which keeps every directory on the way open, so that ".." is a step back in that
list and never a question to the file system: renaming directories under the walk cannot lead it out.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from builder.linux.libc import SYS_OPENAT2, syscall

MAX_LINKS = 40
"""Symbolic links followed in one path, as the kernel counts (path_resolution(7))."""

_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_IN_ROOT = 0x10
_AGAIN = 8  # openat2 gives EAGAIN when a rename anywhere raced with ".."; worth a few tries, man 2 openat2
_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class _How(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("flags", "mode", "resolve"))


_openat2_refused = False


@dataclass(frozen=True, slots=True)
class Walk:
    """How far a path exists inside a root."""

    descriptor: int
    """The deepest object that exists (O_PATH)."""

    found: tuple[str, ...]
    """Its components below the root, links resolved."""

    missing: tuple[str, ...]
    """The components that do not exist, with "." and ".." worked out; empty when the whole path exists."""


def open_in_root(root: int, path: str, flags: int, mode: int = 0) -> int:
    """Open `path` as it means inside the directory open at `root`. Raises OSError."""
    global _openat2_refused
    if not _openat2_refused:
        try:
            return _open_by_openat2(root, path, flags, mode)
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EPERM):
                raise
            refused = error.errno == errno.ENOSYS or _is_refused(root)
            if not refused:
                raise
            _openat2_refused = True
    return open_by_steps(root, path, flags, mode)


def _is_refused(root: int) -> bool:
    """Tell a seccomp profile's EPERM from a file's own (docker before 20.10 does not know openat2)."""
    try:
        os.close(_open_by_openat2(root, ".", os.O_PATH, 0))
    except OSError as error:
        return error.errno == errno.EPERM
    return False


def _open_by_openat2(root: int, path: str, flags: int, mode: int) -> int:
    how = _How(flags | os.O_CLOEXEC, mode if flags & os.O_CREAT else 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    encoded = ctypes.c_char_p(os.fsencode(path) or b".")
    for attempt in range(_AGAIN):
        try:
            return syscall(SYS_OPENAT2, root, encoded, ctypes.byref(how), ctypes.sizeof(how), path=path)
        except OSError as error:
            if error.errno != errno.EAGAIN or attempt == _AGAIN - 1:
                raise
    raise AssertionError("unreachable")


def open_by_steps(root: int, path: str, flags: int, mode: int = 0) -> int:
    """What open_in_root does where openat2 cannot be had. Raises OSError."""
    follow = not flags & os.O_NOFOLLOW and not (flags & os.O_CREAT and flags & os.O_EXCL)
    with _steps(root, path, follow) as (chain, missing):
        if missing:
            if len(missing) > 1 or not flags & os.O_CREAT:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            return os.open(missing[0], flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=chain[-1][1])
        if len(chain) == 1:
            return os.open(".", flags | os.O_CLOEXEC, mode, dir_fd=chain[-1][1])
        return os.open(chain[-1][0], flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=chain[-2][1])


@contextmanager
def walk_in_root(root: int, path: str) -> Iterator[Walk]:
    """Follow `path` as far as it exists; the descriptor is open until the block ends. Raises OSError.

    A component that exists but is not a directory, with more to come, is ENOTDIR.
    """
    with _steps(root, path, True) as (chain, missing):
        yield Walk(chain[-1][1], tuple(name for name, _ in chain[1:]), tuple(missing))


@contextmanager
def _steps(root: int, path: str, follow_last: bool) -> Iterator[tuple[list[tuple[str, int]], list[str]]]:
    """The chain of (name, descriptor) from the root to the deepest existing component, and the missing names."""
    chain = [("", os.open(".", os.O_PATH | os.O_CLOEXEC, dir_fd=root))]
    missing: list[str] = []
    todo = path.split("/")[::-1]
    links = 0
    try:
        while todo:
            name = todo.pop()
            if name in ("", "."):
                continue
            if name == "..":
                _step_back(chain, missing)
                continue
            if missing:
                missing.append(name)
                continue
            try:
                descriptor = os.open(name, _STEP, dir_fd=chain[-1][1])
            except FileNotFoundError:
                missing.append(name)
                continue
            if not stat.S_ISLNK(os.fstat(descriptor).st_mode) or (not follow_last and not any(todo)):
                chain.append((name, descriptor))
                continue
            links += 1
            todo += _link_components(descriptor, links, chain, path)
        yield chain, missing
    finally:
        for _, descriptor in chain:
            os.close(descriptor)


def _step_back(chain: list[tuple[str, int]], missing: list[str]) -> None:
    if missing:
        missing.pop()
    elif len(chain) > 1:
        os.close(chain.pop()[1])


def _link_components(link: int, links: int, chain: list[tuple[str, int]], path: str) -> list[str]:
    """The components a link stands for, last first; an absolute one starts again at the root."""
    try:
        if links > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = os.readlink("", dir_fd=link)
    finally:
        os.close(link)
    if target.startswith("/"):
        while len(chain) > 1:
            os.close(chain.pop()[1])
    return target.split("/")[::-1]
