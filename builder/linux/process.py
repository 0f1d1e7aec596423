"""What a process may be: namespaces, host name, parent-death signal, descriptors, environment (man 2 clone, prctl).

`clone` forks with a raw system call so that a child can be born straight into new namespaces. It must only be used
by a process with one thread (threads.py): Python's own after-fork work is skipped (harmless there, and cheaper).
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import time
from contextlib import suppress

from builder.linux.libc import SYS_CLONE3, SYS_CLOSE_RANGE, call, older_number, syscall, syscall_holding_lock

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
_CLONE_INTO_CGROUP = 0x200000000

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_SET_SECCOMP = 22
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

_SIGCHLD = 17
_CLOSE_RANGE_CLOEXEC = 1 << 2
_LAST_DESCRIPTOR = 0xFFFFFFFF
_LOOK_SECONDS = 0.01


def unshare(flags: int) -> None:
    """Move the calling process into new namespaces (CLONE_NEW*). Raises OSError."""
    call("unshare", flags)


def clone(flags: int, group: str = "") -> int:
    """Fork into new namespaces: the child's process id in the parent, 0 in the child. Single-threaded callers only.

    The child is born in the control group at the path `group` where that can be had (since Linux 5.7, and not under
    Docker's filter); it has to look. To move a process later costs 10 ms: the kernel waits for all its processors.
    """
    if group:
        with suppress(OSError):
            return _clone_into(flags, group)
    return syscall_holding_lock(older_number("clone"), flags | _SIGCHLD, 0, 0, 0, 0)


def _clone_into(flags: int, group: str) -> int:
    opened = os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # struct clone_args: flags, three pointers, the signal, six that stay 0 but for the last (linux/sched.h).
        words = (flags | _CLONE_INTO_CGROUP, 0, 0, 0, _SIGCHLD, 0, 0, 0, 0, 0, opened)
        arguments = ctypes.create_string_buffer(struct.pack("=11Q", *words), 8 * len(words))
        return syscall_holding_lock(SYS_CLONE3, ctypes.byref(arguments), len(arguments))
    finally:
        os.close(opened)


def reap(child: int, seconds: float) -> int | None:
    """Wait up to `seconds` for a child to end; its status, as waitpid(2) gives it, or None when it has not ended.

    Raises ChildProcessError when it is no child of this process, or no more.
    """
    deadline = time.monotonic() + seconds
    _block_until_ended(child, seconds)
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid or time.monotonic() >= deadline:
            return status if pid else None
        time.sleep(_LOOK_SECONDS)  # before Linux 5.3 there is nothing to block on


def _block_until_ended(child: int, seconds: float) -> None:
    try:
        descriptor = os.pidfd_open(child)
    except OSError:
        return
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll(seconds * 1000)
    finally:
        os.close(descriptor)


def prctl(option: int, argument: int = 0, third: int = 0, fourth: int = 0, fifth: int = 0) -> int:
    """Call prctl(2). Raises OSError."""
    return call("prctl", option, argument, third, fourth, fifth)


def set_hostname(name: str) -> None:
    """Set the host name of the UTS namespace. Raises OSError."""
    encoded = name.encode()
    call("sethostname", encoded, len(encoded))


def close_on_exec_from(first: int) -> None:
    """Mark every descriptor from `first` up close-on-exec (man 2 close_range), by /proc where the kernel is older."""
    try:
        syscall(SYS_CLOSE_RANGE, first, _LAST_DESCRIPTOR, _CLOSE_RANGE_CLOEXEC)
    except OSError:
        for descriptor in _open_descriptors(first):
            try:
                os.set_inheritable(descriptor, False)
            except OSError:
                continue  # the descriptor of the listing itself


def close_all_except(keep: frozenset[int]) -> None:
    """Close every descriptor but those in `keep`."""
    start = 0
    for descriptor in [*sorted(keep), _LAST_DESCRIPTOR]:
        if descriptor > start:
            _close_range(start, descriptor - 1)
        start = descriptor + 1


def wipe_environment() -> None:
    """Overwrite the environment this process was started with, so that /proc/PID/environ shows nothing of it.

    The kernel shows the bytes between env_start and env_end of the initial stack (man 5 proc, /proc/pid/stat fields
    50 and 51), whatever the program has made of its environment since.
    """
    start, end = _initial_stack(50)
    os.environ.clear()
    ctypes.memset(start, 0, end - start)


def rename_process(name: str) -> None:
    """Show `name` as this process's command and whole command line (fields 48 and 49: arg_start and arg_end)."""
    start, end = _initial_stack(48)
    encoded = name.encode()
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, encoded, min(len(encoded), max(end - start - 1, 0)))
    buffer = ctypes.create_string_buffer(encoded)
    prctl(PR_SET_NAME, ctypes.addressof(buffer))


def _initial_stack(field: int) -> tuple[int, int]:
    """Return the ends of a part of memory: a field of /proc/self/stat and the next one; equal if there is none."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()  # the first two stand before the ")"
    start, end = int(fields[field - 3]), int(fields[field - 2])
    return (start, end) if 0 < start < end else (start, start)


def _close_range(first: int, last: int) -> None:
    try:
        syscall(SYS_CLOSE_RANGE, first, last, 0)
    except OSError:
        for descriptor in _open_descriptors(first):
            if descriptor <= last:
                os.closerange(descriptor, descriptor + 1)


def _open_descriptors(first: int) -> list[int]:
    return [number for number in map(int, os.listdir("/proc/self/fd")) if number >= first]
