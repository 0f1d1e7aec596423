"""/sys/fs/cgroup of a run: the control groups of its own namespace, read-only, and nothing of the machine's.

version 2     cgroup2 on /sys/fs/cgroup
version 1     a tmpfs there, in it a directory for each hierarchy of /proc/self/cgroup (man 7 cgroups)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from builder.linux.mount import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REMOUNT, descriptor_path, mount

_STRICT = MS_NOSUID | MS_NODEV | MS_NOEXEC
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NAMED = "name="
_UNIFIED = "unified"


def has_cgroup_namespaces() -> bool:
    """Say whether this kernel has them."""
    return os.path.exists("/proc/self/ns/cgroup")


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
    point = _open(root, "sys/fs/cgroup")
    try:
        for name in hierarchies:
            _mount_hierarchy(point, name)
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
