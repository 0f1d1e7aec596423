"""What the flags say that limit memory and processors of RUN (limit_flags.py): docker's words, with its bounds."""

from __future__ import annotations

import argparse
import re

from builder.cli.options import MAX_NUMBER, parse_memory_size, short
from builder.errors import UsageError
from builder.oci.run_options import CPU_PERIODS, MIN_CPU_QUOTA, MIN_MEMORY_BYTES, RunOptions

_LIST = r"[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*"


def with_limits(options: RunOptions, arguments: argparse.Namespace) -> RunOptions:
    """Return `options` with what the flags ask for; 0 and "" ask for nothing. Raises UsageError."""
    memory = _memory(arguments.memory)
    period = _number(arguments.cpu_period, "--cpu-period")
    quota = _quota(arguments.cpu_quota)
    if period and not CPU_PERIODS[0] <= period <= CPU_PERIODS[1]:
        raise UsageError(f"--cpu-period {period} is not within {CPU_PERIODS[0]} and {CPU_PERIODS[1]} microseconds")
    if quota and quota < MIN_CPU_QUOTA:
        raise UsageError(f"--cpu-quota {quota} is less than {MIN_CPU_QUOTA} microseconds")
    return options._replace(
        memory_bytes=memory,
        memory_swap_bytes=_memory_swap(arguments.memory_swap, memory),
        cpu_shares=_number(arguments.cpu_shares, "--cpu-shares"),
        cpu_period=period,
        cpu_quota=quota,
        cpuset_cpus=_list(arguments.cpuset_cpus, "--cpuset-cpus"),
        cpuset_mems=_list(arguments.cpuset_mems, "--cpuset-mems"),
        cgroup_parent=_parent(arguments.cgroup_parent),
    )


def _memory(text: str) -> int | None:
    size = parse_memory_size(text, "--memory") if text else 0
    # 0 is no limit, in docker's words.
    if 0 < size < MIN_MEMORY_BYTES:
        raise UsageError(f"--memory {text!r} is less than {MIN_MEMORY_BYTES >> 20}m, which a command needs to start")
    return size or None


def _memory_swap(text: str, memory: int | None) -> int | None:
    """Return memory and swap together. Unlimited, it asks for something where the memory is limited alone."""
    if text.strip() == "-1":
        return -1 if memory else None
    size = parse_memory_size(text, "--memory-swap") if text else 0
    if size and memory is None:
        raise UsageError(f"--memory-swap {text!r} needs --memory", hint="It is memory and swap together.")
    if size and memory is not None and size < memory:
        raise UsageError(
            f"--memory-swap {text!r} is less than --memory", hint="It is memory and swap together; -1 is unlimited."
        )
    return size or None


def _quota(text: str) -> int | None:
    """Return the quota; -1 is none, as without the flag."""
    return None if text.strip() == "-1" else _number(text, "--cpu-quota")


def _number(text: str, flag: str) -> int | None:
    if text and not (re.fullmatch("[0-9]{1,19}", text.strip()) and int(text) <= MAX_NUMBER):
        raise UsageError(f"{flag} {short(text)} is not a whole number")
    # Digits are counted before int(): of thousands Python refuses to make a number, with an error of its own.
    return int(text or 0) or None


def _list(text: str, flag: str) -> str:
    words = text.strip()
    ranges = [[int(number) for number in word.split("-")] for word in words.split(",")] if _is_list(words) else []
    if words and (not ranges or any(each[0] > each[-1] for each in ranges)):
        raise UsageError(f"{flag} {short(text)} is not a list of numbers", hint="Write it as 0-2,4.")
    return words


def _is_list(words: str) -> bool:
    return re.fullmatch(_LIST, words) is not None


def _parent(text: str) -> str:
    # The path is made below each hierarchy: it must not lead out of one.
    if ".." in text.split("/") or not text.isprintable():
        raise UsageError(f"--cgroup-parent {short(text)} is not the path of a control group")
    return text
