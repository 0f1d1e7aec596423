"""Limits of memory and processors, by the program: applied, reached, or refused before anything runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from builder.cli.arguments import build_parser
from builder.cli.limits import with_limits
from builder.errors import UsageError
from builder.oci.run_options import NO_OPTIONS, RunOptions
from builder.sandbox.process.hierarchies import read_hierarchies
from tests.cli.program import Program

MIB = 1 << 20
TAKES_100_MB = "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo ${#x}"


def options(*words: str) -> RunOptions:
    return with_limits(NO_OPTIONS, build_parser().parse_args([*words, "."]))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-m", "64m"], {"memory_bytes": 64 * MIB}),
        (["-m1g"], {"memory_bytes": 1024 * MIB}),
        (["--memory=6291456"], {"memory_bytes": 6 * MIB}),
        (["--memory=6291456b", "--memory-swap=12m"], {"memory_bytes": 6 * MIB, "memory_swap_bytes": 12 * MIB}),
        (["--memory=64m", "--memory-swap=64m"], {"memory_bytes": 64 * MIB, "memory_swap_bytes": 64 * MIB}),
        (["--memory=64m", "--memory-swap=-1"], {"memory_bytes": 64 * MIB, "memory_swap_bytes": -1}),
        (["--cpu-period=1000", "--cpu-quota=1000"], {"cpu_period": 1000, "cpu_quota": 1000}),
        (["--cpu-period=1000000"], {"cpu_period": 1_000_000}),
        (["-c", "5"], {"cpu_shares": 5}),
        (["-c512"], {"cpu_shares": 512}),
        (["--cpuset-cpus=0-2,4", "--cpuset-mems=0"], {"cpuset_cpus": "0-2,4", "cpuset_mems": "0"}),
        (["--cgroup-parent=/builds/ci"], {"cgroup_parent": "/builds/ci"}),
    ],
)
def test_what_the_flags_ask_for(words: list[str], expected: dict[str, Any]) -> None:
    found = options(*words)
    assert found == NO_OPTIONS._replace(**expected)
    assert found.limits_groups


def test_what_asks_for_nothing_makes_no_groups() -> None:
    words = ["-m", "0", "--memory-swap=-1", "-c", "0", "--cpu-period=0", "--cpu-quota=-1", "--cpuset-cpus="]
    assert options(*words, "--cpuset-mems=", "--cgroup-parent=") == NO_OPTIONS
    assert not NO_OPTIONS.limits_groups
    assert not RunOptions(add_hosts=(("a", "::1"),), shm_size=1, ulimits=(("cpu", 1, 1),)).limits_groups


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-m", "x"], "--memory 'x' is not a size"),
        (["--memory=-1"], "--memory '-1' is not a size"),
        (["--memory=5m"], "--memory '5m' is less than 6m"),
        (["--memory-swap=1g"], "--memory-swap '1g' needs --memory"),
        (["--memory-swap=-2", "-m1g"], "--memory-swap '-2' is not a size"),
        (["--memory=64m", "--memory-swap=32m"], "--memory-swap '32m' is less than --memory"),
        (["--cpu-period=999"], "--cpu-period 999 is not within 1000 and 1000000 microseconds"),
        (["--cpu-period=1000001"], "--cpu-period 1000001 is not within"),
        (["--cpu-period=-1"], "--cpu-period '-1' is not a whole number"),
        (["--cpu-quota=999"], "--cpu-quota 999 is less than 1000 microseconds"),
        (["--cpu-quota=1.5"], "--cpu-quota '1.5' is not a whole number"),
        (["--cpu-shares=²"], "--cpu-shares '²' is not a whole number"),
        ([f"--cpu-shares={'9' * 400}"], "…' is not a whole number"),
        (["--cpuset-cpus=2-0"], "--cpuset-cpus '2-0' is not a list of numbers"),
        (["--cpuset-cpus=0,"], "--cpuset-cpus '0,' is not a list"),
        (["--cpuset-mems=a"], "--cpuset-mems 'a' is not a list"),
        (["--cgroup-parent=../x"], "--cgroup-parent '../x' is not the path of a control group"),
        (["--cgroup-parent=a\nb"], "is not the path of a control group"),
    ],
)
def test_a_wrong_value_is_a_usage_error(words: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        options(*words)
    assert said in caught.value.message


@pytest.mark.rule("Q-4")
def test_a_limit_is_no_part_of_the_key() -> None:
    asked = options("-m", "64m", "-c5", "--cpu-quota=5000", "--cpuset-cpus=0", "--cgroup-parent=x")
    assert asked.key_document() == {}


@pytest.fixture
def limits(runs: Program) -> Program:
    """The program, as root where groups with memory and processors can be had."""
    usable = [hierarchy.controllers for hierarchy in read_hierarchies() if os.access(hierarchy.own, os.W_OK)]
    there = {name for names in usable for name in names}
    if os.geteuid() != 0 or not {"memory", "cpu", "cpuset"} <= there:
        pytest.skip("needs root, and control groups that can be written to")
    return runs


@pytest.mark.parametrize("isolation", ["native", "chroot", "oci"])
def test_a_run_that_takes_more_than_it_may_fails_and_says_so(limits: Program, isolation: str) -> None:
    text = f"FROM base\nRUN {TAKES_100_MB}\n"
    words = ("-m", "32m", "--memory-swap=32m", "--isolation", isolation)
    outcome = limits.build(text, *words)
    outcome.failed(1, "exit code: 137: the memory limit of 32 MiB was reached", "Give more with --memory")
    limits.build(text, "--memory=1g", "--isolation", isolation).succeeded()


def test_a_child_that_is_killed_is_told_of_whatever_the_command_makes_of_it(limits: Program) -> None:
    text = f'FROM base\nRUN sh -c "{TAKES_100_MB.replace("$", chr(92) + "$")}" || exit 7\n'
    limits.build(text, "-m32m", "--memory-swap=32m").failed(1, "exit code: 7: the memory limit of 32 MiB was reached")
    limits.build("FROM base\nRUN exit 7\n", "-m32m").failed(1, "exit code: 7\n")


def test_what_a_build_with_other_limits_made_is_taken_from_the_cache(limits: Program) -> None:
    text = "FROM base\nRUN grep Cpus_allowed_list /proc/self/status | tee /cpus\n"
    assert "Cpus_allowed_list:\t0\n" in limits.build(text, "--cpuset-cpus=0").succeeded().err
    assert "steps: 1 cached, 0 executed" in limits.build(text, "--cpuset-cpus=1", "-m64m").succeeded().err
    assert "steps: 1 cached, 0 executed" in limits.build(text).succeeded().err


def test_processors_that_are_not_there_are_refused_before_any_step_runs(limits: Program) -> None:
    text = "FROM base\nRUN echo has run\nRUN echo has run, too\n"
    outcome = limits.build(text, "--cpuset-cpus=0,8000")
    outcome.failed(1, "--cpuset-cpus cannot be applied: 0,8000 is asked for, and 0", "leave the flag out")
    assert "has run" not in outcome.out + outcome.err.replace("RUN echo has run", "")


def test_a_container_is_limited_too(limits: Program) -> None:
    limits.build("FROM base\n", "-t", "i").succeeded()
    assert limits("run", "-m", "32m", "--memory-swap=32m", "i", "sh", "-c", TAKES_100_MB).code == 137
    status = ("i", "grep", "Cpus_allowed_list", "/proc/self/status")
    assert limits("run", "--cpuset-cpus", "0", *status).succeeded().out == "Cpus_allowed_list:\t0\n"
    limits("run", "--cpuset-cpus", "8000", *status).failed(125, "--cpuset-cpus cannot be applied")
    limits("run", "--cpu-period=5", "i", "true").failed(125, "--cpu-period 5 is not within")


def test_nothing_of_the_groups_is_left(limits: Program) -> None:
    parent = f"pybuild-test-{os.getpid()}"
    text = "FROM base\nRUN true\nRUN sleep 60 & exit 3\n"
    try:
        limits.build(text, "-m64m", "-c9", "--cgroup-parent", parent).failed(1, "exit code: 3")
        made = [Path(each.point, parent) for each in read_hierarchies() if Path(each.point, parent).is_dir()]
        assert made
        assert [path for each in made for path in each.iterdir() if path.is_dir()] == []
    finally:
        for hierarchy in read_hierarchies():
            if (path := Path(hierarchy.point, parent)).is_dir():
                path.rmdir()
