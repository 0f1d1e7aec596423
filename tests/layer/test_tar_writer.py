"""Writing layers: what the tar and its index hold, and what is refused."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import ContextError, LayerError
from builder.filesystem.entry import Entry, Kind
from builder.filesystem.resolve import Root
from builder.layer.content import Content, FileContent, SlicedContent
from builder.layer.index import open_index
from builder.layer.index_format import LayerStatistics
from builder.layer.index_layer import build_index
from builder.layer.tar_reader import read_tar
from builder.layer.tar_writer import BLOCK_BYTES, write_layer
from builder.layer.whiteout import whiteout_entry
from tests.support.walk import walk_entries

Items = list[tuple[Entry, Content | None]]


def written(tmp_path: Path, items: Items, epoch: int | None = None) -> tuple[bytes, LayerStatistics]:
    blocks: list[bytes] = []
    statistics, _ = write_layer(items, blocks.append, str(tmp_path / "index"), epoch=epoch)
    return b"".join(blocks), statistics


def test_a_directory_becomes_a_tar_that_tarfile_reads_the_same(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "a.txt").write_bytes(b"hello")
    (source / "sub" / "big").write_bytes(os.urandom(3 * BLOCK_BYTES + 17))
    (source / "link").symlink_to("a.txt")
    os.mkfifo(source / "pipe")
    items: Items = [
        (entry, FileContent(str(source / entry.path)) if entry.kind == "file" else None)
        for entry, _ in walk_entries(str(source))
    ]
    data, statistics = written(tmp_path, items)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == ["a.txt", "link", "pipe", "sub", "sub/big"]
        big = tar.extractfile("sub/big")
        assert big is not None
        assert big.read() == (source / "sub" / "big").read_bytes()
        assert tar.getmember("link").linkname == "a.txt"
    assert statistics == LayerStatistics(5, 4, 5 + 3 * BLOCK_BYTES + 17)


def test_the_index_beside_a_written_layer_is_the_one_its_tar_gives(tmp_path: Path) -> None:
    items: Items = [
        (Entry("d", "directory", 0o755), None),
        (Entry("d/f", "file", size=3), b"abc"),
        (Entry("d/large", "file", size=2 * BLOCK_BYTES), bytes(2 * BLOCK_BYTES)),
        (Entry("d/l", "symlink", 0o777, link="f"), None),
        (Entry("d/h", "hardlink", link="d/f"), None),
        (Entry("d/é", "file", size=1, xattrs=(("user.x", b"\0"),)), b"x"),
        (whiteout_entry("gone"), None),
        (Entry("d/.wh..wh..opq", "file"), None),
    ]
    data, statistics = written(tmp_path, items)
    _, again = build_index(io.BytesIO(data), str(tmp_path / "again"))
    assert (tmp_path / "index").read_bytes() == (tmp_path / "again").read_bytes()
    assert statistics == again


def test_every_content_is_found_at_the_offset_in_the_index(tmp_path: Path) -> None:
    items: Items = [
        (Entry(f"f{size}", "file", size=size), bytes([size % 251]) * size) for size in (0, 1, 511, 512, 513, 70_000)
    ]
    data, _ = written(tmp_path, items)
    with open_index(str(tmp_path / "index")) as index:
        for entry, content in items:
            found = index.find(entry.path)
            assert found is not None
            assert data[found.offset : found.offset + entry.size] == content
            assert found.entry.digest == hashlib.sha256(content).hexdigest()


def test_a_digest_that_is_known_is_taken_over_and_not_computed(tmp_path: Path) -> None:
    known = "ab" * 32
    written(tmp_path, [(Entry("f", "file", size=1, digest=known), b"x")])
    with open_index(str(tmp_path / "index")) as index:
        found = index.find("f")
    assert found is not None
    assert found.entry.digest == known


@pytest.mark.parametrize("change", [b"", b"shor", b"longer than before"])
def test_a_file_that_changed_its_size_is_an_error_with_its_name(tmp_path: Path, change: bytes) -> None:
    path = tmp_path / "f"
    path.write_bytes(change)
    with pytest.raises(ContextError, match="'app/f' changed while it was read"):
        written(tmp_path, [(Entry("app/f", "file", size=5), FileContent(str(path)))])
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("difference", [-BLOCK_BYTES, -1, 1])
def test_a_large_file_that_changed_its_size_is_an_error_too(tmp_path: Path, difference: int) -> None:
    path = tmp_path / "f"
    size = 2 * BLOCK_BYTES
    path.write_bytes(bytes(size + difference))
    with pytest.raises(ContextError, match="changed while it was read"):
        written(tmp_path, [(Entry("f", "file", size=size), FileContent(str(path)))])


def test_a_file_replaced_by_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"12345")
    (tmp_path / "f").symlink_to("secret")
    with pytest.raises(ContextError, match="cannot be read"):
        written(tmp_path, [(Entry("f", "file", size=5), FileContent(str(tmp_path / "f")))])


def test_a_file_replaced_by_a_fifo_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f")
    with pytest.raises(ContextError, match=r"changed while|cannot be read"):
        written(tmp_path, [(Entry("f", "file", size=5), FileContent(str(tmp_path / "f")))])


def test_content_beneath_a_root_stays_beneath_it(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "passwd").write_bytes(b"inside")
    (root / "out").symlink_to("/etc")
    with Root(str(root)) as held:
        data, _ = written(tmp_path, [(Entry("f", "file", size=6), FileContent("out/passwd", held))])
    assert next(iter(read_tar(io.BytesIO(data)))).read(100) == b"inside"


def test_slices_of_another_tar_are_copied(tmp_path: Path) -> None:
    tar = tmp_path / "x"
    tar.write_bytes(b"--" + bytes(BLOCK_BYTES + 5) + b"abc--")
    items: Items = [
        (Entry("large", "file", size=BLOCK_BYTES + 5), SlicedContent(str(tar), 2, BLOCK_BYTES + 5)),
        (Entry("small", "file", size=3), SlicedContent(str(tar), 2 + BLOCK_BYTES + 5, 3)),
    ]
    data, _ = written(tmp_path, items)
    assert [member.read(-1) for member in read_tar(io.BytesIO(data))] == [bytes(BLOCK_BYTES + 5), b"abc"]


def test_the_epoch_is_the_latest_time_written(tmp_path: Path) -> None:
    data, _ = written(
        tmp_path, [(Entry("new", "file", mtime=2000), b""), (Entry("old", "directory", mtime=10), None)], epoch=1000
    )
    assert [member.entry.mtime for member in read_tar(io.BytesIO(data))] == [1000, 10]


def test_a_real_file_with_the_name_of_a_whiteout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayerError, match=r"names beginning with '\.wh\.'"):
        written(tmp_path, [(Entry("d/.wh.x", "file", size=1), b"x")])


@pytest.mark.parametrize("kind", ["directory", "symlink", "fifo"])
def test_nothing_else_may_have_the_name_of_a_whiteout(tmp_path: Path, kind: Kind) -> None:
    with pytest.raises(LayerError, match=r"names beginning with '\.wh\.'"):
        written(tmp_path, [(Entry("d/.wh.x", kind, link="y" if kind == "symlink" else ""), None)])


def test_a_path_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayerError, match="'f' is in the layer twice"):
        written(tmp_path, [(Entry("f", "file"), b""), (Entry("f", "file"), b"")])
    assert os.listdir(tmp_path) == []


def test_when_the_writing_fails_no_index_is_left(tmp_path: Path) -> None:
    def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    failing: Callable[[bytes], None] = full
    with pytest.raises(OSError, match="No space left"):
        write_layer([(Entry("f", "file"), b"")], failing, str(tmp_path / "index"))
    assert os.listdir(tmp_path) == []


_NAMES = st.text(min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..") and "/" not in name and "\0" not in name and not name.startswith(".wh.")
)


@given(st.dictionaries(st.lists(_NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=600), max_size=12))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    files = {path: data for path, data in files.items() if not any(other.startswith(path + "/") for other in files)}
    try:
        for path in files:
            os.fsencode(path)
    except UnicodeEncodeError:
        return
    tmp_path = tmp_path_factory.mktemp("layer")
    items: Items = [(Entry(path, "file", size=len(data)), data) for path, data in files.items()]
    data, _ = written(tmp_path, items)
    assert [(member.entry.path, member.read(-1)) for member in read_tar(io.BytesIO(data))] == list(files.items())
    with open_index(str(tmp_path / "index")) as index:
        assert {item.entry.path for item in index.walk()} == set(files)
