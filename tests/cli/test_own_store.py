"""A store inside the context it builds is no part of the context: not for COPY, mounts, receipts or `context ls`."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from tests.cli.program import Program


def inside(program: Program, place: str) -> Program:
    (program.folder / "d").mkdir()
    (program.folder / "d" / "a").write_text("a")
    (program.folder / ".store").write_text("no store") if place != ".store" else None
    return replace(program, store=program.folder / place)


def listed(program: Program, *words: str) -> list[str]:
    out = program("--root", str(program.store), "context", "ls", "--json", *words, ".").succeeded().out
    return sorted(json.loads(line)["path"] for line in out.splitlines())


@pytest.mark.parametrize("place", [".store", "d/cache", "d/deep/down/store"])
@pytest.mark.parametrize("source", [".", "d", "*"])
def test_what_is_copied_has_no_store_in_it(pybuild: Program, place: str, source: str) -> None:
    program = inside(pybuild, place)
    dockerfile = f"FROM scratch\nCOPY {source} /x/\n"
    program.build(dockerfile, "-t", "one").succeeded()
    program.build(dockerfile, "-t", "one", "-o", "type=local,dest=../out").succeeded()
    found = {os.path.relpath(os.path.join(folder, name), program.folder.parent / "out/x")
             for folder, _, names in os.walk(program.folder.parent / "out") for name in names}  # fmt: skip
    assert not [name for name in found if "oci-layout" in name or "state.db" in name]
    assert {"d/a", "a"} & found


def test_a_build_that_changes_nothing_is_cached_beside_a_store_that_grows(pybuild: Program) -> None:
    program = inside(pybuild, ".store")
    dockerfile = "FROM scratch\nCOPY . /x/\n"
    for _ in range(3):
        program.build(dockerfile).succeeded()
    assert "CACHED" in program.build(dockerfile).err
    assert "HIT" in program("--root", str(program.store), "plan", ".").succeeded().out


@pytest.mark.parametrize("word", [".store", ".store/blobs", "link", "link/blobs"])
def test_naming_the_store_says_why_it_is_not_there(pybuild: Program, word: str) -> None:
    program = inside(pybuild, ".store")
    (program.folder / "link").symlink_to(".store")
    outcome = program.build(f"FROM scratch\nCOPY {word} /x/\n")
    outcome.failed(1, "not found", "its store is never part of a context")


def test_a_context_reached_by_another_name_has_no_store_either(pybuild: Program) -> None:
    program = inside(pybuild, ".store")
    (program.folder.parent / "other").symlink_to(program.folder)
    outcome = program("--root", str(program.store), "build", "--build-context", "n=../other", "-f", "-", ".",
                      stdin=b"FROM scratch\nCOPY --from=n . /x/\nCOPY --from=n .store /y/\n")  # fmt: skip
    outcome.failed(1, "its store is never part of a context")


def test_context_ls_leaves_the_store_out(pybuild: Program) -> None:
    program = inside(pybuild, ".store")
    program.build("FROM scratch\nCOPY d /x/\n").succeeded()
    assert listed(program) == ["Dockerfile", "d/a"]
    assert listed(program, "--ignored") == []


def test_a_mount_of_the_context_does_not_show_the_store(runs: Program) -> None:
    program = inside(runs, ".store")
    dockerfile = "FROM base\nRUN --mount=type=bind,target=/src,rw find /src | sort && touch /src/d/new\n"
    outcome = program.build(dockerfile).succeeded()
    assert "/src/d/a" in outcome.err
    assert ".store/" not in outcome.err
    assert not (program.folder / "d" / "new").exists()


def test_the_store_itself_is_no_context(pybuild: Program) -> None:
    program = inside(pybuild, ".store")
    program.build("FROM scratch\nCOPY d /x/\n").succeeded()
    outcome = program("--root", str(program.store), "build", "-f", "-", str(program.store), stdin=b"FROM scratch\n")
    outcome.failed(1, "is pybuild's own store")
