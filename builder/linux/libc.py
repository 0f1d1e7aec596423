"""The bridge to libc: one handle, one way to call, errno turned into OSError.

Everything else in this room goes through `call` (a libc function by name) or `syscall` (a number; for calls that
glibc has no wrapper for, or got one only lately). Numbers from 424 up are the same on every architecture
(Linux, Documentation/process/adding-syscalls.rst); the few older ones are listed per architecture.
"""

from __future__ import annotations

import ctypes
import os

MACHINE = os.uname().machine

SYS_OPEN_TREE = 428
SYS_MOVE_MOUNT = 429
SYS_FSOPEN = 430
SYS_FSCONFIG = 431
SYS_FSMOUNT = 432
SYS_CLONE3 = 435
SYS_CLOSE_RANGE = 436
SYS_OPENAT2 = 437
SYS_MOUNT_SETATTR = 442

_OLDER = {
    "x86_64": {"clone": 56, "pivot_root": 155, "capget": 125, "capset": 126, "bpf": 321},
    "aarch64": {"clone": 220, "pivot_root": 41, "capget": 90, "capset": 91, "bpf": 280},
}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_holding = ctypes.PyDLL(None, use_errno=True)
_holding.syscall.restype = ctypes.c_long
_libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)


def call(name: str, *arguments: object, path: str | None = None) -> int:
    """Call the libc function `name`; raises OSError (with `path`, for the message) when it returns -1."""
    result = int(getattr(_libc, name)(*arguments))
    if result == -1:
        raise_errno(path)
    return result


def syscall(number: int, *arguments: object, path: str | None = None) -> int:
    """Make the system call `number`; integers are passed as C longs. Raises OSError when it fails."""
    return _syscall(_libc, number, arguments, path)


def syscall_holding_lock(number: int, *arguments: object) -> int:
    """The same without letting go of the interpreter's lock: for a call that returns twice.

    What lets go of the lock takes it again on return, and in a forked child it may belong, for ever, to a thread that
    is not there. It is no leave to have other threads: one that waits for its turn leaves a child waiting just so.
    """
    return _syscall(_holding, number, arguments, None)


def _syscall(handle: ctypes.CDLL, number: int, arguments: tuple[object, ...], path: str | None) -> int:
    passed = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = int(handle.syscall(ctypes.c_long(number), *passed))
    if result == -1:
        raise_errno(path)
    return result


def older_number(name: str) -> int:
    """The number of a system call below 424; raises OSError (ENOSYS) on an architecture not in the table."""
    try:
        return _OLDER[MACHINE][name]
    except KeyError:
        raise OSError(38, f"system call {name} is not known for {MACHINE}") from None


def raise_errno(path: str | None = None) -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), path)
