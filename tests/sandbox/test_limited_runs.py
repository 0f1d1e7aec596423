"""Limits of memory and processors with this machine's kernel."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builder.errors import SandboxError
from builder.oci.run_options import RunOptions
from builder.sandbox.limits import check_limits
from builder.sandbox.process.hierarchies import read_hierarchies
from tests.sandbox.fake_groups import MIB
from tests.sandbox.host import Host


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
