"""System call filters: what Docker's default profile refuses, and root emulation for a namespace with one id.

A filter is a classic BPF program over `struct seccomp_data` (linux/seccomp.h), assembled here in plain Python:

    load arch ── x86_64? ── load number ── x32? ENOSYS ── number == mount? EPERM ── … ── ALLOW
              └─ i386?  ── load number ── …
              └─ KILL

Docker's profile is a list of what is allowed; this one is its complement as of moby 28.5 with the default
capabilities. A call newer than the newest one there does not exist (ENOSYS), as runc makes it, so that programs fall
back to an older one. What it does not have: per-capability loosening.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable
from functools import cache

from builder.linux.libc import MACHINE
from builder.linux.process import PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, prctl
from builder.linux.syscall_numbers import ARCHITECTURES, AUDIT_ARCH_ARM, AUDIT_ARCH_X86_64, number, numbers

REFUSED = (
    *("acct", "add_key", "bpf", "clock_settime", "clock_settime64", "create_module", "delete_module"),
    *("fanotify_init", "finit_module", "fsconfig", "fsmount", "fsopen", "fspick", "get_kernel_syms", "get_mempolicy"),
    *("init_module", "io_uring_enter", "io_uring_register", "io_uring_setup", "ioperm", "iopl", "kcmp"),
    *("kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "mbind", "migrate_pages", "mount", "mount_setattr"),
    *("move_mount", "move_pages", "nfsservctl", "open_by_handle_at", "open_tree", "perf_event_open", "pidfd_getfd"),
    *("pivot_root", "process_madvise", "query_module", "quotactl", "quotactl_fd", "reboot", "request_key"),
    *("sethostname", "setdomainname", "set_mempolicy", "set_mempolicy_home_node", "setns", "settimeofday", "stime"),
    *("swapon", "swapoff", "_sysctl", "sysfs", "syslog", "umount", "umount2", "unshare", "uselib", "userfaultfd"),
    *("ustat", "vhangup", "vm86", "vm86old", "lsm_get_self_attr", "lsm_set_self_attr", "lsm_list_modules"),
)
"""Refused with EPERM, whatever the arguments."""

REFUSED_ON_OLD_KERNELS = ("process_vm_readv", "process_vm_writev", "ptrace")
"""Before Linux 4.8 a tracer could change a call after the filter had seen it."""

PRETENDED = (
    *("chown", "fchown", "lchown", "fchownat", "chown32", "fchown32", "lchown32", "setgroups", "setgroups32"),
    *("setuid", "setuid32", "setgid", "setgid32", "setreuid", "setreuid32", "setregid", "setregid32"),
    *("setresuid", "setresuid32", "setresgid", "setresgid32", "setfsuid", "setfsuid32", "setfsgid", "setfsgid32"),
)
"""Reported as done and not done, where there is only one id to own everything."""

_NEWEST = 466  # removexattrat(2) of Linux 6.13; from 424 on the numbers are the same everywhere
_ARM_PRIVATE = 0x0F0000  # breakpoint, cacheflush, set_tls and others of 32-bit ARM (arch/arm/include/uapi/asm/unistd.h)
_EPERM, _ENOSYS = 1, 38
_CLONE_NEW_ANY = 0x7E020000  # all CLONE_NEW* but CLONE_NEWTIME, which clone(2) cannot be given
_PERSONALITIES = (0x0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)
_AF_VSOCK = 40  # reaches the hypervisor past any network namespace
_S_IFMT, _S_IFCHR, _S_IFBLK = 0o170000, 0o020000, 0o060000
_X32_BIT = 0x40000000

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_IF_BITS, _JUMP, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x05, 0x54, 0x06
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL_PROCESS = 0x80000000
_NUMBER_OFFSET, _ARCH_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16
_SECCOMP_MODE_FILTER = 2

Instruction = tuple[int, int, int, int]
"""code, jump if true, jump if false (both: instructions to skip), operand."""


class _Program(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


@cache
def docker_profile(machine: str = MACHINE) -> bytes:
    """The default filter. Raises KeyError for a machine there are no tables for."""
    old = _kernel_release() < (4, 8)
    refused = REFUSED + (REFUSED_ON_OLD_KERNELS if old else ())

    def rules(architecture: int) -> list[Instruction]:
        body = _too_new(architecture)
        body += _when(
            number("clone", architecture), [*_argument(0), *_if_bits(_CLONE_NEW_ANY, _fail(_EPERM)), _allow()]
        )
        body += _when(number("clone3", architecture), [_fail(_ENOSYS)])  # its flags lie in memory a filter can't read
        permitted = [one for value in _PERSONALITIES for one in _if_equal(value, _allow())]
        body += _when(number("personality", architecture), [*_argument(0), *permitted, _fail(_EPERM)])
        vsock = [*_argument(0), *_if_equal(_AF_VSOCK, _fail(_EPERM)), _allow()]
        body += _when(number("socket", architecture), vsock)
        for refused_number in numbers(refused, architecture):
            body += _if_equal(refused_number, _fail(_EPERM))
        return body

    return _assemble(machine, rules)


@cache
def pretending_profile(machine: str = MACHINE) -> bytes:
    """The root emulation filter. Raises KeyError for a machine there are no tables for."""

    def rules(architecture: int) -> list[Instruction]:
        body: list[Instruction] = []
        for name, argument in (("mknod", 1), ("mknodat", 2)):
            device = [*_argument(argument), (_AND, 0, 0, _S_IFMT)]
            device += [one for kind in (_S_IFCHR, _S_IFBLK) for one in _if_equal(kind, _fail(0))]
            body += _when(number(name, architecture), [*device, _allow()])
        for pretended in numbers(PRETENDED, architecture):
            body += _if_equal(pretended, _fail(0))
        return body

    return _assemble(machine, rules)


def install(program: bytes, *, no_new_privileges: bool = False) -> None:
    """Put the filter on this process and all it starts; without CAP_SYS_ADMIN `no_new_privileges` is needed."""

    if no_new_privileges:
        prctl(PR_SET_NO_NEW_PRIVS, 1)
    header = _Program(len(program) // 8, program)
    prctl(PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(header))


def _assemble(machine: str, rules: Callable[[int], list[Instruction]]) -> bytes:
    program: list[Instruction] = [(_LOAD, 0, 0, _ARCH_OFFSET)]
    for architecture in ARCHITECTURES[machine]:
        body: list[Instruction] = [(_LOAD, 0, 0, _NUMBER_OFFSET)]
        if architecture == AUDIT_ARCH_X86_64:
            # The x32 table repeats the calls under other numbers; nothing that is built today uses it.
            body += [(_JUMP_AT_LEAST, 0, 1, _X32_BIT), _fail(_ENOSYS)]
        body += rules(architecture)
        body.append(_allow())
        # A conditional jump reaches 255 instructions, an unconditional one any number.
        program += [(_JUMP_EQUAL, 1, 0, architecture), (_JUMP, 0, 0, len(body)), *body]
    program.append((_RETURN, 0, 0, _KILL_PROCESS))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _too_new(architecture: int) -> list[Instruction]:
    """No call beyond the newest known one, but for the private ones of 32-bit ARM."""
    private: list[Instruction] = [(_JUMP_AT_LEAST, 1, 0, _ARM_PRIVATE)] if architecture == AUDIT_ARCH_ARM else []
    return [(_JUMP_AT_LEAST, 0, 1 + len(private), _NEWEST + 1), *private, _fail(_ENOSYS)]


def _when(call: int | None, body: list[Instruction]) -> list[Instruction]:
    """`body`, which must end in a return, for the call of that number; nothing where there is no such call."""
    return [] if call is None else [(_JUMP_EQUAL, 0, len(body), call), *body]


def _if_equal(value: int, then: Instruction) -> list[Instruction]:
    return [(_JUMP_EQUAL, 0, 1, value), then]


def _if_bits(bits: int, then: Instruction) -> list[Instruction]:
    return [(_JUMP_IF_BITS, 0, 1, bits), then]


def _argument(index: int) -> list[Instruction]:
    """Load the low half of an argument: all four architectures are little-endian."""
    return [(_LOAD, 0, 0, _ARGUMENTS_OFFSET + 8 * index)]


def _allow() -> Instruction:
    return (_RETURN, 0, 0, _ALLOW)


def _fail(error: int) -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | error)


def _kernel_release() -> tuple[int, int]:
    major, minor = os.uname().release.split("-")[0].split(".")[:2]
    return int(major), int("".join(filter(str.isdigit, minor)) or 0)
