"""Trees that nobody needs any more: moved aside at once, deleted when there is time.

    STORE/trash/<random>

Deleting many files and then creating many is several times slower on ext4 than creating alone (freed inodes are not
reused for a while), so nothing is deleted in the middle of a build. What lies here was written by RUN and is as deep
and odd as it likes: deletion uses descriptors, follows no symbolic link, and needs no stack and no path longer than
two names, because directories below the first level are moved up before they are emptied.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress

_MOUNTINFO = "/proc/self/mountinfo"
_ESCAPES = ((b"\\", rb"\134"), (b" ", rb"\040"), (b"\t", rb"\011"), (b"\n", rb"\012"))
_MOUNT_POINT = 4
"""Field of a line of mountinfo, from 0 (proc_pid_mountinfo(5))."""
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OWNER_ALL = 0o700


def discard(path: str, trash: str) -> None:
    """Move `path` into the directory `trash` (same file system); nothing happens if it isn't there. Raises OSError."""
    os.makedirs(trash, 0o700, exist_ok=True)
    with suppress(FileNotFoundError):
        os.rename(path, f"{trash}/{os.urandom(8).hex()}")


def empty_trash(trash: str, stop: Callable[[], bool] = lambda: False) -> int:
    """Delete what lies in the directory `trash` until `stop` says so; returns the number of objects deleted.

    What can't be deleted (by this user) stays. Several processes may do this at once. Never raises.
    """
    try:
        root = os.open(trash, _OPEN)
    except OSError:
        return 0
    deleted = 0
    stuck: set[bytes] = set()
    try:
        while not stop():
            names = [name for name in map(os.fsencode, os.listdir(root)) if name not in stuck]
            if not names:
                break
            for name in names:
                count, gone = _delete(root, name, stop)
                deleted += count
                if not gone:
                    stuck.add(name)
                if stop():
                    break
    except OSError:
        return deleted
    finally:
        os.close(root)
    return deleted


def empty_trash_within(trash: str, seconds: float) -> int:
    """Delete what lies in `trash` for at most about `seconds`; returns the number of objects deleted. Never raises."""
    deadline = time.monotonic() + seconds
    return empty_trash(trash, lambda: time.monotonic() > deadline)


def remove_tree(path: str) -> bool:
    """Delete `path`, a file or a directory with all it holds, as far as this user may; whether it is gone."""
    try:
        if not os.path.isdir(path) or os.path.islink(path):
            os.unlink(path)
        else:
            empty_trash(path)
            os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _delete(root: int, name: bytes, stop: Callable[[], bool]) -> tuple[int, bool]:
    """Delete one object at the first level. Returns (objects deleted, whether it is gone)."""
    try:
        os.unlink(name, dir_fd=root)
        return 1, True
    except FileNotFoundError:
        return 0, True  # another process empties the same trash
    except OSError:
        pass  # a directory: EISDIR, or EPERM by POSIX
    count = 0
    with suppress(OSError):
        directory = _open_directory(root, name)
        try:
            count = _empty_directory(root, directory, stop)
        finally:
            os.close(directory)
        os.rmdir(name, dir_fd=root)
        return count + 1, True
    return count, not _exists(root, name)


def _open_directory(parent: int, name: bytes) -> int:
    try:
        directory = os.open(name, _OPEN, dir_fd=parent)
    except PermissionError:
        os.chmod(name, _OWNER_ALL, dir_fd=parent)  # opened with O_NOFOLLOW before: not a link, else ELOOP
        directory = os.open(name, _OPEN, dir_fd=parent)
    if os.geteuid() != 0:
        os.fchmod(directory, _OWNER_ALL)
    return directory


def _empty_directory(root: int, directory: int, stop: Callable[[], bool]) -> int:
    """Unlink the files in `directory` and move its non-empty directories up to the first level."""
    count = 0
    with os.scandir(directory) as entries:
        children = [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in children:
        if stop():
            break
        if not is_directory:
            os.unlink(name, dir_fd=directory)
            count += 1
            continue
        try:
            os.rmdir(name, dir_fd=directory)
            count += 1
        except OSError:
            os.close(_open_directory(directory, name))  # moving a directory writes to its "..": it must be writable
            os.rename(name, os.urandom(8).hex(), src_dir_fd=directory, dst_dir_fd=root)
    return count


def _exists(root: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=root, follow_symlinks=False)
    except OSError:
        return False
    return True


def has_mounts(directory: str) -> bool:
    """Say whether a file system is mounted at or below `directory`; True also when a readable /proc doesn't tell.

    Then it must not be deleted, as it may be the user's. A build mounts in a mount namespace of its own, which ends
    with it, kill -9 included; so there is never anything, unless somebody mounted it by hand, or a sandbox could get
    no namespace.
    """
    wanted = os.fsencode(os.path.realpath(directory))
    for plain, escaped in _ESCAPES:
        wanted = wanted.replace(plain, escaped)
    try:
        with open(_MOUNTINFO, "rb") as file:
            points = [line.split(b" ")[_MOUNT_POINT] for line in file]
    except (OSError, IndexError):
        return os.path.exists("/proc/self")
    return any(point == wanted or point.startswith(wanted + b"/") for point in points)
