"""Limits of memory and processors: where groups are made, and why they can't be."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from builder.errors import SandboxError
from builder.oci.run_options import RunOptions
from builder.sandbox.limits import LimitGroups, Limits, group_path
from builder.sandbox.spec import ExitStatus
from tests.sandbox.fake_groups import ALL, MIB, FakeKernel, version_1, version_2, written


def test_everything_is_written_in_version_1(tmp_path: Path) -> None:
    groups = Limits(version_1(tmp_path, "memory", "cpu", "cpuset", "pids"), FakeKernel(1)).open(ALL)
    assert [os.path.dirname(path) for path in groups.paths] == [
        f"{tmp_path}/{name}/builder" for name in ("memory", "cpu", "cpuset")
    ]
    assert written(groups) == {
        "memory.limit_in_bytes": str(64 * MIB),
        "memory.memsw.limit_in_bytes": str(96 * MIB),
        "cpu.shares": "512",
        "cpu.cfs_period_us": "50000",
        "cpu.cfs_quota_us": "25000",
        "cpuset.cpus": "0-1",
        "cpuset.mems": "0",
    }
    assert groups.unified is None
    groups.close()
    assert not any(os.path.exists(path) for path in groups.paths)


def test_everything_is_written_in_version_2(tmp_path: Path) -> None:
    groups = Limits(version_2(tmp_path), FakeKernel(2)).open(ALL)
    assert groups.unified == groups.groups[0]
    assert written(groups) == {
        "memory.max": str(64 * MIB),
        "memory.swap.max": str(32 * MIB),
        "cpu.weight": "20",
        "cpu.max": "25000 50000",
        "cpuset.cpus": "0-1",
        "cpuset.mems": "0",
    }
    groups.close()
    assert not os.path.exists(groups.paths[0])


def test_in_version_2_the_group_is_beside_one_that_has_processes(tmp_path: Path) -> None:
    kernel = FakeKernel(2, refuses={"scope/cgroup.subtree_control": errno.EBUSY})
    groups = Limits(version_2(tmp_path), kernel).open(RunOptions(memory_bytes=64 * MIB))
    assert os.path.dirname(groups.paths[0]) == f"{tmp_path}/tree/slice"
    groups.close()


def test_in_version_2_a_controller_is_enabled_where_it_can_be(tmp_path: Path) -> None:
    groups = Limits(version_2(tmp_path), FakeKernel(2)).open(RunOptions(cpu_shares=5))
    assert os.path.dirname(groups.paths[0]) == f"{tmp_path}/tree/slice/scope"
    assert Path(tmp_path, "tree/slice/scope/cgroup.subtree_control").read_text() == "+cpu"
    groups.close()


@pytest.mark.parametrize("asked", [RunOptions(cpu_shares=5), RunOptions(cpuset_cpus="0"), RunOptions(memory_bytes=MIB)])
def test_in_version_2_nothing_is_enabled_in_the_group_of_this_process(tmp_path: Path, asked: RunOptions) -> None:
    """The kernel lets cpu and cpuset be enabled there: no group in it could be entered any more."""
    hierarchies = version_2(tmp_path)
    own = Path(hierarchies[0].own)
    (own / "cgroup.type").write_text("domain\n")  # which the root of all has not
    groups = Limits(hierarchies, FakeKernel(2)).open(asked)
    assert os.path.dirname(groups.paths[0]) == f"{tmp_path}/tree/slice"
    assert (own / "cgroup.subtree_control").read_text() == ""
    groups.close()


def test_processors_are_those_of_the_group_above(tmp_path: Path) -> None:
    hierarchies = version_2(tmp_path)
    for place, there in (("slice", "0-7"), ("slice/scope", "0-1")):
        Path(hierarchies[0].point, place, "cpuset.cpus.effective").write_text(there)
    limits = Limits(hierarchies, FakeKernel(2, refuses={"scope/cgroup.subtree_control": errno.EBUSY}))
    limits.open(RunOptions(cpuset_cpus="4")).close()
    with pytest.raises(SandboxError, match="8 is asked for, and 0-7 is there"):
        limits.open(RunOptions(cpuset_cpus="8"))


@pytest.mark.parametrize(
    ("parent", "path"),
    [
        ("/builds/ci", "builds/ci"),
        ("builds//ci/", "builds/ci"),
        ("/", ""),
        ("builds.slice", "builds.slice"),
        ("a-b-c.slice", "a.slice/a-b.slice/a-b-c.slice"),
        ("x/a-b.slice", "x/a-b.slice"),
    ],
)
def test_a_parent_is_below_the_root_and_is_made(tmp_path: Path, parent: str, path: str) -> None:
    assert group_path(parent) == path
    asked = RunOptions(cgroup_parent=parent, cpuset_cpus="1")
    first = Limits(version_1(tmp_path, "cpuset", "pids", "name=systemd"), FakeKernel(1)).open(asked)
    second = Limits(version_2(tmp_path, enabled="memory"), FakeKernel(2)).open(asked)
    parents = [os.path.normpath(f"{tmp_path}/{name}/{path}") for name in ("cpuset", "pids", "tree")]
    assert [os.path.dirname(each) for each in (*first.paths, *second.paths)] == parents
    # Every group of version 1 on the way has processors, or no process could enter it.
    assert [Path(place, "cpuset.cpus").read_text() for place in (parents[0], first.paths[0])] == ["0-3", "1"]
    assert Path(first.paths[0], "cpuset.mems").read_text() == "0"
    assert Path(parents[2], "cgroup.subtree_control").read_text() == "+cpuset"
    for groups in (first, second):
        groups.close()
    assert Path(parents[2]).is_dir()


@pytest.mark.parametrize(
    ("asked", "kernel", "message"),
    [
        ({"memory_bytes": MIB}, {"refuses": {"/memory.max": errno.EINVAL}},
         "--memory cannot be applied: the kernel does not take 1048576 for memory.max (Invalid argument)"),
        ({"memory_bytes": MIB, "memory_swap_bytes": MIB}, {"lacks": ("memory.swap.max",)},
         "--memory-swap cannot be applied: this kernel has no memory.swap.max"),
        ({"cpu_quota": 5000}, {"refuses": {"subtree_control": errno.EACCES}},
         "--cpu-quota cannot be applied: no write access to the control group {tree}/slice"),
        ({"cpu_shares": 5}, {"refuses": {"subtree_control": errno.EROFS}},
         "--cpu-shares cannot be applied: the control group {tree}/slice is mounted read-only"),
        ({"cpu_period": 5000}, {"refuses": {"subtree_control": errno.ENOENT}},
         "--cpu-period cannot be applied: the control group {tree}/slice has no controller cpu"),
        ({"cpuset_mems": "0"}, {"refuses": {"subtree_control": errno.EBUSY}},
         "--cpuset-mems cannot be applied: the control group {tree}/slice has processes, so groups in it can't have the"
         " controller cpuset"),
        ({"cpuset_cpus": "2-4"}, {}, "--cpuset-cpus cannot be applied: 2-4 is asked for, and 0-3 is there"),
    ],
)  # fmt: skip
def test_what_cannot_be_applied_is_refused(
    tmp_path: Path, asked: dict[str, Any], kernel: dict[str, Any], message: str
) -> None:
    limits = Limits(version_2(tmp_path, enabled=""), FakeKernel(2, **kernel))
    with pytest.raises(SandboxError) as caught:
        limits.open(RunOptions(**asked))
    assert caught.value.message == message.format(tree=f"{tmp_path}/tree")
    assert "leave the flag out" in caught.value.hint
    assert list(tmp_path.rglob("pybuild-*")) == []


def test_a_controller_that_is_not_mounted_is_refused(tmp_path: Path) -> None:
    for hierarchies in ((), version_1(tmp_path, "cpu")):
        with pytest.raises(SandboxError, match="--memory cannot be applied: no control groups with the controller mem"):
            Limits(hierarchies, FakeKernel(1)).open(ALL)
    with pytest.raises(SandboxError, match="--cgroup-parent cannot be applied: no control groups are here"):
        Limits((), FakeKernel(1)).open(RunOptions(cgroup_parent="x"))


def test_swap_that_nobody_asked_for_may_be_missing(tmp_path: Path) -> None:
    kernel = FakeKernel(1, lacks=("memory.memsw.limit_in_bytes",))
    groups = Limits(version_1(tmp_path, "memory"), kernel).open(RunOptions(memory_bytes=64 * MIB))
    assert written(groups) == {"memory.limit_in_bytes": str(64 * MIB)}
    groups.close()


@pytest.mark.parametrize(
    ("found", "reached"),
    [
        ({"memory.events": "low 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 0\n"}, True),
        ({"memory.events": "low 0\nmax 12\noom 0\noom_kill 0\n"}, False),
        ({"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"}, True),
        ({"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"}, False),
        ({"memory.limit_in_bytes": "4096\n", "memory.max_usage_in_bytes": "4096\n"}, True),
        ({"memory.limit_in_bytes": "8192\n", "memory.max_usage_in_bytes": "4096\n"}, False),
        ({}, False),
    ],
)
def test_the_kernel_says_that_the_limit_was_reached(tmp_path: Path, found: dict[str, str], reached: bool) -> None:
    for name, text in found.items():
        (tmp_path / name).write_text(text)
    groups = LimitGroups(memory=str(tmp_path))
    assert groups.judged(ExitStatus(137, 9)) == ExitStatus(137, 9, memory_limit_reached=reached)
    assert groups.judged(ExitStatus(0)) == ExitStatus(0)
    assert LimitGroups().judged(ExitStatus(1)) == ExitStatus(1)


@pytest.mark.parametrize(("code", "reached"), [(7, False), (1, False), (137, True)])
def test_page_cache_that_fills_the_limit_kills_nobody(tmp_path: Path, code: int, reached: bool) -> None:
    """Of version 1, where a kill in a group that a runtime has made below is not counted."""
    for name in ("memory.limit_in_bytes", "memory.max_usage_in_bytes"):
        (tmp_path / name).write_text("4096\n")
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    assert LimitGroups(memory=str(tmp_path)).judged(ExitStatus(code)).memory_limit_reached is reached
