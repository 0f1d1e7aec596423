"""Not one byte left: looking, pruning and removing images still work, and free space."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from builder.store.store import open_store
from tests.cli.program import CHECKOUT, Outcome, Program
from tests.cli.test_places import mounted, needs_root
from tests.support.ordinary import as_user

pytestmark = needs_root
NOBODY = 65534
PART = 1_000_000


class Disk:
    """A store on a file system of its own, seen as some user."""

    def __init__(self, program: Program, root: Path, user: int) -> None:
        self.program = program
        self.root = root
        self.store = root / "store"
        self.user = user

    def __call__(self, *words: str) -> Outcome:
        done = subprocess.run(
            [*as_user(self.user), *self.program.command(*words)],
            cwd=self.program.folder, capture_output=True, check=False, text=True,
            env=self.program.environment({"PYBUILD_ROOT": str(self.store), "PYTHONPATH": str(CHECKOUT)}),
        )  # fmt: skip
        return Outcome(done.returncode, done.stdout, done.stderr)

    def build(self, name: str, content: bytes) -> None:
        (self.program.folder / "data").write_bytes(content)
        (self.program.folder / "data").chmod(0o644)
        self("-t", name, ".").succeeded()

    def fill(self) -> None:
        """Write until not one byte fits."""
        with (self.root / "filler").open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while file.write(bytes(size)):
                        pass
                except OSError:
                    continue
        assert self.free() == 0

    def free(self) -> int:
        found = os.statvfs(self.root)
        return found.f_bfree * found.f_bsize

    def refused(self) -> None:
        with pytest.raises(OSError, match="No space left"):
            (self.root / "another").write_bytes(b"x" * 5000)
        (self.root / "another").unlink(missing_ok=True)


@pytest.fixture(params=["root", "an ordinary user"])
def disk(request: pytest.FixtureRequest, pybuild: Program) -> Iterator[Disk]:
    user = 0 if request.param == "root" else NOBODY
    with tempfile.TemporaryDirectory() as place:  # everybody may enter it, as no folder of pytest's
        os.chmod(place, 0o755)
        (Path(place) / "context").mkdir()
        program = replace(pybuild, folder=Path(place) / "context")
        (program.folder / "Dockerfile").write_text("FROM scratch\nCOPY data /\n")
        with mounted(Path(place) / "disk", "-t", "tmpfs", "-o", f"size=12m,uid={user},gid={user}", "none"):
            disk = Disk(program, Path(place) / "disk", user)
            for number in range(3):
                disk.build(f"kept:{number}", bytes([number]) * PART)
            disk.build("kept:0", b"moved" * (PART // 5))  # what had the name is dangling now
            yield disk


@pytest.mark.parametrize("reserve", [True, False], ids=["with the reserve", "a store that has none"])
def test_prune_frees_space_on_a_disk_without_any(disk: Disk, reserve: bool) -> None:
    if not reserve:
        (disk.store / "reserve").unlink()
        (disk.store / "trash/old").write_bytes(bytes(20_000))
    disk.fill()
    disk.refused()
    assert "images" in disk("info").succeeded().out
    disk("images").succeeded()
    outcome = disk("prune", "--all").succeeded()
    assert "1 dangling image," in outcome.out
    assert disk.free() > PART * 0.9
    disk("info", "--verify").succeeded()
    assert disk("images", "-q").succeeded().out.count("\n") == 3


def test_rmi_frees_space_on_a_disk_without_any(disk: Disk) -> None:
    disk("prune", "--all").succeeded()
    disk.fill()
    disk("rmi", "kept:1").succeeded()
    assert disk.free() > PART * 0.9
    disk("info", "--verify").succeeded()
    disk.fill()
    disk("rmi", "kept:0", "kept:2").succeeded()
    assert disk.free() > 2 * PART * 0.9
    assert disk("images", "-q").succeeded().out == ""


def test_one_of_two_names_can_be_removed_on_a_disk_without_space(disk: Disk) -> None:
    disk("tag", "kept:1", "again:1").succeeded()
    disk.fill()
    disk("rmi", "again:1").succeeded()
    assert "again" not in disk("images").succeeded().out


def test_a_build_killed_on_the_full_disk_leaves_what_prune_can_take(disk: Disk) -> None:
    (disk.program.folder / "data").write_bytes(os.urandom(20 * PART))
    outcome = disk(".")
    outcome.failed(1, "no space left on device", "hint:")
    disk.fill()
    disk("prune", "--all").succeeded()
    disk("info", "--verify").succeeded()
    disk.build("small:1", b"x")


def test_prune_says_what_cannot_go(disk: Disk) -> None:
    disk("prune", "--all").succeeded()
    disk.fill()
    assert "removed 0 dangling images, 0 cache records, 0 blobs" in disk("prune").succeeded().out


def test_a_disk_that_fills_up_under_a_build_is_pruned_beside_it(disk: Disk) -> None:
    if disk.user:
        pytest.skip("the build is of this process, which is root's")
    with open_store(str(disk.store)) as store, store.lease():
        disk.fill()
        store.leases.pin(*("sha256:" + f"{number:064}" for number in range(100)))
        assert "removed 1 dangling image," in disk("prune", "--all").succeeded().out
        assert disk.free() > PART * 0.9
