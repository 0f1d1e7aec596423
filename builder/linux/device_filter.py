"""Which devices the processes of a control group may open: a program of a few instructions that the kernel asks.

Making a device node is allowed, whatever it stands for; opening one is, when it is harmless. So Docker has it
(moby oci/defaults.go, runc's specconv). It is tied to a group of cgroup version 2 and goes away with it
(kernel: bpf/prog_cgroup_device; linux/bpf.h).
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable, Iterator

from builder.linux.libc import older_number, syscall

HARMLESS = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (136, None))
"""(major, minor or None for all) of character devices: null, zero, full, random, urandom, tty, console, ptmx, pts."""

_PROG_LOAD, _PROG_ATTACH = 5, 8
_TYPE_CGROUP_DEVICE, _ATTACH_CGROUP_DEVICE, _ALLOW_MULTI = 15, 6, 2
_LICENSE = b"Dual MIT/GPL\0"

_LOAD_WORD, _MOVE, _MOVE_VALUE, _AND, _SHIFT_RIGHT = 0x61, 0xBF, 0xB7, 0x54, 0x74
_IF_EQUAL, _IF_NOT_EQUAL, _EXIT = 0x15, 0x55, 0x95
_RESULT, _CONTEXT, _ACCESS, _KIND, _MAJOR, _MINOR = range(6)  # registers; the context comes in register 1
_ONLY_MKNOD, _CHARACTER = 1, 2  # BPF_DEVCG_ACC_MKNOD, BPF_DEVCG_DEV_CHAR


def attach_device_filter(group: int, harmless: Iterable[tuple[int, int | None]] = HARMLESS) -> None:
    """Let the processes of the control group open at `group` open these character devices alone. Raises OSError."""
    code = ctypes.create_string_buffer(b"".join(_program(harmless)))
    license_ = ctypes.create_string_buffer(_LICENSE)
    count = (len(code) - 1) // 8
    load = struct.pack(
        "=IIQQIIQII", _TYPE_CGROUP_DEVICE, count, ctypes.addressof(code), ctypes.addressof(license_), 0, 0, 0, 0, 0
    )
    program = _bpf(_PROG_LOAD, load)
    try:
        _bpf(_PROG_ATTACH, struct.pack("=IIII", group, program, _ATTACH_CGROUP_DEVICE, _ALLOW_MULTI))
    finally:
        os.close(program)


def _bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    return syscall(older_number("bpf"), command, ctypes.byref(buffer), len(attributes))


def _program(harmless: Iterable[tuple[int, int | None]]) -> Iterator[bytes]:
    """The instructions: context in, 1 (allowed) or 0 out."""
    yield _instruction(_LOAD_WORD, _ACCESS, _CONTEXT, 0)  # access << 16 | kind
    yield _instruction(_MOVE, _KIND, _ACCESS)
    yield _instruction(_AND, _KIND, value=0xFFFF)
    yield _instruction(_SHIFT_RIGHT, _ACCESS, value=16)
    yield _instruction(_LOAD_WORD, _MAJOR, _CONTEXT, 4)
    yield _instruction(_LOAD_WORD, _MINOR, _CONTEXT, 8)
    yield _instruction(_IF_NOT_EQUAL, _ACCESS, offset=2, value=_ONLY_MKNOD)
    yield from _answer(1)
    yield _instruction(_IF_EQUAL, _KIND, offset=2, value=_CHARACTER)
    yield from _answer(0)
    for major, minor in harmless:
        yield _instruction(_IF_NOT_EQUAL, _MAJOR, offset=2 if minor is None else 3, value=major)
        if minor is not None:
            yield _instruction(_IF_NOT_EQUAL, _MINOR, offset=2, value=minor)
        yield from _answer(1)
    yield from _answer(0)


def _answer(value: int) -> Iterator[bytes]:
    yield _instruction(_MOVE_VALUE, _RESULT, value=value)
    yield _instruction(_EXIT)


def _instruction(code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("=BBhi", code, target | source << 4, offset, value)
