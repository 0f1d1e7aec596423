"""What limits of memory and processors write into the files of a control group, or into a bundle; pure.

The files are the kernel's (admin-guide/cgroup-v2, cgroup-v1/memory, cgroup-v1/cpusets, scheduler/sched-bwc); how
Docker's numbers become those of version 2 is runc's (libcontainer/cgroups/utils.go).
"""

from __future__ import annotations

from typing import NamedTuple

from builder.oci.run_options import RunOptions
from builder.sandbox.process.hierarchies import Version

_DEFAULT_PERIOD = 100_000
"""Microseconds; the kernel's."""
_SHARES = (2, 262_144)
_WEIGHTS = (1, 10_000)


class Setting(NamedTuple):
    """What one flag writes into one file of a group."""

    flag: str
    controller: str
    file: str
    value: str
    required: bool = True
    """False for what nobody asked for: it may have no file."""


def settings_of(options: RunOptions, version: Version) -> list[Setting]:
    """Return what limits ask for, in the order of writing."""
    return list(_version_1(options) if version == 1 else _version_2(options))


def _version_1(options: RunOptions) -> list[Setting]:
    found = []
    if options.memory_bytes is not None:
        found.append(Setting("--memory", "memory", "memory.limit_in_bytes", str(options.memory_bytes)))
    if options.swap_total_bytes is not None:
        # After the memory: it may not be less.
        found.append(_swap(options, "memory.memsw.limit_in_bytes", str(options.swap_total_bytes)))
    if options.cpu_shares is not None:
        found.append(Setting("--cpu-shares", "cpu", "cpu.shares", str(options.cpu_shares)))
    if options.cpu_period is not None:
        found.append(Setting("--cpu-period", "cpu", "cpu.cfs_period_us", str(options.cpu_period)))
    if options.cpu_quota is not None:
        found.append(Setting("--cpu-quota", "cpu", "cpu.cfs_quota_us", str(options.cpu_quota)))
    return found + _cpuset(options)


def _version_2(options: RunOptions) -> list[Setting]:
    found = []
    if options.memory_bytes is not None:
        found.append(Setting("--memory", "memory", "memory.max", str(options.memory_bytes)))
    if (total := options.swap_total_bytes) is not None:
        # Here it is swap alone.
        swap = "max" if total < 0 else str(total - (options.memory_bytes or 0))
        found.append(_swap(options, "memory.swap.max", swap))
    if options.cpu_shares is not None:
        found.append(Setting("--cpu-shares", "cpu", "cpu.weight", str(cpu_weight(options.cpu_shares))))
    if options.cpu_period is not None or options.cpu_quota is not None:
        flag = "--cpu-period" if options.cpu_quota is None else "--cpu-quota"
        value = f"{options.cpu_quota or 'max'} {options.cpu_period or _DEFAULT_PERIOD}"
        found.append(Setting(flag, "cpu", "cpu.max", value))
    return found + _cpuset(options)


def _swap(options: RunOptions, file: str, value: str) -> Setting:
    # Where the kernel counts no swap, memory alone is limited, as by docker, unless swap was asked for.
    return Setting("--memory-swap", "memory", file, value, required=options.memory_swap_bytes is not None)


def _cpuset(options: RunOptions) -> list[Setting]:
    found = []
    if options.cpuset_cpus:
        found.append(Setting("--cpuset-cpus", "cpuset", "cpuset.cpus", options.cpuset_cpus))
    if options.cpuset_mems:
        found.append(Setting("--cpuset-mems", "cpuset", "cpuset.mems", options.cpuset_mems))
    return found


def cpu_weight(shares: int) -> int:
    """Return the weight of version 2 for shares of version 1: 2 to 262144 becomes 1 to 10000."""
    least, most = _SHARES
    lightest, heaviest = _WEIGHTS
    return lightest + (min(max(shares, least), most) - least) * (heaviest - lightest) // (most - least)


def oci_resources(options: RunOptions) -> dict[str, object]:
    """Return linux.resources of a bundle (runtime-spec config-linux.md#control-groups).

    They are for a runtime that makes a group of its own, as runc does, below ours: there is no cgroupsPath, whose
    meaning runtimes do not agree on. Ours hold with any.
    """
    memory = {"limit": options.memory_bytes, "swap": options.memory_swap_bytes}
    cpu = {
        "shares": options.cpu_shares,
        "quota": options.cpu_quota,
        "period": options.cpu_period,
        "cpus": options.cpuset_cpus or None,
        "mems": options.cpuset_mems or None,
    }
    asked = {
        kind: {name: value for name, value in values.items() if value is not None}
        for kind, values in (("memory", memory), ("cpu", cpu))
    }
    return {kind: values for kind, values in asked.items() if values}
