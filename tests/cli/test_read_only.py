"""A store that cannot be written answers what it knows; what must be written says that it can't."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.program import Outcome, Program
from tests.cli.test_places import needs_root
from tests.support.ordinary import as_user

pytestmark = needs_root
NOBODY, SOMEBODY = 65534, 65533
"""Two users alike: without a passwd entry of use, and without subordinate ids."""
Run = Callable[..., Outcome]


def runner(program: Program, user: int) -> Run:
    """Return how `user` runs the program."""

    def run(*words: str) -> Outcome:
        done = subprocess.run(
            [*as_user(user), *program.command(*words)], cwd=program.folder, capture_output=True, check=False, text=True,
            env=program.environment(),
        )  # fmt: skip
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(params=["read-only for root", "read-only for a user", "another user's"])
def read_only(request: pytest.FixtureRequest, pybuild: Program) -> Iterator[tuple[Program, Run]]:
    """A store with one build in it, and how to run the program where it cannot be written."""
    user = 0 if request.param.endswith("root") else NOBODY
    bound = request.param.startswith("read-only")
    owner = user if bound else SOMEBODY
    with tempfile.TemporaryDirectory() as place:
        program = replace(pybuild, folder=Path(place) / "context", store=Path(place) / "store")
        program.folder.mkdir()
        (program.folder / "file").write_text("content")
        (program.folder / "Dockerfile").write_text("FROM scratch\nCOPY file /\nWORKDIR /w\n")
        subprocess.run(["chown", "-R", f"{owner}:{owner}", place], check=True)
        time.sleep(0.2)  # younger files get no receipt
        for words in ((), ("--build-context", f"x={place}")) * 2:
            runner(program, owner)("-t", "it", *words, ".").succeeded()
        subprocess.run(["chmod", "-R", "a+rX", place], check=True)
        if bound:
            subprocess.run(["mount", "--bind", str(program.store), str(program.store)], check=True)
            subprocess.run(["mount", "-o", "remount,ro,bind", str(program.store)], check=True)
        try:
            yield program, runner(program, user)
        finally:
            if bound:
                subprocess.run(["umount", str(program.store)], check=True)


def contents(root: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in root.rglob("*")}


def test_a_fully_cached_build_is_answered(read_only: tuple[Program, Run], tmp_path: Path) -> None:
    program, run = read_only
    before = contents(program.store)
    for words in ((), ("--build-context", f"x={program.folder.parent}")):
        outcome = run("-t", "it", *words, ".").succeeded()
        assert "0 executed" in outcome.err, outcome.err
        assert "note" not in outcome.err
        run(*words, ".").succeeded()
    with tempfile.TemporaryDirectory() as out:
        os.chmod(out, 0o777)
        run("-t", "it", "-o", f"type=oci,compression=uncompressed,dest={out}/a.tar", ".").succeeded()
    assert contents(program.store) == before


def test_looking_works(read_only: tuple[Program, Run]) -> None:
    _, run = read_only
    assert "it" in run("images").succeeded().out
    for words in (("inspect", "it"), ("history", "it"), ("info", "--verify"), ("plan", ".")):
        run(*words).succeeded()


@pytest.mark.parametrize(
    "words",
    [("-t", "other", "."), ("-t", "it", "--build-arg", "x=y", "--label", "a=b", "."), ("rmi", "it"), ("prune",)],
)
def test_what_must_be_written_says_that_it_cannot_be(read_only: tuple[Program, Run], words: tuple[str, ...]) -> None:
    outcome = read_only[1](*words)
    outcome.failed(1, "hint: Use a store you can write to")
    assert "read-only" in outcome.err or "permission denied" in outcome.err
    assert outcome.err.count("error:") == 1


def test_a_step_that_is_not_cached_says_that_it_cannot_be_kept(read_only: tuple[Program, Run]) -> None:
    program, run = read_only
    (program.folder / "file").write_text("changed")
    (program.folder / "file").chmod(0o644)
    outcome = run("-t", "it", ".")
    outcome.failed(1, "hint: Use a store you can write to")


def test_a_store_whose_owner_builds_meanwhile_is_read(pybuild: Program) -> None:
    """With -wal and -shm beside its databases, as they are while somebody has them open."""
    (pybuild.folder / "Dockerfile").write_text("FROM scratch\nWORKDIR /w\n")
    pybuild("-t", "it", ".").succeeded()
    from builder.store.store import open_store

    with open_store(str(pybuild.store)) as store:
        store.documents.put("sha256:" + "0" * 64, b"{}")  # type: ignore[arg-type]
        assert (pybuild.store / "state.db-wal").stat().st_size
        subprocess.run(["mount", "--bind", str(pybuild.store), str(pybuild.store)], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,ro,bind", str(pybuild.store)], check=True)
            assert "0 executed" in pybuild("-t", "it", ".").succeeded().err
        finally:
            subprocess.run(["umount", str(pybuild.store)], check=True)
