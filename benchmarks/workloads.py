"""What is built: five contexts, each made to weigh on one part of a builder.

Every Dockerfile begins with `FROM ${BASE}`, a busybox image that each builder already has in its own store before the
clock starts, so that nothing is pulled. Contents are pseudo-random with a fixed seed: no builder gains by compressing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

KIB = 1024
SEED = 20_240_229


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One kind of build."""

    name: str
    title: str
    prepare: Callable[[Path], None]
    """Fills an empty folder with the context, Dockerfile included."""
    cached: bool = False
    """Whether the build that is measured follows one of the same, and finds everything in the cache."""
    target_ratio: float
    """What pybuild aims at, as a ratio to BuildKit."""


def prepare_cached(context: Path) -> None:
    """Ten steps over 2,000 files."""
    lines = ["ARG BASE", "FROM ${BASE}", "WORKDIR /app"]
    for part in range(4):
        write_files(context / f"part{part}", count=500, size=2 * KIB, per_folder=50)
        lines += [f"COPY part{part} part{part}", f"RUN ls part{part} | wc -l > count{part}"]
    lines.append("COPY part0 again")
    write_dockerfile(context, lines)


def prepare_runs(context: Path) -> None:
    """Thirty RUN steps."""
    write_dockerfile(context, ["ARG BASE", "FROM ${BASE}", *(f"RUN echo {number}" for number in range(30))])


def prepare_small_files(context: Path) -> None:
    """50,000 files of half a kibibyte."""
    write_files(context / "src", count=50_000, size=512, per_folder=250)
    write_dockerfile(context, ["ARG BASE", "FROM ${BASE}", "COPY src /src"])


def prepare_large_files(context: Path) -> None:
    """600 MB in 3,000 files."""
    write_files(context / "src", count=3_000, size=200_000, per_folder=100)
    write_dockerfile(context, ["ARG BASE", "FROM ${BASE}", "COPY src /src"])


def prepare_stages(context: Path) -> None:
    """Six stages that wait for a second each, and one that needs them all."""
    lines = ["ARG BASE"]
    for number in range(6):
        lines += [f"FROM ${{BASE}} AS stage{number}", f"RUN sleep 1 && echo {number} > /result{number}"]
    lines.append("FROM ${BASE}")
    lines += [f"COPY --from=stage{number} /result{number} /" for number in range(6)]
    write_dockerfile(context, lines)


def write_files(folder: Path, *, count: int, size: int, per_folder: int) -> None:
    """Write `count` files of `size` bytes, all different."""
    source = random.Random(SEED)
    for number in range(count):
        place = folder / f"d{number // per_folder:04}"
        if number % per_folder == 0:
            place.mkdir(parents=True)
        (place / f"f{number:06}").write_bytes(source.randbytes(size))


def write_dockerfile(context: Path, lines: list[str]) -> None:
    (context / "Dockerfile").write_text("\n".join(lines) + "\n")


WORKLOADS = (
    Workload(
        name="cached",
        title="fully cached build of 10 steps over 2,000 files",
        prepare=prepare_cached,
        cached=True,
        target_ratio=0.4,
    ),
    Workload(name="runs", title="30 RUN steps of echo, cold", prepare=prepare_runs, target_ratio=0.5),
    Workload(
        name="small-files", title="COPY of 50,000 small files, cold", prepare=prepare_small_files, target_ratio=0.25
    ),
    Workload(
        name="large-files", title="COPY of 600 MB in 3,000 files, cold", prepare=prepare_large_files, target_ratio=0.8
    ),
    Workload(
        name="stages", title="six independent stages that sleep 1 s each", prepare=prepare_stages, target_ratio=0.9
    ),
)
