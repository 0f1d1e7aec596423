"""Who builds: one class for each builder, all measured the same way, from starting the program to its end.

"Cold" means that no step may come from a cache. Docker and buildah get `--no-cache`, and Docker a context folder of a
new name each time, since BuildKit keeps a copy of every context and sends only what changed. pybuild gets a new store
that holds the base image alone, which is colder than what the others get: their stores are not emptied.
Peers that are not on the PATH, or do not answer, are left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.builds.base_image import BaseImage
from tests.builds.builders import give_base_to_peer, must, pybuild_command
from tests.support.peers import why_peer_is_absent
from tests.support.remove import remove_tree

TAG = "pybuild-benchmark:latest"
BASE_TAG = "benchmark-base:latest"


@dataclass(frozen=True, slots=True)
class Measure:
    """One run: seconds by the wall clock, and the largest process in MiB (of the client alone for docker)."""

    seconds: float
    peak_mib: float
    requests: int | None = None
    """What a registry was asked, where that is counted."""


class Contestant(Protocol):
    """A builder in the race."""

    name: str

    def get_ready(self, *, cached: bool) -> None:
        """Do what is not measured, before a build."""

    def build(self, context: Path, *, cached: bool) -> Measure:
        """Build a context and measure it; raises RuntimeError with the log when it fails."""


@dataclass(slots=True)
class Pybuild:
    """pybuild, with a store of its own below a temporary folder."""

    folder: Path
    base: BaseImage
    name: str = "pybuild"
    _store: Path | None = field(default=None, repr=False)

    def get_ready(self, *, cached: bool) -> None:
        if cached and self._store is not None:
            return
        if self._store is not None:
            remove_tree(self._store)
        self._store = Path(tempfile.mkdtemp(prefix="store-", dir=self.folder))
        empty = self.folder / "empty"
        empty.mkdir(exist_ok=True)
        (empty / "Dockerfile").write_text("FROM given\n")
        source = f"given=oci-layout://{self.base.layout}@{self.base.manifest_digest}"
        measured([*self._command(), "-t", BASE_TAG, "--build-context", source, str(empty)])

    def build(self, context: Path, *, cached: bool) -> Measure:
        options = ["-t", TAG, "--build-arg", f"BASE={BASE_TAG}"]
        return measured([*self._command(), *options, str(context)])

    def _command(self) -> list[str]:
        return [*pybuild_command(), "--root", str(self._store), "--progress", "plain"]


@dataclass(slots=True)
class Docker:
    """`docker build`: BuildKit inside dockerd."""

    base: BaseImage
    name: str = "docker"

    def get_ready(self, *, cached: bool) -> None:
        """Its store stays as it is."""

    def build(self, context: Path, *, cached: bool) -> Measure:
        options = ["--network", "host", "--progress", "plain", "--provenance=false", "-t", TAG]
        options += ["--build-arg", f"BASE={self.base.name}", *([] if cached else ["--no-cache"])]
        return measured(["docker", "build", *options, str(context)])


@dataclass(slots=True)
class Buildah:
    """`buildah bud` with a layer for each step, stages in parallel as pybuild and BuildKit have them by themselves."""

    base: BaseImage
    name: str = "buildah"

    def get_ready(self, *, cached: bool) -> None:
        """Its store stays as it is."""

    def build(self, context: Path, *, cached: bool) -> Measure:
        options = ["--layers", "--isolation", "chroot", "--jobs", "6", "-t", f"localhost/{TAG}"]
        options += ["--build-arg", f"BASE=localhost/{self.base.name}", *([] if cached else ["--no-cache"])]
        return measured(["buildah", "bud", *options, str(context)])


def contestants(folder: Path, base: BaseImage, names: list[str]) -> list[Contestant]:
    """Return those who can take part, and say of the others why not."""
    found: list[Contestant] = []
    for name in names:
        if name not in ("pybuild", "docker", "buildah"):
            continue  # no builder
        reason = "" if name == "pybuild" else why_peer_is_absent(name)
        if reason:
            print(f"without {name}: {reason}", file=sys.stderr)
            continue
        if name != "pybuild":
            give_base_to_peer(name, base)
        match name:
            case "pybuild":
                found.append(Pybuild(folder, base))
            case "docker":
                found.append(Docker(base))
            case "buildah":
                found.append(Buildah(base))
    return found


def clean_up(names: list[str]) -> None:
    """Remove the images that the race left behind in the peers' stores."""
    for command in (["docker", "rmi", "-f", TAG], ["buildah", "rmi", "-f", f"localhost/{TAG}"]):
        if command[0] in names and shutil.which(command[0]):
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def measured(command: list[str]) -> Measure:
    """Run a program; wait4 tells the size of the largest process among it and its children."""
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed:\n{log.read().decode(errors='replace')[-2000:]}")
    return Measure(seconds, usage.ru_maxrss / 1024)


def versions(names: list[str]) -> dict[str, str]:
    """Return what each peer says of its version, for the record."""
    questions = {
        "docker": ["docker", "version", "--format", "{{.Server.Version}}"],
        "buildah": ["buildah", "--version"],
        "skopeo": ["skopeo", "--version"],
    }
    return {name: must(questions[name]).stdout.strip() for name in names if name in questions}
