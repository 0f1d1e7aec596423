"""Says whether something is mounted below a directory: then it must not be deleted, as it may be the user's.

A build mounts in a mount namespace of its own, which ends with it, kill -9 included; so there is never anything, unless
somebody mounted it by hand, or a sandbox could get no namespace. Format: proc_pid_mountinfo(5), field 5.
"""

from __future__ import annotations

import os

_MOUNTINFO = "/proc/self/mountinfo"
_ESCAPES = ((b"\\", rb"\134"), (b" ", rb"\040"), (b"\t", rb"\011"), (b"\n", rb"\012"))
_MOUNT_POINT = 4


def has_mounts(directory: str) -> bool:
    """Say whether a file system is mounted at or below `directory`; True also when a readable /proc doesn't tell."""
    wanted = os.fsencode(os.path.realpath(directory))
    for plain, escaped in _ESCAPES:
        wanted = wanted.replace(plain, escaped)
    try:
        with open(_MOUNTINFO, "rb") as file:
            points = [line.split(b" ")[_MOUNT_POINT] for line in file]
    except (OSError, IndexError):
        return os.path.exists("/proc/self")
    return any(point == wanted or point.startswith(wanted + b"/") for point in points)
