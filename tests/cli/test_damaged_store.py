"""A damaged store: caches are made anew with a note, and `info --verify` sees damage in every kind of file."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.cli.test_damage import edit, heal, layer_blob

DOCKERFILE = "FROM scratch\nCOPY file /\nWORKDIR /w\n"


@pytest.fixture
def built(pybuild: Program) -> Program:
    (pybuild.folder / "file").write_text("content " * 100)
    pybuild.build(DOCKERFILE, "-t", "it").succeeded()
    return pybuild


def overwritten(path: Path) -> None:
    path.write_bytes(b"no database " * 400)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def halved(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def scribbled(path: Path) -> None:
    """Damage every page but the first: found when a table is read, not when the file is opened."""
    with path.open("r+b") as file:
        for at in range(4096, path.stat().st_size, 4096):
            file.seek(at)
            file.write(b"\xff" * 600)


def a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def without_tables(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=1")
        connection.execute("CREATE TABLE other (x)")
    connection.close()


@pytest.mark.parametrize("name", ["state.db", "contexts.db", "facts.db"])
@pytest.mark.parametrize("damage", [overwritten, emptied, halved, scribbled, a_fifo, without_tables])
def test_a_damaged_database_is_made_anew_with_a_note(built: Program, name: str, damage: Callable[[Path], None]) -> None:
    damage(built.store / name)
    changed = DOCKERFILE + "COPY file /again\n"
    first = built.build(changed, "-t", "it").succeeded()
    assert f"{name} is damaged" in first.err
    assert first.err.count("is damaged") == 1, first.err
    again = built.build(changed, "-t", "it").succeeded()
    assert "is damaged" not in again.err
    assert "0 executed" in again.err
    assert "it" in built("images").succeeded().out
    built("info", "--verify").succeeded()
    built("prune").succeeded()
    assert not list(built.store.glob("*.damaged*"))


def test_a_damaged_database_keeps_nobody_from_looking(built: Program) -> None:
    overwritten(built.store / "state.db")
    outcome = built("info").succeeded()
    assert "state.db is damaged" in outcome.err
    assert "records" in outcome.out


def test_a_database_is_set_aside_also_where_the_place_for_it_is_taken(built: Program) -> None:
    pybuild = built
    for _ in range(2):
        (pybuild.store / "state.db").unlink()
        (pybuild.store / "state.db").mkdir()
        assert "is damaged" in pybuild.build(DOCKERFILE).succeeded().err
    overwritten(pybuild.store / "state.db")
    assert "is damaged" in pybuild.build(DOCKERFILE).succeeded().err
    pybuild("info", "--verify").succeeded()


@pytest.mark.parametrize("damage", [emptied, a_fifo])
def test_a_store_without_its_mark_says_how_to_mend_it(built: Program, damage: Callable[[Path], None]) -> None:
    damage(built.store / "oci-layout")
    outcome = built.build(DOCKERFILE, "-t", "it")
    if damage is a_fifo:
        outcome.failed(1, "oci-layout")
        (built.store / "oci-layout").unlink()
        outcome = built.build(DOCKERFILE, "-t", "it")
    outcome.succeeded()
    assert json.loads((built.store / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}


@pytest.mark.parametrize("damage", [emptied, halved, a_fifo])
def test_names_that_cannot_be_read_are_an_error_that_says_what_to_do(
    built: Program, damage: Callable[[Path], None]
) -> None:
    before = sorted(built.store.glob("blobs/sha256/*"))
    damage(built.store / "index.json")
    built("images").failed(1, "image names", "rm '")
    built("info", "--verify").failed(1)
    built("prune").failed(1, "image names")
    assert sorted(built.store.glob("blobs/sha256/*")) == before
    (built.store / "index.json").unlink()
    built.build(DOCKERFILE, "-t", "it").succeeded()
    assert "it" in built("images").succeeded().out


def test_verify_sees_damage_in_every_kind_of_file(runs: Program) -> None:
    (runs.folder / "file").write_text("content " * 100)
    runs.build("FROM base\nCOPY file /\nRUN mkdir /made && cp /file /made/copy && ln -s x /made/link\n", "-t", "it")
    runs("info", "--verify").succeeded()
    blob = layer_blob(runs)
    index = runs.store / "indexes/sha256" / blob.name
    (tree,) = runs.store.glob(f"snapshots/{blob.name}.*/fs")
    places: list[tuple[Callable[[], object], str]] = [
        (lambda: edit(blob, 700), "has other bytes"),
        (lambda: edit(index, index.stat().st_size - 20), "index"),
        (lambda: edit(tree / "made/copy", 3), "/made/copy"),
        (lambda: (tree / "made/link").unlink(), "/made/link"),
        (lambda: (tree / "made/more").write_text("x"), "/made/more"),
        (lambda: (runs.store / "index.json").write_bytes(b"{"), "image names"),
        (lambda: overwritten(runs.store / "contexts.db"), "contexts.db"),
    ]
    for damage, said in places:
        saved = {
            path: path.read_bytes() if not path.is_symlink() else os.fsencode(os.readlink(path))
            for path in (blob, index, tree / "made/copy", runs.store / "index.json", runs.store / "contexts.db")
        }
        damage()
        outcome = runs("info", "--verify")
        assert outcome.code == 1, said
        assert said in outcome.out + outcome.err
        for path, data in saved.items():
            path.write_bytes(data)
        (tree / "made/more").unlink(missing_ok=True)
        if not (tree / "made/link").is_symlink():
            (tree / "made/link").symlink_to("x")
    runs("info", "--verify").succeeded()


def test_what_verify_says_of_an_unpacked_layer_heals_it(runs: Program) -> None:
    dockerfile = "FROM base\nRUN echo one > /one\n"
    runs.build(dockerfile, "-t", "it").succeeded()
    (tree,) = runs.store.glob(f"snapshots/{layer_blob(runs).name}.*/fs")
    (tree / "one").write_text("two\n")
    outcome = runs("info", "--verify")
    assert outcome.code == 1
    heal(outcome.out)
    runs("info", "--verify").succeeded()
    assert "one" in runs.build(f"{dockerfile}RUN cat /one\n").succeeded().err
