"""What a user asks of every RUN of a build: one value, from the command line to the process.

A new option is a field here, a flag of the command line, its place in `key_document` if it can reach a layer, its words
in builder.solve.reason.words, and whatever carries it out in builder.sandbox.
"""

from __future__ import annotations

from typing import Any, NamedTuple

MIN_MEMORY_BYTES = 6 << 20
"""Docker's: with less not even a runtime gets as far as the command (moby daemon_unix.go, linuxMinMemory)."""
CPU_PERIODS = (1000, 1_000_000)
"""The shortest and the longest period that the kernel takes, in microseconds (kernel: scheduler/sched-bwc)."""
MIN_CPU_QUOTA = 1000
"""Microseconds; the kernel's too."""


class RunOptions(NamedTuple):
    add_hosts: tuple[tuple[str, str], ...] = ()
    """(host, address) pairs for /etc/hosts."""
    shm_size: int | None = None
    """Bytes of /dev/shm; None for Docker's 64 MiB."""
    ulimits: tuple[tuple[str, int, int], ...] = ()
    """(name, soft, hard) as man 2 setrlimit has them; -1 is unlimited."""
    memory_bytes: int | None = None
    """What the processes of one RUN may use together, page cache included."""
    memory_swap_bytes: int | None = None
    """Memory and swap together; -1 is unlimited, None twice the memory, as in Docker."""
    cpu_period: int | None = None
    """Microseconds."""
    cpu_quota: int | None = None
    """Microseconds of processor time in each period."""
    cpu_shares: int | None = None
    """The weight against others, who have 1024."""
    cpuset_cpus: str = ""
    """Processors, as "0-2,4"."""
    cpuset_mems: str = ""
    """Memory nodes, in the same form."""
    cgroup_parent: str = ""
    """Path of the control group that RUN's are made in, below the root of each hierarchy; "" for the builder's own."""

    @property
    def limits_groups(self) -> bool:
        """Whether RUN needs control groups of its own."""
        return any(self[_FIRST_LIMIT:])

    @property
    def memory_text(self) -> str:
        """The limit of memory as messages write it, in the largest unit that it is whole in."""
        size = self.memory_bytes or 0
        for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
            if size % (1 << shift) == 0:
                return f"{size >> shift} {unit}"
        return f"{size} bytes"

    @property
    def swap_total_bytes(self) -> int | None:
        """Memory and swap together, as it is when it wasn't said (moby daemon_unix.go, adaptContainerSettings)."""
        if self.memory_swap_bytes is None and self.memory_bytes is not None:
            return 2 * self.memory_bytes
        return self.memory_swap_bytes

    def key_document(self) -> dict[str, Any]:
        """Return, as JSON, what of the options is part of a cache key: of hosts the names alone, as in BuildKit.

        Limits of memory and processors are not in it, as there: they decide whether a command gets to its end, and how
        soon, not what it writes; a command that failed for want of memory has no record. So a build on a larger
        machine, or one with another limit, takes what is there.
        """
        document: dict[str, Any] = {}
        if self.add_hosts:
            document["hosts"] = sorted(name for name, _ in self.add_hosts)
        if self.shm_size is not None:
            document["shm_size"] = self.shm_size
        if self.ulimits:
            document["ulimits"] = [list(limit) for limit in self.ulimits]
        return document


_FIRST_LIMIT = RunOptions._fields.index("memory_bytes")
"""Those of control groups come last."""

NO_OPTIONS = RunOptions()


def run_options_from_json(document: dict[str, Any]) -> RunOptions:
    """Read what `_asdict` gave, after JSON has made lists of its tuples. Raises TypeError for unknown members."""
    return RunOptions(**{name: _tuples(value) for name, value in document.items()})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def numbers_of(text: str) -> frozenset[int]:
    """Return the numbers of a list of the kernel's, as "0-2,4"."""
    ranges = [[int(number) for number in word.split("-")] for word in text.split(",") if word]
    return frozenset(number for each in ranges for number in range(each[0], each[-1] + 1))
