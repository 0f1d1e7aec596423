"""The machine's control groups (man 7 cgroups): which hierarchies there are, and groups made in them.

    version 2     one hierarchy; a group has a controller when cgroup.subtree_control of the one above names it, and
                  then processes are in its leaves alone
    version 1     a hierarchy for each controller, or for a few
    hybrid        both: a controller is in one of them

A group of ours is called pybuild-…, and its directory is locked for as long as its builder lives.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from builder.filesystem.unfinished import abandoned

Version = Literal[1, 2]

_PREFIX = "pybuild-"
_ATTEMPTS = 100
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_EMPTY_SECONDS = 2.0
"""How long the kernel may take to see a group as empty whose processes have been reaped."""
_LOOK_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One that is mounted here."""

    version: Version
    controllers: frozenset[str]
    """Of version 2 those that its root has."""
    point: str
    """Where it is mounted."""
    own: str
    """The directory of the group that this process is in."""


def read_hierarchies(proc: str = "/proc/self") -> tuple[Hierarchy, ...]:
    """Return what is mounted of the hierarchies that this process is in. Raises OSError."""
    groups = _own_groups(proc)
    with open(f"{proc}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        rows = [line.split(" ") for line in file.read().splitlines()]
    found = []
    for names, group in groups:
        for row in rows:
            # Fields 4 and 5 are the root of the mount and where it is; type, source and options of the file system
            # follow the dash (man 5 proc).
            kind, _, options = row[row.index("-") + 1 :][:3]
            is_it = kind == "cgroup2" if not names else kind == "cgroup" and set(names.split(",")) <= _words(options)
            own = _beneath(row[3], group) if is_it else None
            if own is not None:
                point = row[4]
                controllers = frozenset(names.split(",")) if names else _controllers(point)
                found.append(Hierarchy(1 if names else 2, controllers, point, (point + own).rstrip("/")))
                break
    return tuple(found)


def _own_groups(proc: str) -> list[tuple[str, str]]:
    """Return controllers and path of each group that a process is in (man 7 cgroups, /proc/PID/cgroup)."""
    with open(f"{proc}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        rows = (line.split(":", 2) for line in file.read().splitlines())
        return [(names, group) for _, names, group in rows]


def _words(options: str) -> set[str]:
    return set(options.split(","))


def _beneath(root: str, group: str) -> str | None:
    """The path of a group in a mount that shows the groups below `root` alone; None when it isn't there."""
    if "/.." in group:  # outside the namespace this process is in (man 7 cgroup_namespaces)
        return None
    inner = group if root == "/" else group.removeprefix(root)
    return inner if root == "/" or (group.startswith(root) and inner[:1] in ("", "/")) else None


def _controllers(point: str) -> frozenset[str]:
    return frozenset(read_file(f"{point}/cgroup.controllers").split())


class GroupFiles:
    """What is done to the files of groups; in tests a fake takes its place."""

    def make(self, path: str) -> None:
        """Make the directory of a group, in which the kernel then puts its files. Raises OSError."""
        os.mkdir(path, 0o755)

    def remove(self, path: str) -> None:
        """Remove the directory of a group, in spite of the kernel's files. Raises OSError."""
        os.rmdir(path)

    def write(self, path: str, text: str) -> None:
        """Write a file of a group, in one piece. Raises OSError."""
        # Without O_CREAT: a file is there when the kernel knows it.
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)


KERNEL = GroupFiles()


@dataclass(frozen=True, slots=True)
class Group:
    """One of ours."""

    path: str
    lock: int
    """A descriptor of its directory, which keeps others from sweeping it."""
    files: GroupFiles

    def close(self) -> None:
        """Remove it; no process may be left in it."""
        deadline = time.monotonic() + _EMPTY_SECONDS
        while not _remove(self.path, self.files) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        os.close(self.lock)


def new_group(parent: str, files: GroupFiles = KERNEL) -> Group:
    """Make a group below the one at `parent`, where what killed builders left is removed. Raises OSError."""
    _sweep(parent, files)
    for _ in range(_ATTEMPTS):
        path = f"{parent}/{_PREFIX}{os.urandom(8).hex()}"
        files.make(path)
        with suppress(FileNotFoundError, BlockingIOError):  # another builder has swept it, or does so now
            lock = os.open(path, _OPEN_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                os.stat(path)
            except BaseException:
                os.close(lock)
                raise
            return Group(path, lock, files)
    raise FileNotFoundError(errno.ENOENT, "control groups vanish as soon as they are made")


def _sweep(parent: str, files: GroupFiles) -> None:
    """Remove what killed builders left."""
    for name in os.listdir(parent):
        if name.startswith(_PREFIX):
            with suppress(OSError), abandoned(f"{parent}/{name}"):
                _remove(f"{parent}/{name}", files)


def _remove(path: str, files: GroupFiles) -> bool:
    """Remove a group and those in it, which a runtime may have left; False when a process is in one of them.

    One in it that is locked is another builder's, which was started in this group.
    """
    try:
        for name in os.listdir(path):
            if os.path.isdir(f"{path}/{name}"):
                with suppress(OSError), abandoned(f"{path}/{name}"):
                    _remove(f"{path}/{name}", files)
        files.remove(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def enter_groups(paths: Sequence[str]) -> None:
    """Move this process into the groups of ours at `paths`, but for those it was born in. Raises OSError.

    To move costs 10 ms: the kernel waits for all its processors. Names of ours are never used twice.
    """
    own = {os.path.basename(group) for _, group in _own_groups("/proc/self")}
    for path in paths:
        if os.path.basename(path) not in own:
            KERNEL.write(f"{path}/cgroup.procs", "0")


def read_file(path: str) -> str:
    """Return the text of a file of a group; "" when there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""
