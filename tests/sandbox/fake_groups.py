"""A kernel's control groups as plain directories, with the files that it would put into them."""

from __future__ import annotations

import os
from pathlib import Path

from builder.oci.run_options import RunOptions
from builder.sandbox.limits import LimitGroups
from builder.sandbox.process.hierarchies import GroupFiles, Hierarchy

MIB = 1 << 20
ALL = RunOptions(
    memory_bytes=64 * MIB,
    memory_swap_bytes=96 * MIB,
    cpu_shares=512,
    cpu_period=50_000,
    cpu_quota=25_000,
    cpuset_cpus="0-1",
    cpuset_mems="0",
)
FILES = {
    1: (
        *("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "cpu.shares", "cpu.cfs_period_us"),
        *("cpu.cfs_quota_us", "cpuset.cpus", "cpuset.mems"),
    ),
    2: ("memory.max", "memory.swap.max", "cpu.weight", "cpu.max", "cpuset.cpus", "cpuset.mems"),
}


class FakeKernel(GroupFiles):
    """Plain directories, with the files that a kernel would put into them."""

    def __init__(self, version: int, lacks: tuple[str, ...] = (), refuses: dict[str, int] | None = None) -> None:
        self.names = ("cgroup.procs", *(("cgroup.subtree_control",) if version == 2 else ()), *FILES[version])
        self.lacks = lacks
        self.refuses = refuses or {}
        """End of a path → errno of writing to it."""

    def make(self, path: str) -> None:
        super().make(path)
        for name in self.names:
            if name not in self.lacks:
                Path(path, name).write_text("")

    def remove(self, path: str) -> None:
        for name in self.names:
            Path(path, name).unlink(missing_ok=True)
        super().remove(path)

    def write(self, path: str, text: str) -> None:
        for end, number in self.refuses.items():
            if path.endswith(end):
                raise OSError(number, os.strerror(number))
        super().write(path, text)


def version_1(folder: Path, *names: str) -> tuple[Hierarchy, ...]:
    found = []
    for name in names:
        own = folder / name / "builder"
        FakeKernel(1).make(str(folder / name))
        FakeKernel(1).make(str(own))
        for path in (own, own.parent):
            for file, text in (("cpuset.cpus", "0-3"), ("cpuset.mems", "0"), ("cpuset.effective_cpus", "0-3")):
                (path / file).write_text(text)
        found.append(Hierarchy(1, frozenset((name,)), str(folder / name), str(own)))
    return tuple(found)


def version_2(folder: Path, *, enabled: str = "memory cpu cpuset", own: str = "slice/scope") -> tuple[Hierarchy, ...]:
    path = folder
    for name in ("tree", *own.split("/")):
        path = path / name
        FakeKernel(2).make(str(path))
        (path / "cgroup.subtree_control").write_text(enabled)
    (folder / "tree" / own / "cpuset.cpus.effective").write_text("0-3\n")
    (folder / "tree" / own / "cgroup.subtree_control").write_text("")
    return (Hierarchy(2, frozenset(("memory", "cpu", "cpuset")), str(folder / "tree"), str(path)),)


def written(groups: LimitGroups) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in groups.paths:
        found |= {file.name: file.read_text() for file in Path(path).iterdir() if file.is_file() and file.read_text()}
    return found
