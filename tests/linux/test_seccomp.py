"""The filters, run through an interpreter of classic BPF: what they answer to a system call, on every machine."""

from __future__ import annotations

import struct

import pytest

from builder.linux.seccomp import REFUSED, docker_profile, pretending_profile
from builder.linux.syscall_numbers import (
    ARCHITECTURES,
    AUDIT_ARCH_AARCH64,
    AUDIT_ARCH_ARM,
    AUDIT_ARCH_I386,
    AUDIT_ARCH_X86_64,
    number,
)

ALLOW = 0x7FFF0000
EPERM, ENOSYS = 0x00050001, 0x00050026
PRETEND = 0x00050000
KILL = 0x80000000
PAIRS = [(machine, architecture) for machine, known in ARCHITECTURES.items() for architecture in known]


def answer(program: bytes, architecture: int, call: int, *arguments: int) -> int:
    """What the kernel would answer (linux/filter.h), for the handful of instructions the filters use."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", call, architecture, 0, *padded)
    steps = [struct.unpack_from("=HBBI", program, offset) for offset in range(0, len(program), 8)]
    position = accumulator = 0
    while True:
        code, when_true, when_false, operand = steps[position]
        position += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, operand)
            case 0x54:
                accumulator &= operand
            case 0x05:
                position += operand
            case 0x06:
                return int(operand)
            case 0x15:
                position += when_true if accumulator == operand else when_false
            case 0x35:
                position += when_true if accumulator >= operand else when_false
            case 0x45:
                position += when_true if accumulator & operand else when_false
            case _:
                raise AssertionError(f"unknown instruction {code:#x}")


@pytest.mark.parametrize(("machine", "architecture"), PAIRS)
def test_every_refused_call_is_refused(machine: str, architecture: int) -> None:
    for name in REFUSED:
        if (call := number(name, architecture)) is not None:
            assert answer(docker_profile(machine), architecture, call) == EPERM, name


@pytest.mark.parametrize(("machine", "architecture"), PAIRS)
def test_other_calls_are_allowed(machine: str, architecture: int) -> None:
    named = {number(name, architecture) for name in (*REFUSED, "clone3", "personality", "socketcall")}
    for call in set(range(467)) - named - {number("clone", architecture), number("socket", architecture)}:
        assert answer(docker_profile(machine), architecture, call) == ALLOW, call


@pytest.mark.parametrize(("machine", "architecture"), PAIRS)
def test_a_call_that_is_newer_than_dockers_list_does_not_exist(machine: str, architecture: int) -> None:
    """467 is open_tree_attr, 468 and 469 are file_getattr and file_setattr (Linux 6.15 and 6.17)."""
    for call in (467, 468, 469, 470, 1000, 0x0EFFFF):
        assert answer(docker_profile(machine), architecture, call) == ENOSYS, call
    assert answer(docker_profile(machine), architecture, 466) == ALLOW


def test_the_private_calls_of_arm_are_there() -> None:
    for call in (0x0F0001, 0x0F0002, 0x0F0005):
        assert answer(docker_profile("aarch64"), AUDIT_ARCH_ARM, call) == ALLOW


@pytest.mark.parametrize(("machine", "architecture"), PAIRS)
def test_what_docker_lately_came_to_allow_or_refuse(machine: str, architecture: int) -> None:
    adjust = {AUDIT_ARCH_X86_64: 305, AUDIT_ARCH_I386: 343, AUDIT_ARCH_AARCH64: 266, AUDIT_ARCH_ARM: 372}
    assert answer(docker_profile(machine), architecture, adjust[architecture]) == ALLOW
    for security in (459, 460, 461):  # lsm_*
        assert answer(docker_profile(machine), architecture, security) == EPERM
    for mount in (457, 458):  # statmount, listmount
        assert answer(docker_profile(machine), architecture, mount) == ALLOW


@pytest.mark.parametrize(("machine", "architecture"), PAIRS)
def test_namespaces_cannot_be_made_by_clone(machine: str, architecture: int) -> None:
    program = docker_profile(machine)
    clone, clone3 = number("clone", architecture), number("clone3", architecture)
    assert clone is not None
    assert clone3 is not None
    assert answer(program, architecture, clone, 17) == ALLOW
    for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert answer(program, architecture, clone, flag | 17) == EPERM
    assert answer(program, architecture, clone3) == ENOSYS


def test_the_x32_table_is_no_way_around() -> None:
    assert answer(docker_profile("x86_64"), AUDIT_ARCH_X86_64, 0x40000000 | 165) == ENOSYS


@pytest.mark.parametrize(
    ("machine", "architecture"),
    [("x86_64", AUDIT_ARCH_AARCH64), ("aarch64", AUDIT_ARCH_X86_64), ("x86_64", AUDIT_ARCH_ARM)],
)
def test_an_unknown_architecture_is_killed(machine: str, architecture: int) -> None:
    assert answer(docker_profile(machine), architecture, 1) == KILL


def test_personality_takes_only_harmless_values() -> None:
    program = docker_profile("x86_64")
    assert answer(program, AUDIT_ARCH_X86_64, 135, 0xFFFFFFFF) == ALLOW
    assert answer(program, AUDIT_ARCH_X86_64, 135, 0x0040000) == EPERM


def test_the_hypervisor_cannot_be_reached() -> None:
    assert answer(docker_profile("x86_64"), AUDIT_ARCH_X86_64, 41, 40) == EPERM
    assert answer(docker_profile("x86_64"), AUDIT_ARCH_X86_64, 41, 2) == ALLOW


@pytest.mark.parametrize(("machine", "architecture"), PAIRS)
def test_root_emulation_pretends(machine: str, architecture: int) -> None:
    program = pretending_profile(machine)
    for name in ("fchown", "fchownat", "setuid", "setgid", "setgroups", "setresuid", "setresgid"):
        call = number(name, architecture)
        assert call is not None
        assert answer(program, architecture, call) == PRETEND
    mknodat = number("mknodat", architecture)
    assert mknodat is not None
    assert answer(program, architecture, mknodat, 0, 0, 0o020666) == PRETEND
    assert answer(program, architecture, mknodat, 0, 0, 0o060666) == PRETEND
    assert answer(program, architecture, mknodat, 0, 0, 0o010666) == ALLOW
    assert answer(program, architecture, 0) == ALLOW
