"""The network of RUN as a user meets it: notes, entitlements, `info`, `run`, and what is started when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.program import Outcome, Program
from tests.crash.watch import gone_within, processes_with
from tests.support.small_world import PORT

ASK = f"wget -qO- http://127.0.0.1:{PORT}/ || echo not reached"
NOTE = "note: RUN shares this machine's network, without CAP_NET_RAW: neither pasta nor slirp4netns is installed"
WORLD = (sys.executable, "-m", "tests.support.small_world")

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network of its own"),
    pytest.mark.peers,  # pasta and slirp4netns
]


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH without either program."""
    folder = tmp_path / "tools"
    folder.mkdir()
    return folder


def in_world(program: Program, *words: str, path: str = "", dockerfile: str = "") -> Outcome:
    """Run `pybuild WORDS` where servers of the machine can be told from those outside."""
    if dockerfile:
        (program.folder / "Dockerfile").write_text(dockerfile, encoding="utf-8")
        words = ("--progress=plain", *program.base_words(), *words, ".")
    environment = program.environment({"PATH": path or os.environ["PATH"]})
    command = [*WORLD, *program.command(*words)]
    done = subprocess.run(
        command,
        capture_output=True,
        env=environment,
        cwd=program.folder,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_run_reaches_no_server_of_this_machine_and_says_nothing_of_it(runs: Program) -> None:
    outcome = in_world(runs, dockerfile=f"FROM base\nRUN {ASK}\n").succeeded()
    assert "not reached\n" in outcome.err
    assert "CAP_NET_RAW" not in outcome.err


def test_where_it_must_be_shared_a_note_says_so_once(runs: Program, tools: Path) -> None:
    dockerfile = f"FROM base\nRUN {ASK}\nRUN echo again\n"
    outcome = in_world(runs, path=str(tools), dockerfile=dockerfile).succeeded()
    assert outcome.err.count(NOTE) == 1
    assert " machine\n" in outcome.err
    assert NOTE not in in_world(runs, path=str(tools), dockerfile=dockerfile).succeeded().err, "all was cached"
    assert NOTE not in in_world(runs, path=str(tools), dockerfile="FROM base\nRUN --network=none true\n").err


def test_the_way_it_comes_is_in_no_cache_key(runs: Program, tools: Path) -> None:
    dockerfile = "FROM base\nRUN echo one > /one\n"
    in_world(runs, path=str(tools), dockerfile=dockerfile).succeeded()
    assert "1 cached, 0 executed" in in_world(runs, dockerfile=dockerfile).succeeded().err


def test_the_entitlement_is_asked_for_where_it_means_something(runs: Program, tools: Path) -> None:
    dockerfile = f"FROM base\nRUN --network=host {ASK}; grep CapEff /proc/self/status\n"
    outcome = in_world(runs, dockerfile=dockerfile)
    outcome.failed(1, "granting entitlement network.host is not allowed", "Give --allow network.host")
    shared = in_world(runs, path=str(tools), dockerfile=dockerfile).succeeded()
    assert not capabilities(shared) & 1 << 13
    for words in (("--allow", "network.host"), ("--network", "host")):
        allowed = in_world(runs, "--no-cache", *words, dockerfile=dockerfile).succeeded()
        assert " machine\n" in allowed.err
        assert capabilities(allowed) & 1 << 13


def capabilities(outcome: Outcome) -> int:
    line = next(line for line in outcome.err.splitlines() if "CapEff:" in line and "RUN" not in line)
    return int(line.split()[-1], 16)


def test_a_program_that_fails_ends_the_build_and_is_started_only_for_a_run_that_needs_it(
    runs: Program, tools: Path
) -> None:
    pasta, started = tools / "pasta", tools / "started"
    pasta.write_text(f"#!/bin/sh\necho > {started}\necho it is broken >&2\nexit 1\n", encoding="utf-8")
    pasta.chmod(0o755)
    for quiet in ("RUN --network=none true", "COPY Dockerfile /"):
        in_world(runs, path=str(tools), dockerfile=f"FROM base\n{quiet}\n").succeeded()
    assert not started.exists()
    outcome = in_world(runs, path=str(tools), dockerfile="FROM base\nRUN true\n")
    outcome.failed(1, "no network for RUN", "it is broken", "--network host", "Dockerfile:2:1")
    assert started.exists()
    in_world(runs, "--network", "host", path=str(tools), dockerfile="FROM base\nRUN true\n").succeeded()


def test_info_says_which(pybuild: Program, tools: Path) -> None:
    assert "network      one of the build's own, through /" in in_world(pybuild, "info").succeeded().out
    shared = in_world(pybuild, "info", path=str(tools)).succeeded().out
    assert "network      this machine's, without CAP_NET_RAW: neither pasta nor" in shared


def test_a_container_has_it_as_well(runs: Program) -> None:
    in_world(runs, "-t", "i", dockerfile="FROM base\n").succeeded()
    assert in_world(runs, "run", "i", "sh", "-c", ASK).out == "not reached\n"
    assert in_world(runs, "run", "--network", "host", "i", "sh", "-c", ASK).out == "machine\n"


@pytest.mark.parametrize("isolation", ["native", "oci", "chroot"])
def test_a_killed_build_leaves_nothing(runs: Program, isolation: str) -> None:
    (runs.folder / "Dockerfile").write_text("FROM base\nRUN echo here; sleep 1000\n", encoding="utf-8")
    words = ("--progress=plain", "--isolation", isolation, *runs.base_words(), ".")
    before = set(processes_with("/ns/net"))
    with subprocess.Popen(
        [*WORLD, *runs.command(*words)], stderr=subprocess.PIPE, env=runs.environment(), cwd=runs.folder
    ) as build:
        assert build.stderr is not None
        while b" here\n" not in (line := build.stderr.readline()):
            assert line, "the build ended"
        mine = set(processes_with("/ns/net")) - before
        assert mine
        build.send_signal(signal.SIGKILL)
        build.wait(10)
        deadline = time.monotonic() + 10
        while mine & set(processes_with("/ns/net")):
            assert time.monotonic() < deadline, "the network's program is still there"
            time.sleep(0.05)
    assert gone_within(10, str(runs.folder))


def test_builds_at_once_have_a_network_each(runs: Program) -> None:
    (runs.folder / "Dockerfile").write_text(
        "FROM base\nARG N\nRUN echo $N; nc -l -p 5432 -e true & sleep 1; netstat -ltn | grep -c :5432\n",
        encoding="utf-8",
    )
    builds = [
        subprocess.Popen(
            runs.command("--progress=plain", "--build-arg", f"N={number}", *runs.base_words(), "."),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=runs.environment(), cwd=runs.folder,
        )
        for number in range(3)
    ]  # fmt: skip
    for build in builds:
        _, err = build.communicate(timeout=120)
        assert build.returncode == 0, err.decode()
