"""Which control groups there are, and what is left of those of others."""

from __future__ import annotations

import os
from pathlib import Path

from builder.sandbox.process.hierarchies import new_group, read_hierarchies
from tests.sandbox.fake_groups import FakeKernel


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
