"""Limits of memory and processors: what is written, where groups are made, and why they can't be."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builder.errors import SandboxError
from builder.oci.run_options import RunOptions, numbers_of
from builder.sandbox.limit_settings import cpu_weight, settings_of
from builder.sandbox.limits import LimitGroups, Limits, check_limits, group_path
from builder.sandbox.oci.bundle import config
from builder.sandbox.process.hierarchies import GroupFiles, Hierarchy, Version, new_group, read_hierarchies
from builder.sandbox.spec import DirectoryRoot, ExitStatus, SandboxSpec
from tests.sandbox.host import Host

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


@pytest.mark.parametrize(
    ("asked", "first", "second"),
    [
        ({"memory_bytes": 8}, {"memory.limit_in_bytes": "8", "memory.memsw.limit_in_bytes": "16"},
         {"memory.max": "8", "memory.swap.max": "8"}),
        ({"memory_bytes": 8, "memory_swap_bytes": 8},
         {"memory.limit_in_bytes": "8", "memory.memsw.limit_in_bytes": "8"},
         {"memory.max": "8", "memory.swap.max": "0"}),
        ({"memory_bytes": 8, "memory_swap_bytes": -1},
         {"memory.limit_in_bytes": "8", "memory.memsw.limit_in_bytes": "-1"},
         {"memory.max": "8", "memory.swap.max": "max"}),
        ({"cpu_quota": 5000}, {"cpu.cfs_quota_us": "5000"}, {"cpu.max": "5000 100000"}),
        ({"cpu_period": 5000}, {"cpu.cfs_period_us": "5000"}, {"cpu.max": "max 5000"}),
        ({"cpuset_mems": "0,2"}, {"cpuset.mems": "0,2"}, {"cpuset.mems": "0,2"}),
        ({"cgroup_parent": "x"}, {}, {}),
    ],
)  # fmt: skip
def test_what_one_option_writes(asked: dict[str, Any], first: dict[str, str], second: dict[str, str]) -> None:
    versions: tuple[tuple[Version, dict[str, str]], ...] = ((1, first), (2, second))
    for version, expected in versions:
        settings = settings_of(RunOptions(**asked), version)
        assert [(setting.file, setting.value) for setting in settings] == list(expected.items())


def test_shares_are_weights_in_version_2() -> None:
    assert [cpu_weight(shares) for shares in (1, 2, 1024, 262_144, 999_999)] == [1, 1, 39, 10_000, 10_000]


def test_a_list_of_the_kernels_is_a_set_of_numbers() -> None:
    assert numbers_of("0-2,4") == {0, 1, 2, 4}
    assert numbers_of("") == frozenset()


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


def test_what_killed_builders_left_is_removed_and_what_others_use_is_not(tmp_path: Path) -> None:
    kernel = FakeKernel(1)
    left, used = tmp_path / "pybuild-left", tmp_path / "pybuild-used"
    for path in (left, left / "runtime", used):
        kernel.make(str(path))
    inner = new_group(str(used), kernel)  # of a builder that was started in the group of another one
    first = new_group(str(tmp_path), kernel)
    second = new_group(str(tmp_path), kernel)
    assert not left.exists()
    assert all(os.path.exists(group.path) for group in (inner, first, second))
    for group in (inner, first, second):
        group.close()
    assert list(tmp_path.iterdir()) == [used]


MOUNTS = """\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / {folder}/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 /docker/abc {folder}/memory ro - cgroup cgroup rw,memory
34 31 0:31 /other {folder}/pids rw - cgroup cgroup rw,pids
35 31 0:32 / {folder}/systemd rw - cgroup cgroup rw,xattr,name=systemd
36 31 0:33 / {folder}/unified rw - cgroup2 cgroup2 rw,nsdelegate
"""
GROUPS = """\
5:name=systemd:/init.scope
4:pids:/docker/abc
3:memory:/docker/abc/inner
2:cpu,cpuacct:/
1:freezer:/
0::/system.slice/ci.service
"""


def test_hierarchies_are_found_where_they_are_mounted(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS.format(folder=tmp_path))
    (tmp_path / "cgroup").write_text(GROUPS)
    (tmp_path / "unified").mkdir()
    (tmp_path / "unified/cgroup.controllers").write_text("hugetlb misc\n")
    assert [
        (each.version, sorted(each.controllers), each.point.removeprefix(f"{tmp_path}/"), each.own.rpartition("/")[2])
        for each in read_hierarchies(str(tmp_path))
    ] == [
        (1, ["name=systemd"], "systemd", "init.scope"),
        (1, ["memory"], "memory", "inner"),
        (1, ["cpu", "cpuacct"], "cpu,cpuacct", "cpu,cpuacct"),
        (2, ["hugetlb", "misc"], "unified", "ci.service"),
    ]


def test_a_bundle_names_the_limits() -> None:
    def resources(options: RunOptions) -> object:
        spec = SandboxSpec(rootfs=DirectoryRoot("/r"), argv=("true",), options=options)
        document = config(spec, "/r", (), user_namespace=False, single_id=False, terminal=None)
        linux = document["linux"]
        assert isinstance(linux, dict)
        return linux.get("resources")

    assert resources(ALL) == {
        "memory": {"limit": 64 * MIB, "swap": 96 * MIB},
        "cpu": {"shares": 512, "period": 50_000, "quota": 25_000, "cpus": "0-1", "mems": "0"},
    }
    assert resources(RunOptions(cpu_shares=2)) == {"cpu": {"shares": 2}}
    assert resources(RunOptions()) is None


# --- with this machine's kernel ---------------------------------------------------------------------------------------


def need(*controllers: str) -> None:
    """Skip where this machine lets nobody limit with these."""
    usable = {name for each in read_hierarchies() if os.access(each.own, os.W_OK) for name in each.controllers}
    if not usable.issuperset(controllers):
        pytest.skip(f"needs control groups of {' and '.join(controllers)} that can be written to")


@pytest.fixture(params=["native", "chroot", "oci"])
def root_anyhow(root_host: Host, request: pytest.FixtureRequest) -> Host:
    """Every kind of isolation, for root."""
    if request.param == "oci" and not (shutil.which("crun") or shutil.which("runc")):
        pytest.skip("neither crun nor runc is installed")
    return replace(root_host, isolation=request.param)


def test_a_command_has_the_processors_that_it_may_have(root_anyhow: Host) -> None:
    need("cpuset")
    outcome = root_anyhow.run("nproc", options=RunOptions(cpuset_cpus="0"))
    assert (outcome.out, outcome.error) == ("1\n", "")


def test_a_command_that_takes_more_memory_than_it_may_is_killed(root_anyhow: Host) -> None:
    need("memory")
    spec: dict[str, Any] = {"argv": ("/bin/sh", "-c", "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo ${#x}")}
    assert root_anyhow.run_spec(**spec).out == "100000000\n"
    outcome = root_anyhow.run_spec(**spec, options=RunOptions(memory_bytes=32 * MIB, memory_swap_bytes=32 * MIB))
    assert (outcome.code, outcome.out) == (137, "")


@pytest.mark.parametrize("insecure", [False, True])
def test_a_command_reads_its_own_limits_and_they_are_not_its_to_change(root_host: Host, insecure: bool) -> None:
    need("memory")
    version = next(each.version for each in read_hierarchies() if "memory" in each.controllers)
    where = f"/sys/fs/cgroup/{'memory/memory.limit_in_bytes' if version == 1 else 'memory.max'}"
    script = f"cat {where}; echo 0 > {where}; cat /proc/self/cgroup | cut -d: -f3 | sort -u"
    outcome = root_host.run(script, options=RunOptions(memory_bytes=32 * MIB), insecure=insecure)
    assert outcome.out == f"{32 * MIB}\n/\n", outcome
    assert "Read-only file system" in outcome.err
    assert outcome.error == ""


def test_devices_are_guarded_in_a_group_with_limits_too(root_host: Host) -> None:
    script = "mknod /x b 7 0; head -c 1 /x; mknod /n c 1 3 && echo x > /n; echo $?"
    asked = RunOptions(cgroup_parent=f"pybuild-test-{os.getpid()}")
    outcomes = [root_host.run(script, options=options) for options in (RunOptions(), asked)]
    for hierarchy in read_hierarchies():
        if (path := Path(hierarchy.point, asked.cgroup_parent)).is_dir():
            assert [each for each in path.iterdir() if each.is_dir()] == []
            path.rmdir()
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("kind", ["ranges", "single"])
def test_who_may_not_write_to_groups_is_told_so(hosts: dict[str, Host], kind: str) -> None:
    if any(each.version == 2 and "memory" in each.controllers for each in read_hierarchies()):
        pytest.skip("groups of version 2 may be delegated")

    def work(*_: object) -> tuple[str, str]:
        with pytest.raises(SandboxError) as caught:
            check_limits(RunOptions(memory_bytes=64 * MIB))
        return caught.value.message, caught.value.hint

    message, hint = hosts[kind].do(work)
    assert message.startswith("--memory cannot be applied: no write access to the control group /")
    assert "Run it as root" in hint
