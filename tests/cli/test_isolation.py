"""Which isolation a RUN gets, what is said of it, and whose results answer for whom."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass

import pytest

from builder.store.temporary import TemporaryFiles
from tests.cli.program import Program
from tests.support.settle import wait_until_settled

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root may change its root directory")

DOCKERFILE = "FROM base\nRUN echo made > /made\n"
NOTE = "RUN is NOT isolated from this machine"
NEEDS_RUNTIME = pytest.mark.skipif(not (shutil.which("crun") or shutil.which("runc")), reason="no OCI runtime")


@dataclass(frozen=True, slots=True)
class PlainContainer(Program):
    """The program as root of a plain container, on the same store."""

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "tests.support.plain_container", *Program.command(self, *words)]


@pytest.fixture
def plain(runs: Program) -> PlainContainer:
    return PlainContainer(runs.store, runs.folder, runs.base)


def cached(program: Program, *words: str) -> bool:
    """Build, and say whether the RUN was cached."""
    return "CACHED" in program.build(DOCKERFILE, *words).succeeded().err.split("RUN echo made")[1].split("#")[1]


def dry_run(program: Program, *words: str) -> str:
    (program.folder / "Dockerfile").write_text(DOCKERFILE)
    out = program("plan", "--json", *program.base_words(), *words, ".").succeeded().out
    return str(next(step["cache"] for step in json.loads(out)[0]["steps"] if "RUN" in step["title"]))


@pytest.mark.parametrize(
    "asked", [(), ("--isolation=native",), pytest.param(("--isolation=oci",), marks=NEEDS_RUNTIME)]
)
def test_what_a_chroot_made_answers_for_nobody_who_asks_for_more(runs: Program, asked: tuple[str, ...]) -> None:
    assert not cached(runs, "--isolation=chroot")
    assert cached(runs, "--isolation=chroot")
    assert dry_run(runs, *asked) == "miss"
    assert not cached(runs, *asked)
    assert dry_run(runs, *asked) == "hit"
    assert cached(runs, *asked)
    assert cached(runs, "--isolation=chroot")


@pytest.mark.parametrize(
    "asked", [(), ("--isolation=native",), pytest.param(("--isolation=oci",), marks=NEEDS_RUNTIME)]
)
def test_what_was_isolated_answers_for_a_chroot(runs: Program, asked: tuple[str, ...]) -> None:
    assert not cached(runs, *asked)
    assert dry_run(runs, "--isolation=chroot") == "hit"
    assert cached(runs, "--isolation=chroot")


def test_where_nothing_else_works_the_results_of_a_chroot_are_used(plain: PlainContainer) -> None:
    assert not cached(plain)
    assert dry_run(plain) == "hit"
    assert cached(plain)
    assert cached(plain, "--isolation=chroot")


def test_a_place_that_was_never_tried_is_tried_before_a_chroot_answers(runs: Program, plain: PlainContainer) -> None:
    assert not cached(plain, "--isolation=chroot")  # says nothing about what else works there
    outcome = plain.build(DOCKERFILE).succeeded()
    assert NOTE in outcome.err
    assert "CACHED" in outcome.err
    assert NOTE not in plain.build(DOCKERFILE).succeeded().err  # it is known by now
    assert not cached(runs)


def test_a_plan_says_of_such_a_place_what_a_build_will_do(plain: PlainContainer) -> None:
    assert not cached(plain, "--isolation=chroot")
    assert dry_run(plain) == "hit"
    assert cached(plain)


def test_a_receipt_of_a_chroot_answers_for_nobody_who_asks_for_more(runs: Program, plain: PlainContainer) -> None:
    runs.build(DOCKERFILE, "--isolation=chroot").succeeded()
    wait_until_settled(runs.folder)  # younger files get no receipt
    for _ in range(2):
        plain.build(None, "-t", "x").succeeded()
    assert "CACHED" not in runs.build(None).succeeded().err.split("RUN echo made")[1].split("\n")[1]


def test_the_miss_is_explained_by_the_isolation(runs: Program) -> None:
    runs.build(DOCKERFILE, "--isolation=chroot").succeeded()
    assert "isolation" in runs.build(DOCKERFILE).succeeded().err.split("RUN echo made")[1]


def test_the_note_says_why_native_was_not_possible(plain: PlainContainer) -> None:
    err = plain.build(DOCKERFILE).succeeded().err
    assert NOTE in err
    assert "native does not work here: root may not make a mount namespace here: Operation not permitted" in err


def test_the_note_gives_no_reason_where_a_chroot_was_asked_for(runs: Program, plain: PlainContainer) -> None:
    for program in (runs, plain):
        err = program.build(DOCKERFILE, "--isolation=chroot", "--no-cache").succeeded().err
        assert f"{NOTE} (--isolation chroot)" in err
        assert "works" not in err
        assert "does not work" not in err


def test_native_that_was_asked_for_and_fails_says_what_failed(plain: PlainContainer) -> None:
    outcome = plain.build(DOCKERFILE, "--isolation=native")
    outcome.failed(1, "isolation native does not work here: root may not make a mount namespace here", "pybuild info")
    assert "leave out" not in outcome.err


def test_oci_without_a_runtime_says_what_is_missing(runs: Program) -> None:
    outcome = runs.build(DOCKERFILE, "--isolation=oci", env={"PATH": str(runs.folder)})
    outcome.failed(1, "isolation oci does not work here: neither crun nor runc is installed", "Install one")


def test_a_fault_while_trying_is_an_error_and_no_reason_for_less_isolation(runs: Program) -> None:
    """Too few descriptors for a part of it: a channel, the pipes, the helper that maps ids, a mount."""
    runs.build(DOCKERFILE).succeeded()
    failures = []
    for limit in range(8, 32, 3):
        words = runs.command("--progress=plain", "--no-cache", *runs.base_words(), ".")
        script = ["sh", "-c", 'ulimit -n "$0"; exec "$@"', str(limit), *words]
        done = subprocess.run(
            script, env=runs.environment(), cwd=runs.folder, capture_output=True, text=True, check=False
        )
        assert NOTE not in done.stderr
        assert "Traceback" not in done.stderr
        failures += [done.stderr] if "isolation native" in done.stderr else []
    assert failures
    assert all("nothing was run with less isolation" in said for said in failures)


def test_a_trial_and_those_who_sweep_the_store_do_not_meet(runs: Program) -> None:
    runs.build(DOCKERFILE).succeeded()
    over = threading.Event()

    def sweep() -> None:
        while not over.is_set():
            TemporaryFiles(str(runs.store / "tmp")).sweep()

    sweepers = [threading.Thread(target=sweep) for _ in range(2)]
    for sweeper in sweepers:
        sweeper.start()
    try:
        for _ in range(6):
            outcome = runs.build(DOCKERFILE, "--no-cache", "--isolation=native").succeeded()
            assert NOTE not in outcome.err
            assert "native" in runs("info").succeeded().out
    finally:
        over.set()
        for sweeper in sweepers:
            sweeper.join()
