"""Odd places and odd surroundings: full disks, read-only stores, closed descriptors, other locales, no HOME."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builder.cli.display import diagnostics  # noqa: F401  (somebody else cannot read them later)
from builder.cli.main import main
from builder.cli.verbs import images  # noqa: F401  (somebody else cannot read them later)
from builder.image import listing  # noqa: F401
from tests.cli.program import Program

DOCKERFILE = "FROM scratch\nCOPY Dockerfile /\n"
FULL = "no space left on device"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@contextmanager
def mounted(target: Path, *words: str) -> Iterator[None]:
    target.mkdir(exist_ok=True)
    subprocess.run(["mount", *words, str(target)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(target)], check=True)


@needs_root
def test_a_full_disk_ends_the_build_and_spares_the_store(pybuild: Program, tmp_path: Path) -> None:
    (pybuild.folder / "big").write_bytes(os.urandom(4_000_000))
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=3m", "none"):
        store = {"PYBUILD_ROOT": str(tmp_path / "small" / "store")}
        outcome = pybuild.build("FROM scratch\nCOPY big /\n", env=store)
        outcome.failed(1, "Dockerfile:2:1: error:", FULL, "hint: Free some space")
        pybuild("info", "--verify", env=store).succeeded()
        pybuild.build(DOCKERFILE, env=store).succeeded()


@needs_root
def test_a_full_disk_in_a_run_is_the_runs_failure(runs: Program, tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=20m", "none"):
        store = {"PYBUILD_ROOT": str(tmp_path / "small" / "store")}
        outcome = runs.build("FROM base\nRUN dd if=/dev/zero of=/big bs=1M count=90\n", env=store)
        outcome.failed(1, "Dockerfile:2:1: error:", "No space left on device", "exit code: 1")
        runs("info", "--verify", env=store).succeeded()
        runs.build("FROM base\nRUN echo fine\n", env=store).succeeded()


@needs_root
def test_a_full_disk_for_an_output_leaves_no_part_of_it(pybuild: Program, tmp_path: Path) -> None:
    (pybuild.folder / "big").write_bytes(os.urandom(4_000_000))
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=1m", "none"):
        for output in ("oci", "docker", "tar"):
            outcome = pybuild.build("FROM scratch\nCOPY big /\n", "-o", f"type={output},dest={tmp_path}/small/out")
            outcome.failed(1, "small/out", FULL)
            assert os.listdir(tmp_path / "small") == []


@needs_root
def test_a_read_only_store_serves_what_it_has_and_refuses_the_rest(runs: Program, tmp_path: Path) -> None:
    dockerfile = "FROM base\nRUN echo there\n"
    runs.build(dockerfile, "-t", "there:1").succeeded()
    with mounted(tmp_path / "view", "--bind", "-o", "ro", str(runs.store)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(tmp_path / "view")], check=True)
        store = {"PYBUILD_ROOT": str(tmp_path / "view")}
        assert "there" in runs("images", env=store).succeeded().out
        assert "CACHED" in runs.build(dockerfile, env=store).succeeded().err
        runs.build(dockerfile, "-t", "new:1", env=store).failed(1, "read-only file system", "--root")
        runs.build("FROM base\nRUN echo else\n", env=store).failed(1, "cannot be written to", "--root")
        runs("prune", env=store).failed(1, "read-only file system")
        runs("run", "there:1", "true", env=store).failed(125, "making a container: read-only file system", "--root")
        runs("info", "--verify", env=store).succeeded()


@pytest.mark.parametrize(
    ("place", "reason"),
    [("/etc/passwd", "is not a directory"), ("/proc/nothing", "no such file"), ("/dev/null", "is not a directory")],
)
def test_a_store_in_an_impossible_place_is_refused(pybuild: Program, place: str, reason: str) -> None:
    pybuild.build(DOCKERFILE, env={"PYBUILD_ROOT": place}).failed(1, place, reason)


def test_a_folder_that_is_no_store_is_not_made_one(pybuild: Program) -> None:
    (pybuild.folder / "precious").touch()
    outcome = pybuild.build(DOCKERFILE, "--root", str(pybuild.folder))
    outcome.failed(1, "is not a store and not empty", "Name an empty directory")


def test_a_relative_store_belongs_to_the_current_folder(pybuild: Program) -> None:
    (pybuild.folder / ".dockerignore").write_text("store\n")
    pybuild.build(DOCKERFILE, env={"PYBUILD_ROOT": "store"}).succeeded()
    assert (pybuild.folder / "store" / "oci-layout").exists()


def test_without_home_the_store_is_where_the_user_lives(pybuild: Program, tmp_path: Path) -> None:
    env = {"HOME": None, "PYBUILD_ROOT": None, "XDG_DATA_HOME": str(tmp_path / "data")}
    pybuild.build(DOCKERFILE, env=env).succeeded()
    assert (tmp_path / "data" / "pybuild" / "oci-layout").exists()


@needs_root
def test_the_store_of_somebody_else_is_refused(
    pybuild: Program, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pybuild.build(DOCKERFILE).succeeded()
    child = os.fork()
    if child == 0:  # not a program of its own: nobody may be unable to read this Python's library
        os.setgid(65534)
        os.setuid(65534)
        os._exit(main(["images", "--root", str(pybuild.store)]))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    said = capfd.readouterr().err
    assert f"error: opening the store {pybuild.store}: permission denied" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors_do_no_harm(runs: Program, closed: str) -> None:
    outcome = runs.build("FROM base\nRUN echo $((6 * 7)) > /answer\n", "-t", "closed:1", redirect=closed)
    outcome.succeeded()
    assert runs("run", "closed:1", "cat", "/answer").out == "42\n"


def test_a_reader_that_goes_away_is_no_drama(pybuild: Program) -> None:
    pybuild.build(DOCKERFILE, "-t", "here:1").succeeded()
    for words in (["images"], ["inspect", "here:1"], ["history", "here:1"]):
        outcome = pybuild(*words, redirect="| head -c 0; sleep 0.2")
        assert "Traceback" not in outcome.err
        assert "BrokenPipe" not in outcome.err


def test_output_to_a_full_device_is_a_failure(pybuild: Program) -> None:
    pybuild.build(DOCKERFILE, "-t", "here:1").succeeded()
    pybuild("images", redirect="> /dev/full").failed(1, "No space left on device")


@pytest.mark.parametrize("locale", ["C", "POSIX", "de_DE.ISO-8859-1"])
def test_names_are_utf_8_in_every_locale(runs: Program, locale: str) -> None:
    env = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    (runs.folder / "grün").write_text("ja")
    runs.build("FROM base\nCOPY grün /\nRUN test -f /gr?n || test -f /gr??n\n", "-t", "locale:1", env=env).succeeded()
    assert runs("run", "locale:1", "cat", "/grün", env=env).out == "ja"
    runs.build("FROM base\nCOPY blau /\n", env=env).failed(1, "blau")
    runs.build("FROM base\nCOPY grüm /\n", env=env).failed(1, '"/grüm": not found', '"grün"')
