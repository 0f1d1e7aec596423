"""Tab: what a word may become, and the three shells that ask."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from builder.cli.completion import TRANSPORTS, complete
from builder.cli.groups import GROUPS
from builder.cli.main import VERBS, main
from builder.store.store import open_store
from tests.cli.program import CHECKOUT, Program
from tests.support.terminal import Terminal

DOCKERFILE = """\
ARG BASE=scratch
FROM $BASE AS first
ARG VERSION=1
COPY <<EOF /x
FROM no AS stage
ARG NOT_ONE
EOF
FROM first as \\
  # between
  second
ARG DEBUG VERBOSE=2
RUNN half a word
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A store with an image of two names and a container, and a folder with a Dockerfile that is not finished."""
    folder = tmp_path_factory.mktemp("world")
    program = Program(folder / "store", folder / "context", "")
    (program.folder / "other").mkdir(parents=True)
    (program.folder / "other" / "Dockerfile").write_text("FROM scratch AS elsewhere\nARG OTHER\n")
    (program.folder / "Dockerfile").write_text("FROM scratch\nCOPY other /\n")
    program("-t", "apple:1", "-t", "host:5000/pear", ".").succeeded()
    program("create", "--name", "crate", "apple:1", "x").succeeded()
    (program.folder / "Dockerfile").write_text(DOCKERFILE)
    (program.folder / "lay out").mkdir()
    return program


@pytest.fixture
def inside(world: Program, monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.chdir(world.folder)
    monkeypatch.setenv("PYBUILD_ROOT", str(world.store))
    return world


def words(*line: str) -> list[str]:
    return [word for word, _ in complete(line[:-1], line[-1]).words]


IMAGES = ["apple:1", "host:5000/pear:latest"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["--target", ""], ["first", "second"]),
        (["--no-cache-filter=f"], ["--no-cache-filter=first"]),
        (["build", "-f", "other/Dockerfile", "--target", ""], ["elsewhere"]),
        (["buildx", "build", "other", "--target", ""], ["elsewhere"]),
        (["--build-arg", ""], ["BASE=", "DEBUG=", "VERBOSE=", "VERSION="]),
        (["plan", "--build-arg", "DEBUG=1", "--build-arg", "V"], ["VERBOSE=", "VERSION="]),
        (["--build-arg", "VERSION=1"], []),
        (["-f", "missing", "--target", ""], []),
        (["rmi", ""], IMAGES),
        (["image", "rm", "apple:1", "h"], ["host:5000/pear:latest"]),
        (["tag", "apple:1", "app"], ["apple:1"]),
        (["run", "-it", "--name", "x", ""], IMAGES),
        (["run", "-e", "A=b", "--network=host", "app"], ["apple:1"]),
        (["run", "--network", ""], ["default", "host", "none"]),
        (["start", ""], ["crate"]),
        (["container", "rm", "-f", "cr"], ["crate"]),
        (["cp", "cr"], ["crate:"]),
        (["cp", "crate:/x", "ot"], ["other/"]),
        (["copy", ""], sorted([*IMAGES, *TRANSPORTS])),
        (["copy", "apple:1", "docker-"], ["docker-archive:", "docker-daemon:"]),
        (["copy", "apple:1", "oci:l"], ["oci:lay out/"]),
        (["inspect", "dir:other/D"], ["dir:other/Dockerfile"]),
        (["--build-context", "x=docker-image://a"], ["x=docker-image://apple:1"]),
        (["--build-context", "x=ot"], ["x=other/"]),
        (["--file=oth"], ["--file=other/"]),
        (["save", "--format", "oci"], ["oci-archive", "oci-dir"]),
        (["help", "imag"], ["image", "images"]),
        (["help", "image", "l"], ["list", "load", "ls"]),
        (["completion", ""], ["bash", "fish", "zsh"]),
        (["image", "l"], ["list", "load", "ls"]),
        (["pu"], ["pull", "push"]),
        (["ps", "--no-trunc", "--no-"], []),
        (["rmi", "--fo"], ["--force"]),
        (["rmi", "--", "-"], []),
        (["search", ""], []),
    ],
    ids=" ".join,
)
def test_a_word_is_completed_from_verbs_store_and_dockerfile(
    inside: Program, line: list[str], expected: list[str]
) -> None:
    assert words(*line) == expected


def test_ids_complete_once_they_are_begun(inside: Program) -> None:
    image = inside("images", "-q").succeeded().out.split()[0]
    container = inside("ps", "-aq").succeeded().out.split()[0]
    assert words("rmi", image[:2]) == [image]
    assert words("rm", container[:2]) == [container]


def test_all_verbs_groups_and_flags_complete(inside: Program) -> None:
    assert set(words("")) == {*VERBS, *GROUPS, "ls"}
    assert complete([], "").adds == "folders"
    for group, known in GROUPS.items():
        assert set(words(group, "")) == set(known)
    for verb in VERBS:
        offered = words(verb, "-")
        assert {"-h", "--help"} <= set(offered), verb
    assert dict(complete(["--no-cache"], "--pul").words)["--pull"].startswith("look for newer base images")
    assert complete(["load", "-i"], "").adds == "files"
    assert complete(["run", "apple:1"], "").adds == "files"
    assert complete(["--root"], "").adds == "folders"


def test_tab_makes_no_store_and_says_nothing_of_mistakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYBUILD_ROOT", str(tmp_path / "store"))
    for line in (
        "pybuild rmi ",
        "pybuild start ",
        "pybuild imges ",
        "pybuild exec ",
        "pybuild image foo ",
        "pybuild 'half",
        "",
        "x\\",
    ):
        assert main(["__complete", "bash", line, "=:"]) == 0
    assert main(["__complete", "bash", "1", "2", "3", "4"]) == 0
    assert main(["__complete"]) == 0
    assert main(["__complete", "zsh"]) == 0
    assert capsys.readouterr().err == ""
    (tmp_path / "store").write_text("no store at all")
    assert main(["__complete", "fish", "rmi", ""]) == 0
    assert capsys.readouterr() == ("- space\n", "")
    assert os.listdir(tmp_path) == ["store"]


def test_tab_needs_no_store_that_can_be_written(inside: Program) -> None:
    with open_store(str(inside.store)):
        before = {path: path.stat().st_mtime_ns for path in inside.store.rglob("*")}
    assert words("rmi", "") == IMAGES
    assert words("rm", "") == ["crate"]
    assert {path: path.stat().st_mtime_ns for path in inside.store.rglob("*")} == before


@pytest.fixture
def on_path(world: Program, tmp_path: Path) -> dict[str, str]:
    """An environment with a `pybuild` that completes, and otherwise shows the words that it was given."""
    script = tmp_path / "bin" / "pybuild"
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\ncase $1 in __complete|completion) exec {sys.executable} -m builder "$@" ;; esac\n'
        "printf 'GIVEN'; printf ' <%s>' \"$@\"; echo\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    home = tmp_path / "home"
    home.mkdir()
    return {
        "PATH": f"{script.parent}:{os.environ['PATH']}", "HOME": str(home), "PYTHONPATH": str(CHECKOUT),
        "PYBUILD_ROOT": str(world.store), "LANG": "C.UTF-8", "PS1": "READY> ",
    }  # fmt: skip


TYPED = (
    ("pybuild --target se", ["--target", "second"]),
    ("pybuild --target=se", ["--target=second"]),
    ("pybuild image hi", ["image", "history"]),
    ("pybuild rmi host:5", ["rmi", "host:5000/pear:latest"]),
    ("pybuild --build-arg DEB", ["--build-arg", "DEBUG="]),
    ("pybuild copy apple:1 oci:la", ["copy", "apple:1", "oci:lay out/"]),
    ("pybuild load -i Docker", ["load", "-i", "Dockerfile"]),
    ("pybuild oth", ["other/"]),
)
"""What is typed before Tab, and the words that the program is then given."""


def type_all(terminal: Terminal) -> None:
    for typed, given in TYPED:
        shown = " ".join(f"<{word}>" for word in given)
        # Slash and equals sign at the end: a shell may take them away again, or add a space, which is no word.
        terminal.type(f"{typed}\t".encode())
        terminal.type(b"\n")
        terminal.wait_for(f"GIVEN {shown}".encode().rstrip(b"/>"))
    terminal.type(b"exit\n")
    assert terminal.end() == 0


def test_bash_completes_at_a_terminal(world: Program, on_path: dict[str, str]) -> None:
    terminal = Terminal(["bash", "--norc", "--noprofile", "-i"], on_path, str(world.folder))
    terminal.wait_for(b"READY> ")
    terminal.type(b"source <(pybuild completion bash); echo SOUR''CED\n")
    terminal.wait_for(b"SOURCED")
    type_all(terminal)


def test_zsh_completes_at_a_terminal(world: Program, on_path: dict[str, str], zsh: str) -> None:
    terminal = Terminal([zsh, "-f", "-i"], on_path, str(world.folder))
    terminal.type(b"autoload -U compinit; compinit -D -u; source <(pybuild completion zsh); echo SOUR''CED\n")
    terminal.wait_for(b"SOURCED")
    type_all(terminal)


def test_fish_completes(world: Program, on_path: dict[str, str], fish: str) -> None:
    lines = "; ".join(f"complete -C '{typed}'" for typed, _ in TYPED)
    done = subprocess.run(
        [fish, "--no-config", "-c", f"pybuild completion fish | source; {lines}"],
        cwd=world.folder, env=on_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    found = [line.partition("\t")[0] for line in done.stdout.splitlines()]
    assert found == [given[-1] for _, given in TYPED]
