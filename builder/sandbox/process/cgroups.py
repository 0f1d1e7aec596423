"""/sys/fs/cgroup of a run: the control groups of its own namespace, read-only, and nothing of the machine's.

version 2     cgroup2 on /sys/fs/cgroup
version 1     a tmpfs there, in it a directory for each hierarchy of /proc/self/cgroup (man 7 cgroups)
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress

from builder.linux.device_filter import attach_device_filter
from builder.linux.mount import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REMOUNT, descriptor_path, mount
from builder.linux.process import CLONE_NEWCGROUP, unshare
from builder.sandbox.process.hierarchies import enter_groups, new_group, read_hierarchies
from builder.sandbox.refusal import fault_while

_STRICT = MS_NOSUID | MS_NODEV | MS_NOEXEC
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NAMED = "name="
_UNIFIED = "unified"
_FAULTS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.EIO})


def has_cgroup_namespaces() -> bool:
    """Say whether this kernel has them."""
    return os.path.exists("/proc/self/ns/cgroup")


class DeviceGuard:
    """A control group whose processes can open harmless devices only."""

    def __init__(self) -> None:
        """Make it. Raises OSError where that can't be done: then it must be done without."""
        # Version 1 has a file for devices, not a filter of programs; there nodes stay closed (mount_root, MS_NODEV).
        parent = next((each.own for each in read_hierarchies() if each.version == 2), None)
        if parent is None:
            raise FileNotFoundError(errno.ENOENT, "no control groups of version 2")
        self._group = new_group(parent)
        self.path = self._group.path
        try:
            attach_device_filter(self._group.lock)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove it; no process may be left in it."""
        self._group.close()


def new_device_guard() -> DeviceGuard | None:
    """Make a guard, or say that there can be none here. Raises SandboxError for a fault, which says nothing of that."""
    try:
        return DeviceGuard()
    except OSError as error:
        # All others say that a group cannot be had here: no hierarchy, no right, a read-only mount.
        if error.errno in _FAULTS:
            raise fault_while("making a control group for RUN", error) from error
        return None


def enter_own_groups(groups: Sequence[str]) -> None:
    """Move this process into the groups at `groups`, and make them the root of all it sees. Raises OSError.

    Into one of version 2 most are born (linux/process.py, clone).
    """
    if groups:
        enter_groups(groups)
    # In this order: the group that a process is in when it unshares is the root of what it sees (man 7
    # cgroup_namespaces).
    if has_cgroup_namespaces():
        unshare(CLONE_NEWCGROUP)


def mount_cgroups(root: int) -> None:
    """Mount what the process, in a cgroup namespace of its own, has of them; nothing where the kernel has no such.

    What cannot be mounted stays empty. Raises OSError.
    """
    if not has_cgroup_namespaces():
        return
    hierarchies = list(_hierarchies())
    try:
        point = _open(root, "sys/fs/cgroup")
    except FileNotFoundError:
        return
    try:
        if hierarchies == [_UNIFIED]:
            with suppress(OSError):
                mount("cgroup", descriptor_path(point), "cgroup2", _STRICT | MS_RDONLY)
                return
        mount("tmpfs", descriptor_path(point), "tmpfs", _STRICT, "mode=755,size=64k")
    finally:
        os.close(point)
    # Once more: what was open lies below the tmpfs now.
    point = _open(root, "sys/fs/cgroup")
    try:
        for name in hierarchies:
            _mount_hierarchy(point, name)
        # Read-only at last, when the directories are made in it.
        mount("tmpfs", descriptor_path(point), "", MS_REMOUNT | MS_RDONLY | _STRICT, "mode=755,size=64k")
    finally:
        os.close(point)


def _mount_hierarchy(parent: int, name: str) -> None:
    directory = name.removeprefix(_NAMED)
    os.mkdir(directory, 0o755, dir_fd=parent)
    point = _open(parent, directory)
    try:
        with suppress(OSError):
            if name == _UNIFIED:
                mount("cgroup", descriptor_path(point), "cgroup2", _STRICT | MS_RDONLY)
            else:
                mount("cgroup", descriptor_path(point), "cgroup", _STRICT | MS_RDONLY, name)
    finally:
        os.close(point)


def _hierarchies() -> Iterator[str]:
    """The hierarchies this process is in: controllers ("cpu,cpuacct"), "name=…", or "unified"."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for line in reversed(lines):
        yield line.split(":", 2)[1] or _UNIFIED


def _open(parent: int, path: str) -> int:
    return os.open(path, _OPEN_DIRECTORY, dir_fd=parent)
