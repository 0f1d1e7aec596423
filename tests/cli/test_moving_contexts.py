"""A context that changes while it is built: no record says that a step read what it did not read."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.program import Program

SETTLED_SECONDS = 0.1
"""After this a file on a file system of this kernel is old enough to be mounted in place."""


def while_it_sleeps(program: Program, words: tuple[str, ...], *acts: Callable[[], object]) -> str:
    """Build; once the command sleeps do `acts`, each after the command has read; what the build said."""
    process = subprocess.Popen(
        program.command("build", "--progress=plain", *program.base_words(), *words, "."),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=program.folder, env=program.environment({}), text=True,
    )  # fmt: skip
    assert process.stderr is not None
    said = []
    left = list(acts)
    for line in process.stderr:
        said.append(line)
        if left and " sleeping" in line and "RUN" not in line:
            left.pop(0)()
    assert process.wait() == 0, "".join(said)
    assert not left
    return "".join(said)


def wait_for(program: Program) -> str:
    """A command that sleeps until twice a file appears beside the context's own, and says what it reads."""
    return "echo sleeping; sleep 0.7; cat /src/a | tee -a /seen; echo sleeping; sleep 0.7"


@pytest.mark.parametrize(
    "mount",
    [
        "type=bind,target=/src", "type=bind,source=a,target=/src/a", "type=bind,target=/src,rw",
        "type=bind,from=named,target=/src",
    ],
)  # fmt: skip
def test_a_file_that_is_changed_and_put_back_makes_no_record_of_what_was_not_read(runs: Program, mount: str) -> None:
    folder = runs.folder if "named" not in mount else runs.folder.parent / "named"
    folder.mkdir(exist_ok=True)
    file = folder / "a"
    words = ("--build-context", "named=../named") if "named" in mount else ()
    file.write_text("A\n")
    (runs.folder / "Dockerfile").write_text(f"FROM base\nRUN --mount={mount} {wait_for(runs)}\n")
    time.sleep(SETTLED_SECONDS)
    said = while_it_sleeps(runs, words, lambda: file.write_text("B\n"), lambda: file.write_text("A\n"))
    assert "changed while a command could read it: the step runs again, on a copy" in said
    assert said.rindex(" A\n") > said.rindex(" B\n"), "the second run reads what is there"
    file.write_text("A\n")
    assert "CACHED" in runs.build(None, *words).succeeded().err.partition("RUN")[2]
    file.write_text("B\n")
    again = runs.build(None, *words).succeeded().err
    assert "CACHED" not in again.partition("RUN")[2]
    assert " B\n" in again


@pytest.mark.parametrize("change", ["a new name", "a mode", "a name that comes and goes", "replaced"])
def test_whatever_moves_below_a_mount_is_noticed(runs: Program, change: str) -> None:
    (runs.folder / "a").write_text("A\n")
    new = runs.folder / "new"
    acts: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "a new name": (new.touch, lambda: None),
        "a mode": (lambda: (runs.folder / "a").chmod(0o600), lambda: (runs.folder / "a").chmod(0o644)),
        "a name that comes and goes": (new.touch, new.unlink),
        "replaced": (lambda: _replaced(runs.folder / "a"), lambda: None),
    }
    (runs.folder / "Dockerfile").write_text(f"FROM base\nRUN --mount=type=bind,target=/src {wait_for(runs)}\n")
    time.sleep(SETTLED_SECONDS)
    assert "the step runs again, on a copy" in while_it_sleeps(runs, (), *acts[change])


def _replaced(path: Path) -> None:
    path.with_name("other").write_text("A\n")
    os.rename(path.with_name("other"), path)


def test_a_context_that_holds_still_runs_once(runs: Program) -> None:
    (runs.folder / "a").write_text("A\n")
    (runs.folder / "Dockerfile").write_text("FROM base\nRUN --mount=type=bind,target=/src cat /src/a\n")
    time.sleep(SETTLED_SECONDS)
    assert "runs again" not in runs.build(None).succeeded().err


def test_with_an_ignore_file_the_command_reads_the_copy_that_the_key_is_of(runs: Program) -> None:
    file = runs.folder / "a"
    file.write_text("A\n")
    (runs.folder / ".dockerignore").write_text("other\n")
    (runs.folder / "Dockerfile").write_text(f"FROM base\nRUN --mount=type=bind,target=/src {wait_for(runs)}\n")
    said = while_it_sleeps(runs, (), lambda: file.write_text("B\n"), lambda: None)
    assert " A\n" in said
    again = runs.build(None).succeeded().err
    assert "CACHED" not in again.partition("RUN")[2]
    assert " B\n" in again


def test_a_log_that_is_written_into_the_context_is_warned_of_and_copied(pybuild: Program) -> None:
    log = pybuild.folder / "big.log"
    log.write_bytes(b"line\n" * 4_000_000)
    (pybuild.folder / "Dockerfile").write_text("FROM scratch\nCOPY . /x/\n")
    writer = subprocess.Popen(["sh", "-c", f"while :; do echo line >> {log}; done"])
    try:
        for _ in range(20):  # until the writer had its turn while the file was read
            outcome = pybuild.build(None, "-o", "type=local,dest=../out").succeeded()
            if "GrowingFile" in outcome.err:
                break
    finally:
        writer.kill()
        writer.wait()
    assert "warning: GrowingFile: 'big.log' grew while it was read" in outcome.err
    copied = (pybuild.folder.parent / "out/x/big.log").read_bytes()
    assert len(copied) >= 20_000_000
    assert set(copied.splitlines()[:-1]) == {b"line"}
