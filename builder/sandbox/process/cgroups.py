"""/sys/fs/cgroup of a run: the control groups of its own namespace, read-only, and nothing of the machine's.

version 2     cgroup2 on /sys/fs/cgroup
version 1     a tmpfs there, in it a directory for each hierarchy of /proc/self/cgroup (man 7 cgroups)
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import suppress

from builder.filesystem.unfinished import abandoned
from builder.linux.device_filter import attach_device_filter
from builder.linux.mount import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REMOUNT, descriptor_path, mount
from builder.linux.process import CLONE_NEWCGROUP, unshare
from builder.sandbox.refusal import fault_while

_STRICT = MS_NOSUID | MS_NODEV | MS_NOEXEC
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NAMED = "name="
_UNIFIED = "unified"
_PREFIX = "pybuild-"
_ATTEMPTS = 100
_FAULTS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.EIO})
_EMPTY_SECONDS = 2.0
"""How long the kernel may take to see a group as empty whose processes have been reaped."""


def has_cgroup_namespaces() -> bool:
    """Say whether this kernel has them."""
    return os.path.exists("/proc/self/ns/cgroup")


class DeviceGuard:
    """A control group whose processes can open harmless devices only."""

    def __init__(self) -> None:
        """Make it. Raises OSError where that can't be done: then it must be done without."""
        parent = _own_group()
        _sweep(parent)
        self.path, self._lock = _new_group(parent)
        try:
            attach_device_filter(self._lock)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove it; no process may be left in it."""
        deadline = time.monotonic() + _EMPTY_SECONDS
        while time.monotonic() < deadline:
            try:
                os.rmdir(self.path)
                break
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.005)
        os.close(self._lock)


def new_device_guard() -> DeviceGuard | None:
    """Make a guard, or say that there can be none here. Raises SandboxError for a fault, which says nothing of that."""
    try:
        return DeviceGuard()
    except OSError as error:
        if error.errno in _FAULTS:
            raise fault_while("making a control group for RUN", error) from error
        return None


def enter_own_groups(guard: str) -> None:
    """Move this process into the group at `guard`, if there is one, and make that the root of all it sees.

    Most are born there (linux/process.py, clone). Raises OSError.
    """
    if guard and not _is_in(guard):
        with open(f"{guard}/cgroup.procs", "wb", buffering=0) as file:
            file.write(b"0")
    if has_cgroup_namespaces():
        unshare(CLONE_NEWCGROUP)


def _is_in(guard: str) -> bool:
    """Say whether this process is in the group at `guard`, whose name no other has. Raises OSError."""
    with open("/proc/self/cgroup", "rb") as file:
        end = f"/{os.path.basename(guard)}\n".encode()
        return any(line.startswith(b"0::") and line.endswith(end) for line in file)


def _own_group() -> str:
    """The directory of the group of version 2 that this process is in. Raises OSError."""
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        own = next((line[3:] for line in file.read().splitlines() if line.startswith("0::/")), None)
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        rows = [line.split(" ") for line in file.read().splitlines()]
    # Fields 4 and 5 are the root of the mount and where it is; the type follows the dash (man 5 proc).
    mounted = [row[4] for row in rows if row[3] == "/" and row[row.index("-") + 1] == "cgroup2"]
    if own is None or "/.." in own or not mounted:
        raise FileNotFoundError(errno.ENOENT, "no control groups of version 2")
    return (mounted[0] + own).rstrip("/")


def _new_group(parent: str) -> tuple[str, int]:
    """Make a group, and a locked descriptor of it, which keeps others from sweeping it. Raises OSError."""
    for _ in range(_ATTEMPTS):
        path = f"{parent}/{_PREFIX}{os.urandom(8).hex()}"
        os.mkdir(path, 0o755)
        with suppress(FileNotFoundError, BlockingIOError):  # another builder has swept it, or does so now
            group = os.open(path, _OPEN_DIRECTORY)
            try:
                fcntl.flock(group, fcntl.LOCK_SH | fcntl.LOCK_NB)
                os.stat(path)
            except BaseException:
                os.close(group)
                raise
            return path, group
    raise FileNotFoundError(errno.ENOENT, "control groups vanish as soon as they are made")


def _sweep(parent: str) -> None:
    """Remove what killed builders left."""
    for name in os.listdir(parent):
        if name.startswith(_PREFIX):
            with suppress(OSError), abandoned(f"{parent}/{name}"):
                os.rmdir(f"{parent}/{name}")


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
