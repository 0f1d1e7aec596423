"""Which files have been left alone long enough for stat(2) to show the next change to them (git's "racy" rule).

A change leaves a file's status as it was when it falls into the same tick of the file system's clock as the one before.
File systems of this kernel stamp with its own clock, whose ticks take at most 10 ms. Others may count in seconds (FAT
even in pairs of them) or by the clock of another machine.
"""

from __future__ import annotations

import functools
import os

YOUNG_NS = 2_000_000_000
"""How long a file must have been left alone on any file system."""

YOUNG_BY_OUR_CLOCK_NS = 50_000_000
"""The same where the kernel's own clock makes the stamps."""

_BY_OUR_CLOCK = frozenset({"ext4", "xfs", "btrfs", "tmpfs", "overlay", "f2fs"})
_COARSE_NS = 1_000_000
"""A stamp that is a multiple of this may come from a file system that keeps no more (ext4 with small inodes)."""


def is_settled(status: os.stat_result, moment_ns: int) -> bool:
    """Say whether a file was old enough at `moment_ns` (before it was read) for its status to be believed."""
    age_ns = moment_ns - max(status.st_mtime_ns, status.st_ctime_ns)
    if age_ns >= YOUNG_NS:
        return True
    return (
        age_ns >= YOUNG_BY_OUR_CLOCK_NS
        and status.st_ctime_ns % _COARSE_NS != 0
        and status.st_dev in devices_by_our_clock()
    )


@functools.cache
def devices_by_our_clock(mountinfo: str = "/proc/self/mountinfo") -> frozenset[int]:
    """Return the devices whose file systems are stamped by this kernel's clock (proc_pid_mountinfo(5), fields 3 and 9).

    Empty when it cannot be told. File systems that use device numbers of their own, as btrfs may, are left out.
    """
    found = set()
    try:
        with open(mountinfo, encoding="utf-8", errors="replace") as file:
            for line in file:
                mount, _, file_system = line.partition(" - ")
                if file_system.split(" ", 1)[0] in _BY_OUR_CLOCK:
                    major, _, minor = mount.split(" ", 3)[2].partition(":")
                    found.add(os.makedev(int(major), int(minor)))
    except (OSError, ValueError, IndexError):
        return frozenset()
    return frozenset(found)
