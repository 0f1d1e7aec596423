"""Capabilities: the set Docker gives a container, and how a process is brought down to it (man 7 capabilities).

Permitted, effective and bounding sets hold the allowed ones; inheritable and ambient stay empty: a non-empty
inheritable set let any program with file capabilities gain them (CVE-2022-24769 and its kind).
"""

from __future__ import annotations

import ctypes

from builder.linux.libc import older_number, syscall
from builder.linux.process import PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, PR_CAPBSET_DROP, PR_CAPBSET_READ, prctl

_IN_ORDER = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
_IN_DOCKER = """
CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL
AUDIT_WRITE
"""

NAMES = tuple(_IN_ORDER.split())
"""Names in the order of their numbers (linux/capability.h)."""

DOCKER_DEFAULT = frozenset(_IN_DOCKER.split())
"""The fourteen of moby's oci/caps/defaults.go."""

_VERSION_3 = 0x20080522  # _LINUX_CAPABILITY_VERSION_3


def mask(names: frozenset[str]) -> int:
    """The bits of a set of capability names."""
    return sum(1 << NAMES.index(name) for name in names)


def limit_bounding(allowed: int) -> None:
    """Take every capability that is not in the mask `allowed` out of the bounding set. Raises OSError."""
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    for number in range(64):
        try:
            held = prctl(PR_CAPBSET_READ, number)
        except OSError:  # EINVAL: past the last one this kernel knows
            return
        if held and not allowed >> number & 1:
            prctl(PR_CAPBSET_DROP, number)


def set_capabilities(permitted: int) -> None:
    """Make `permitted` the permitted and effective sets of this process, and the inheritable set empty."""
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    low, high = permitted & 0xFFFFFFFF, permitted >> 32
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    syscall(older_number("capset"), ctypes.byref(header), ctypes.byref(data))


def effective_mask() -> int:
    """The effective set of this process. Raises OSError."""
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()
    syscall(older_number("capget"), ctypes.byref(header), ctypes.byref(data))
    return int(data[0]) | int(data[3]) << 32
