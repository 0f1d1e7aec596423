"""Trees as deep as Linux lets a path be: what one step accepts, later ones can use, in each isolation and output."""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.store.trash import remove_tree
from tests.cli.program import Program

ISOLATIONS = ("native", "oci", "chroot")
LEVELS = 1100
"""More than Python takes of function calls, and most machines of open files."""
WIDE = "n" * 250
"""Sixteen of them leave no room for the path of a store in front of them."""
GO_DOWN = "while cd -P d 2>/dev/null; do :; done"


@pytest.fixture
def deep(runs: Program, tmp_path: Path) -> Iterator[Program]:
    make_deep(runs.folder, LEVELS)
    make_deep(runs.folder, 16, WIDE)
    yield runs
    for path in (runs.store, *tmp_path.iterdir()):  # what pytest removes trees with is not made for such ones
        remove_tree(str(path))


def make_deep(folder: Path, levels: int, name: str = "d") -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=descriptor)
        below = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    leaf = os.open("leaf", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=descriptor)
    os.write(leaf, b"leaf\n")
    os.close(leaf)
    os.close(descriptor)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_what_copy_takes_every_later_step_can_use(deep: Program, isolation: str) -> None:
    text = f"""\
FROM base AS copied
COPY . /t
RUN cd /t; {GO_DOWN}; cat leaf; echo changed >leaf; touch -d 2001-01-01 .
RUN cd /t; {GO_DOWN}; grep changed leaf && rm leaf && ln -s x link && cd /t/nnn*/nnn* && mkfifo fifo
FROM base
COPY --from=copied /t /u
RUN --mount=type=bind,from=copied,source=/t,target=/m cd /m; {GO_DOWN}; readlink link
RUN --mount=type=bind,target=/m cd /m; {GO_DOWN}; grep leaf leaf
RUN --mount=type=cache,from=copied,source=/t,target=/m cd /m; {GO_DOWN}; readlink link; echo more >more
RUN cd /u; {GO_DOWN}; readlink link; rm -rf /u
"""
    deep.build(text, "--isolation", isolation, "-t", "x").succeeded()
    assert "CACHED" in deep.build(text, "--isolation", isolation).succeeded().err
    deep("run", "--rm", "--isolation", isolation, "x", "sh", "-c", "! ls /u").succeeded()
    deep("rmi", "x").succeeded()
    deep("prune", "-a", "-f").succeeded()
    deep("info", "--verify").succeeded()


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_what_a_step_makes_every_later_one_can_use(deep: Program, isolation: str) -> None:
    make = f"for i in $(seq {LEVELS}); do mkdir d; cd -P d; done; echo made >leaf"
    text = f"""\
FROM base AS made
RUN mkdir /t; cd /t; {make}
RUN cd /t; {GO_DOWN}; grep made leaf; chmod 600 leaf
RUN rm -rf /t && mkdir /t && touch /t/new
FROM base
RUN mkdir /t; cd /t; {make}
COPY --from=made /t /t/d/d
"""
    deep.build(text, "--isolation", isolation).succeeded()


@pytest.mark.parametrize("output", ["local", "tar", "oci", "docker"])
def test_outputs_hold_them(deep: Program, tmp_path: Path, output: str) -> None:
    with tarfile.open(deep.folder / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("/".join("d" * LEVELS)))
    place = tmp_path / "out"
    deep.build("FROM base\nCOPY d /d\nADD a.tar /added/\nRUN true\n", "-o", f"type={output},dest={place}").succeeded()
    if output == "local":
        found = subprocess.run(["find", ".", "-name", "leaf"], cwd=place, capture_output=True, check=True, text=True)
        assert found.stdout.count("/d") == LEVELS


@pytest.mark.rule("Z-32")
@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("levels", [17, 400])
def test_what_no_path_can_name_is_the_error_of_the_step_that_made_it(
    runs: Program, isolation: str, levels: int
) -> None:
    make = f"for i in $(seq {levels}); do mkdir {WIDE}; cd -P {WIDE}; done"
    outcome = runs.build(f"FROM base\nRUN true\nRUN mkdir /t; cd /t; {make}\nRUN true\n", "--isolation", isolation)
    outcome.failed(1, "Dockerfile:3:", "made a path of", "at most 4095", "hint:")
    runs("prune", "-a", "-f").succeeded()
    assert not list((runs.store / "trash").iterdir())


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_what_is_made_too_deep_and_removed_again_is_no_error(runs: Program, isolation: str) -> None:
    loop = "for i in $(seq 20); do"
    make = f"{loop} mkdir {WIDE}; cd -P {WIDE}; done; {loop} cd -P ..; rmdir {WIDE}; done"
    runs.build(f"FROM base\nRUN mkdir /t; cd /t; {make}\n", "--isolation", isolation).succeeded()


LONG = "n" * 255


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_the_longest_name_can_be_deleted_and_made_again(runs: Program, isolation: str) -> None:
    """Its deletion has a name that is longer still, in the tar alone."""
    text = f"FROM base\nRUN touch /{LONG}; mkdir -p /d/{LONG}\nRUN rm /{LONG}; rmdir /d/{LONG}\n"
    text += f"RUN ! ls /{LONG} && ls /d && touch /{LONG}\nRUN ls /{LONG}\nFROM base\nCOPY --from=0 /{LONG} /d /x/\n"
    (runs.folder / "out").mkdir()
    runs.build(text, "--isolation", isolation, "-o", str(runs.folder / "out"), "-t", "x").succeeded()
    assert (runs.folder / "out" / "x" / LONG).exists()


@pytest.mark.rule("Z-32")
@pytest.mark.parametrize(
    "step",
    [
        "COPY Dockerfile /" + "x" * 256,
        "COPY Dockerfile /" + "x/" * 2048,
        "ADD a.tar /" + "x/" * 1900,
        "WORKDIR /" + "x/" * 2048,
        "WORKDIR /" + "é" * 128,
    ],
    ids=["a name", "a path", "what an archive adds", "a directory", "bytes and not characters"],
)
def test_a_step_that_makes_what_no_later_one_could_use_says_so(pybuild: Program, step: str) -> None:
    with tarfile.open(pybuild.folder / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("/".join("d" * 200)))
    pybuild.build(f"FROM scratch\n{step}\n").failed(1, "Dockerfile:2:", "the step makes a path")
