"""What every container has whatever its image: /proc, /dev, /sys, and the parts of them that are hidden.

The list is that of the OCI runtime-spec (config-linux.md, default filesystems) and of Docker (oci/defaults.go).
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from builder.errors import SandboxError
from builder.linux.mount import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, bind, descriptor_path, mount
from builder.sandbox.mounts.mount_points import MountPoint

SYSTEM_POINTS = tuple(MountPoint(path=path, directory=True) for path in ("/proc", "/dev", "/sys"))

DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
"""Name → (major, minor)."""

DEV_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "core": "/proc/kcore",
    "ptmx": "pts/ptmx",
}

MASKED = (
    *("/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats"),
    *("/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats"),
    *("/sys/devices/virtual/powercap", "/sys/firmware"),
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_STRICT = MS_NOSUID | MS_NODEV | MS_NOEXEC
# The group `tty`, as docker has it (oci/defaults.go).
_TTY_GROUP = 5
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_POINT = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What the set-up needs to know of where it runs."""

    user_namespace: bool
    single_id: bool
    device_guard: str = ""
    """Path of the control group whose processes can open harmless devices only; empty where there is none."""


def open_system_directory(root: int, name: str) -> int:
    """Open /proc, /dev or /sys of the new root; a link there would lead a mount elsewhere (CVE-2026-41579)."""
    try:
        return os.open(name, _OPEN_DIRECTORY, dir_fd=root)
    except OSError as error:
        raise SandboxError(f"/{name} of the root file system is not a directory ({error.strerror})") from error


def mount_dev(root: int, *, shm_bytes: int, conditions: Conditions, host_devices: bool) -> None:
    """Mount /dev with everything below it. Raises OSError."""
    _mount_on(root, "dev", "tmpfs", MS_NOSUID if host_devices else MS_NOSUID | MS_NODEV, "mode=755,size=65536k")
    dev = open_system_directory(root, "dev")
    try:
        if host_devices:
            _copy_host_devices("/dev", dev)
        else:
            for name, number in DEVICES.items():
                # Bound and not made: in a user namespace nobody may make a device node that can be opened.
                _bind_device(dev, name, number)
        for name, target in DEV_LINKS.items():
            os.symlink(target, name, dir_fd=dev)
        for name in ("pts", "shm", "mqueue"):
            os.mkdir(name, 0o755, dir_fd=dev)
        group = "" if conditions.single_id else f",gid={_TTY_GROUP}"
        _mount_on(dev, "pts", "devpts", MS_NOSUID | MS_NOEXEC, f"newinstance,ptmxmode=0666,mode=0620{group}")
        _mount_on(dev, "shm", "tmpfs", _STRICT, f"mode=1777,size={shm_bytes}")
        _mount_on(dev, "mqueue", "mqueue", _STRICT, "")
    finally:
        os.close(dev)


def mount_sys(root: int, *, user_namespace: bool, writable: bool) -> None:
    """Mount /sys read-only. A user namespace that shares the host's network may only see the host's. Raises OSError."""
    flags = _STRICT if writable else _STRICT | MS_RDONLY
    try:
        _mount_on(root, "sys", "sysfs", flags, "")
    except PermissionError:
        # sysfs takes a network namespace that was made in this user namespace (kernel
        # fs/sysfs/mount.c), and ours was not.
        if not user_namespace:
            raise
        source = os.open("/sys", _OPEN_DIRECTORY)
        point = open_system_directory(root, "sys")
        bind(source, point, flags=flags, recursive=True)
        os.close(source)
        os.close(point)


def mount_proc(root: int) -> None:
    """Mount /proc of the process-id namespace that the caller is in. Raises OSError."""
    _mount_on(root, "proc", "proc", _STRICT, "")


def hide_parts(root: int) -> None:
    """Put /dev/null or an empty directory over the masked paths, and make others read-only. Raises OSError."""
    null = os.open("dev/null", _OPEN_POINT, dir_fd=root)
    if not _is_device(os.fstat(null), DEVICES["null"]):  # CVE-2025-31133: what masks must be the real one
        raise SandboxError("/dev/null of the sandbox is not the null device")
    try:
        for path in MASKED:
            if (point := _open_existing(root, path)) is not None:
                if stat.S_ISDIR(os.fstat(point).st_mode):
                    mount("tmpfs", descriptor_path(point), "tmpfs", MS_RDONLY | _STRICT, "size=4k")
                else:
                    bind(null, point)
                os.close(point)
        for path in READ_ONLY:
            if (point := _open_existing(root, path)) is not None:
                bind(point, point, flags=MS_RDONLY | _STRICT)
                os.close(point)
    finally:
        os.close(null)


def _open_existing(root: int, path: str) -> int | None:
    try:
        return os.open(path.lstrip("/"), _OPEN_POINT, dir_fd=root)
    except OSError:
        return None


def _mount_on(parent: int, name: str, kind: str, flags: int, options: str) -> None:
    point = open_system_directory(parent, name)
    try:
        mount(kind, descriptor_path(point), kind, flags, options)
    finally:
        os.close(point)


def _bind_device(dev: int, name: str, number: tuple[int, int]) -> None:
    try:
        source = os.open(f"/dev/{name}", _OPEN_POINT)
    except OSError:
        return
    try:
        if not _is_device(os.fstat(source), number):
            raise SandboxError(f"/dev/{name} of this machine is not the device it should be")
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=dev))
        point = os.open(name, _OPEN_POINT, dir_fd=dev)
        bind(source, point)
        os.close(point)
    finally:
        os.close(source)


def _is_device(found: os.stat_result, number: tuple[int, int]) -> bool:
    return stat.S_ISCHR(found.st_mode) and (os.major(found.st_rdev), os.minor(found.st_rdev)) == number


def _copy_host_devices(source: str, target: int) -> None:
    """Repeat the machine's device nodes, for a process that was given them all."""
    for entry in sorted(os.scandir(source), key=lambda one: one.name):
        if entry.name in DEV_LINKS or entry.name in ("pts", "shm", "mqueue"):
            continue
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(entry.name, stat.S_IMODE(status.st_mode), dir_fd=target)
            child = os.open(entry.name, _OPEN_DIRECTORY, dir_fd=target)
            _copy_host_devices(entry.path, child)
            os.close(child)
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(entry.path), entry.name, dir_fd=target)
        elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            os.mknod(entry.name, status.st_mode, status.st_rdev, dir_fd=target)
            os.chown(entry.name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
