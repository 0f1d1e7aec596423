"""Control groups: a run sees its own as the root of all, and nothing of where the builder stands among others."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

import pytest

from builder.errors import SandboxError
from builder.sandbox.process.cgroups import has_cgroup_namespaces, new_device_guard
from tests.sandbox.host import Host, Outcome, run_in

pytestmark = pytest.mark.skipif(not has_cgroup_namespaces(), reason="this kernel has no cgroup namespaces")

SCRIPT = "cat /proc/self/cgroup /proc/1/cgroup; echo; cat /proc/self/mountinfo; echo; ls /sys/fs/cgroup"


def parts(host: Host) -> list[str]:
    outcome = host.run(SCRIPT)
    assert outcome.error == ""
    return outcome.out.split("\n\n")


def test_every_process_is_in_the_root_of_its_groups(any_host: Host) -> None:
    if any_host.isolation == "chroot":
        assert any_host.run("ls /proc; cat /proc/self/cgroup").out == ""  # it has no /proc
        return
    groups = parts(any_host)[0].splitlines()
    assert groups
    assert {line.split(":", 2)[2] for line in groups} == {"/"}


def test_the_groups_are_there_and_can_only_be_read(host: Host) -> None:
    _, mounts, names = parts(host)
    assert names.split()
    rows = [line.split() for line in mounts.splitlines() if " /sys/fs/cgroup" in line]
    last = {row[4]: row for row in rows}
    assert last
    assert all(row[5].startswith("ro,") for path, row in last.items() if path == "/sys/fs/cgroup"), rows
    outcome = host.run("mkdir /sys/fs/cgroup/new; for d in /sys/fs/cgroup /sys/fs/cgroup/*/; do mkdir $d/x; done")
    assert outcome.err.count("Read-only file system") == len(outcome.err.splitlines()), outcome.err


def test_nobody_learns_in_which_group_the_builder_is(root_host: Host) -> None:
    """Neither its name, nor by looking for it."""
    tree = next(path for path in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup") if os.path.exists(f"{path}/cgroup.procs"))
    group = Path(tree, f"pybuild-secret-name-{os.getpid()}")
    script = f"{SCRIPT}; find /sys/fs/cgroup"

    def work(sandbox: Any, _: object) -> Outcome:
        outcome = run_in(sandbox, root_host, argv=("/bin/sh", "-c", script))
        assert isinstance(outcome, Outcome)
        return outcome

    group.mkdir()
    try:
        before = Path("/proc/self/cgroup").read_text()
        (group / "cgroup.procs").write_text(str(os.getpid()))
        try:
            assert group.name in Path("/proc/self/cgroup").read_text()
            outcome = root_host.do(work)
        finally:
            old = next(line.split(":", 2)[2] for line in before.splitlines() if line.startswith("0::"))
            Path(tree + old, "cgroup.procs").write_text(str(os.getpid()))
    finally:
        group.rmdir()
    assert outcome.error == ""
    assert "secret-name" not in outcome.out


def test_a_fault_is_no_word_on_whether_there_can_be_a_guard(root_host: Host) -> None:
    def work(*_: object) -> str:
        lowest = os.dup(0)  # no number below it is free
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, lowest))
        try:
            guard = new_device_guard()
        except SandboxError as error:
            return error.message
        return f"made {guard}"

    assert "making a control group for RUN: Too many open files" in root_host.do(work)
