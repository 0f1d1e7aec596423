"""Indexes on disk: order, lookup, damage."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import LayerError
from builder.filesystem.entry import Entry, tree_key
from builder.layer import index_writer
from builder.layer.index import open_index, seal_index
from builder.layer.index_layer import build_index
from builder.layer.index_writer import IndexWriter
from builder.oci.digest import DiffID
from tests.layer.archives import Member, pack, paths

_NAMES = st.binary(min_size=1, max_size=5).filter(
    lambda raw: b"\0" not in raw and b"/" not in raw and raw not in (b".", b"..")
)
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map(lambda parts: os.fsdecode(b"/".join(parts)))


def write(path: Path, entries: list[Entry]) -> None:
    with IndexWriter(str(path)) as writer:
        for number, entry in enumerate(entries):
            writer.add(entry, entry.mtime, number, b"")
        writer.finish()


@given(st.sets(_PATHS, max_size=30), st.integers(1, 10))
def test_any_names_in_any_order_are_found_and_walked_in_tree_order(found: set[str], run: int) -> None:
    entries = [Entry(path, "directory") for path in found]
    before, index_writer._RUN_RECORDS = index_writer._RUN_RECORDS, run
    try:
        with tempfile.TemporaryDirectory() as directory:
            write(Path(directory) / "i", entries)
            with open_index(f"{directory}/i") as index:
                assert paths(index) == sorted(found, key=tree_key)
                for number, entry in enumerate(entries):
                    assert index.find(entry.path) == (entry, number)
                    below = [path for path in found if path.startswith(entry.path + "/")]
                    assert index.has_below(entry.path) == bool(below)
                    assert [item.entry.path for item in index.walk(entry.path)][1:] == sorted(below, key=tree_key)
                    direct = {path[len(entry.path) + 1 :].partition("/")[0] for path in below}
                    children = [item.entry.path.rpartition("/")[2] for item in index.children(entry.path)]
                    assert children == sorted(direct, key=tree_key)
                assert index.find("no such/name") is None
                contained = all("/" not in path or path.rpartition("/")[0] in found for path in found)
                assert index.is_self_contained == contained
            assert os.listdir(directory) == ["i"]
    finally:
        index_writer._RUN_RECORDS = before


def test_every_field_of_an_entry_survives(tmp_path: Path) -> None:
    entries = [
        Entry("", "directory", 0o7777, 2**32 - 2, 2**32 - 2, -(2**40), 0),
        Entry("f", "file", 0, 1, 2, 2**40, 2**50, "", (0, 0), (("a", b""), ("b", bytes(70_000))), "ab" * 32),
        Entry("c", "character", device=(4095, 2**20 - 1)),
        Entry("l", "symlink", link="\udcff" * 4000),
    ]
    with IndexWriter(str(tmp_path / "i")) as writer:
        for entry in entries:
            writer.add(entry, entry.mtime, 2**45, bytes.fromhex(entry.digest))
        writer.finish()
    with open_index(str(tmp_path / "i")) as index:
        assert [index.find(entry.path) for entry in entries] == [(entry, 2**45) for entry in entries]


def test_building_gives_the_diff_id_and_the_digest_of_each_file(tmp_path: Path) -> None:
    data = pack([Member("f", content=b"abc"), Member("big", content=b"x" * 3_000_000)]) + b"after the end"
    diff_id, statistics = build_index(io.BytesIO(data), str(tmp_path / "i"))
    assert diff_id == "sha256:" + hashlib.sha256(data).hexdigest()
    assert (statistics.entries, statistics.files, statistics.bytes_) == (2, 2, 3_000_003)
    with open_index(str(tmp_path / "i")) as index:
        assert index.statistics == statistics
        found = index.find("f")
        assert found is not None
        assert found.entry.digest == hashlib.sha256(b"abc").hexdigest()
        assert data[found.offset : found.offset + 3] == b"abc"


def test_markers_are_known(tmp_path: Path) -> None:
    build_index(io.BytesIO(pack([Member("d/.wh..wh..opq"), Member(".wh.x"), Member("y")])), str(tmp_path / "i"))
    with open_index(str(tmp_path / "i")) as index:
        assert index.has_markers
        assert (index.is_opaque("d"), index.is_opaque("")) == (True, False)
        assert (index.has_whiteout("x"), index.has_whiteout("y")) == (True, False)
    build_index(io.BytesIO(pack([Member("y")])), str(tmp_path / "j"))
    with open_index(str(tmp_path / "j")) as index:
        assert not index.has_markers


def test_a_missing_index_is_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_index(str(tmp_path / "none"))


@pytest.mark.parametrize("end", [0, 7, 30, 64, 100, -9, -8, -1])
def test_an_index_cut_short_says_that_it_can_be_rebuilt(tmp_path: Path, end: int) -> None:
    build_index(io.BytesIO(pack([Member(f"f{number}") for number in range(20)])), str(tmp_path / "i"))
    data = (tmp_path / "i").read_bytes()
    (tmp_path / "i").write_bytes(data[:end])
    with pytest.raises(LayerError, match="cannot be read") as caught:
        open_index(str(tmp_path / "i"))
    assert "rebuilt" in caught.value.hint


@given(st.data())
def test_an_altered_index_is_never_opened(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "i"
        build_index(
            io.BytesIO(pack([Member(f"d/f{number}", xattrs=(("a", b"b"),)) for number in range(20)])), str(path)
        )
        whole = path.read_bytes()
        damaged = bytearray(whole)
        for _ in range(data.draw(st.integers(1, 3))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(damaged)
        with contextlib.nullcontext() if damaged == whole else pytest.raises(LayerError, match="cannot be read"):
            open_index(str(path)).close()


def test_an_index_is_taken_only_for_the_layer_it_was_sealed_for(tmp_path: Path) -> None:
    data = pack([Member("f")])
    path = str(tmp_path / "i")
    diff_id, statistics = build_index(io.BytesIO(data), path)
    with pytest.raises(LayerError, match="of another layer"):
        open_index(path, diff_id)
    seal_index(path, diff_id)
    with open_index(path, diff_id) as index:
        assert [item.entry.path for item in index.walk()] == ["f"]
        assert index.statistics == statistics
    with pytest.raises(LayerError, match="of another layer"):
        open_index(path, DiffID("sha256:" + "0" * 64))


def test_an_index_of_another_version_says_that_it_can_be_rebuilt(tmp_path: Path) -> None:
    write(tmp_path / "i", [])
    data = bytearray((tmp_path / "i").read_bytes())
    data[8] = 99
    (tmp_path / "i").write_bytes(data)
    with pytest.raises(LayerError, match="format 99"):
        open_index(str(tmp_path / "i"))
