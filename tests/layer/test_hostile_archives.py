"""Archives made to do harm, each test named for the attack. A canary stands outside the tree and must not change."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import LayerError
from builder.filesystem.entry import Entry
from builder.layer.apply import apply_layer
from builder.layer.compression import open_decompressed
from builder.layer.index_layer import build_index
from builder.layer.limits import Limits
from builder.layer.tar_encode import END, encode_header
from builder.layer.tar_reader import read_tar
from tests.layer.archives import IDS, Member, info_of, pack


@pytest.fixture(params=[True, False], ids=["overlay", "tree"])
def overlay(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """An empty tree, beside it a canary."""
    inside = tmp_path / "outer" / "tree"
    inside.mkdir(parents=True)
    canary = tmp_path / "outer" / "canary"
    canary.mkdir()
    (canary / "file").write_bytes(b"alive")
    before = sorted(os.listdir(tmp_path / "outer")), os.stat(canary).st_mtime_ns
    yield inside
    assert (sorted(os.listdir(tmp_path / "outer")), os.stat(canary).st_mtime_ns) == before
    assert sorted(os.listdir(canary)) == ["file"]
    assert (canary / "file").read_bytes() == b"alive"
    assert os.stat(canary / "file").st_nlink == 1


def apply(tree: Path, members: list[Member] | bytes, overlay: bool) -> tuple[str, ...]:
    data = members if isinstance(members, bytes) else pack(members)
    return apply_layer(io.BytesIO(data), str(tree), overlay=overlay, ids=IDS, userxattr=True)


@pytest.mark.parametrize("name", ["../canary/file", "a/../../canary/file", "./../canary/file", "..", "a/../.."])
def test_path_traversal(tree: Path, overlay: bool, name: str) -> None:
    with pytest.raises(LayerError, match="leads outside its root"):
        apply(tree, [Member(name, content=b"dead")], overlay)


def test_absolute_names_are_inside_the_root(tree: Path, overlay: bool) -> None:
    apply(tree, [Member("/etc/passwd", content=b"x")], overlay)
    assert (tree / "etc" / "passwd").read_bytes() == b"x"


@pytest.mark.parametrize("target", ["../canary", "/../canary", "{outer}/canary", "../../outer/canary"])
def test_writing_through_a_symlink_of_the_same_layer(tree: Path, overlay: bool, target: str) -> None:
    target = target.format(outer=tree.parent)
    apply(tree, [Member("ln", "symlink", link=target), Member("ln/file", content=b"dead")], overlay)
    assert (tree / "ln").is_symlink()


@pytest.mark.parametrize("target", ["../canary", "{outer}/canary"])
def test_writing_through_a_symlink_of_a_lower_layer(tree: Path, target: str) -> None:
    (tree / "ln").symlink_to(target.format(outer=tree.parent))
    apply(tree, [Member("ln/file", content=b"dead")], overlay=False)
    assert (tree / "ln" / "file").read_bytes() == b"dead"
    assert not (tree / "ln").is_symlink()


def test_writing_through_a_chain_of_symlinks(tree: Path, overlay: bool) -> None:
    members = [
        Member("a", "symlink", link="."),
        Member("a/b", "symlink", link=".."),
        Member("a/b/c", "symlink", link="../canary"),
        Member("a/b/c/file", content=b"dead"),
    ]
    apply(tree, members, overlay)


def test_overwriting_the_target_of_a_symlink_with_a_file(tree: Path, overlay: bool) -> None:
    members = [Member("f", "symlink", link="../canary/file"), Member("f", content=b"dead")]
    apply(tree, members, overlay)
    assert not (tree / "f").is_symlink()


def test_setting_the_attributes_of_a_symlinks_target(tree: Path, overlay: bool) -> None:
    canary = tree.parent / "canary"
    before = os.stat(canary).st_mode
    apply(tree, [Member("d", "symlink", link="../canary", mode=0o7777)], overlay)
    assert os.stat(canary).st_mode == before


def test_a_directory_over_a_symlink_replaces_the_link(tree: Path) -> None:
    (tree / "d").symlink_to("../canary")
    apply(tree, [Member("d/", "directory", mode=0o700), Member("d/file", content=b"dead")], overlay=False)
    assert not (tree / "d").is_symlink()


def test_a_whiteout_through_a_symlink(tree: Path) -> None:
    (tree / "ln").symlink_to("../canary")
    apply(tree, [Member("ln/.wh.file")], overlay=False)


def test_an_opaque_marker_through_a_symlink(tree: Path) -> None:
    (tree / "ln").symlink_to("../canary")
    apply(tree, [Member("ln/.wh..wh..opq")], overlay=False)


@pytest.mark.parametrize("name", [".wh.", "a/.wh.", ".wh...", ".wh.."])
def test_a_whiteout_that_names_nothing_or_a_parent(tree: Path, overlay: bool, name: str) -> None:
    (tree / "a").mkdir()
    with pytest.raises(LayerError, match="names nothing"):
        apply(tree, [Member(name)], overlay)
    assert (tree / "a").is_dir()


@pytest.mark.parametrize("target", ["../canary/file", "a/../../canary/file"])
def test_a_hard_link_out_of_the_root(tree: Path, overlay: bool, target: str) -> None:
    with pytest.raises(LayerError, match="leads outside its root"):
        apply(tree, [Member("h", "hardlink", link=target)], overlay)


def test_a_hard_link_through_a_symlink_of_the_same_layer(tree: Path, overlay: bool) -> None:
    members = [Member("ln", "symlink", link="../canary"), Member("h", "hardlink", link="ln/file")]
    with pytest.raises(LayerError, match="hard link to"):
        apply(tree, members, overlay)


def test_a_hard_link_through_a_symlink_of_a_lower_layer(tree: Path) -> None:
    (tree / "ln").symlink_to("../canary")
    with pytest.raises(LayerError, match="hard link to"):
        apply(tree, [Member("h", "hardlink", link="ln/file")], overlay=False)


def test_a_hard_link_to_a_symlink_links_the_link(tree: Path, overlay: bool) -> None:
    members = [Member("ln", "symlink", link="../canary/file"), Member("h", "hardlink", link="ln")]
    apply(tree, [*members, Member("h", content=b"dead")], overlay)
    assert (tree / "h").read_bytes() == b"dead"


@pytest.mark.parametrize("target", ["/", ".", "h", "missing"])
def test_a_hard_link_to_the_root_to_itself_or_to_nothing(tree: Path, overlay: bool, target: str) -> None:
    with pytest.raises(LayerError):
        apply(tree, [Member("h", "hardlink", link=target)], overlay)


def test_an_entry_in_place_of_the_root(tree: Path, overlay: bool) -> None:
    for kind in ("symlink", "fifo"):
        with pytest.raises(LayerError, match="in place of its root"):
            apply(tree, [Member(".", kind, link="../canary" if kind == "symlink" else "")], overlay)
    # A plain file is nothing to be afraid of, and found in the wild: it is passed over with its content.
    apply(tree, [Member(".", content=b"x" * 700), Member("f", content=b"after")], overlay)
    assert tree.is_dir()
    assert (tree / "f").read_bytes() == b"after"


def test_entries_below_a_file(tree: Path, overlay: bool) -> None:
    with pytest.raises(LayerError, match="other than a directory"):
        apply(tree, [Member("f"), Member("f/x")], overlay)


def test_a_symlink_loop_on_the_way(tree: Path, overlay: bool) -> None:
    with pytest.raises(LayerError, match="in circles"):
        apply(tree, [Member("a", "symlink", link="b"), Member("b", "symlink", link="a"), Member("a/x")], overlay)


@pytest.mark.parametrize("name", ["trusted.overlay.redirect", "trusted.overlay.opaque", "user.overlay.opaque"])
def test_overlay_attributes_from_a_layer(tree: Path, name: str) -> None:
    notes = apply(tree, [Member("d/", "directory", xattrs=((name, b"/canary"),))], overlay=True)
    assert os.listxattr(tree / "d") == []
    assert notes == (f"d: the extended attribute {name} is overlayfs's own and was left out",)


def test_a_whiteout_device_from_a_layer(tree: Path, overlay: bool) -> None:
    (tree / "keep").touch()
    apply(tree, [Member("gone", "character", device=(0, 0)), Member("keep2")], overlay)
    assert sorted(os.listdir(tree)) == ["keep", "keep2"]


def test_device_nodes_are_made_or_noted_and_never_opened(tree: Path, overlay: bool) -> None:
    notes = apply(tree, [Member("full", "character", device=(1, 7)), Member("sd", "block", device=(8, 0))], overlay)
    made = sorted(os.listdir(tree))
    assert made == ["full", "sd"] or len(notes) == 2


@pytest.mark.parametrize("field", ["path", "linkpath"])
def test_nul_bytes_in_names(field: str) -> None:
    info = info_of(Member("h", "hardlink", link="x"))
    info.pax_headers = {field: "a\0b"}
    with pytest.raises(LayerError, match="NUL"):
        list(read_tar(io.BytesIO(info.tobuf(tarfile.PAX_FORMAT) + END)))


def test_a_huge_pax_header() -> None:
    info = info_of(Member("f"))
    info.pax_headers = {"comment": "x" * (2 << 20)}
    with pytest.raises(LayerError, match="at most 1048576"):
        list(read_tar(io.BytesIO(info.tobuf(tarfile.PAX_FORMAT) + END)))


def test_a_pax_header_that_claims_exabytes_is_not_read() -> None:
    block = bytearray(encode_header(Entry("x", "file", size=1), 0))
    block[124:136] = b"77777777777\0"
    block[156:157] = b"x"
    with pytest.raises(LayerError, match="extension header claims"):
        list(read_tar(io.BytesIO(_resigned(block) + bytes(10240))))


def test_pax_headers_in_endless_succession() -> None:
    info = info_of(Member("f"))
    info.pax_headers = {"comment": "x"}
    headers = info.tobuf(tarfile.PAX_FORMAT)[:-512]
    with pytest.raises(LayerError, match="too many extension headers"):
        list(read_tar(io.BytesIO(headers * 1000)))


@pytest.mark.parametrize("value", ["-1", "1e9", "0x10", "1_0", " 1", "99999999999999999999999"])
def test_a_pax_size_that_is_no_size(value: str) -> None:
    info = info_of(Member("f", content=b"abc"))
    info.pax_headers = {"size": value}
    with pytest.raises(LayerError, match="not a number in range"):
        list(read_tar(io.BytesIO(info.tobuf(tarfile.PAX_FORMAT) + bytes(2048))))


@pytest.mark.parametrize(
    "field", [b"-0000000001\0", b"\xff" * 12, b"0o17\0\0\0\0\0\0\0\0", b"1_000\0\0\0\0\0\0\0", b"9" * 11 + b"\0"]
)
def test_a_negative_or_malformed_size(field: bytes) -> None:
    block = bytearray(encode_header(Entry("f", "file"), 0))
    block[124:136] = field
    with pytest.raises(LayerError):
        list(read_tar(io.BytesIO(_resigned(block) + bytes(2048))))


def test_a_size_beyond_the_end(tree: Path, overlay: bool) -> None:
    with pytest.raises(LayerError, match="cut short"):
        apply(tree, encode_header(Entry("f", "file", size=1 << 33), 0) + bytes(4096), overlay)


def test_a_file_larger_than_the_limit() -> None:
    with pytest.raises(LayerError, match="claims"):
        list(read_tar(io.BytesIO(encode_header(Entry("f", "file", size=1 << 45), 0))))


@pytest.mark.parametrize("key", ["mtime", "uid", "gid", "size", "GNU.sparse.size", "GNU.sparse.realsize"])
@pytest.mark.parametrize("text", ["9" * 400, "9" * 5000, "-" + "9" * 400, "1e400", "\u0661\u0662", "1.9.9", "0x1"])
def test_numbers_that_are_none_or_beyond_all(key: str, text: str) -> None:
    info = info_of(Member("f"))
    info.pax_headers = {key: text}
    with pytest.raises(LayerError, match="a PAX header holds"):
        list(read_tar(io.BytesIO(info.tobuf(tarfile.PAX_FORMAT) + END)))


@pytest.mark.parametrize("device", [(1 << 31, 0), (0, 1 << 31), (4096, 0), (0, 1 << 20)])
def test_a_device_that_linux_has_no_number_for(device: tuple[int, int]) -> None:
    block = bytearray(encode_header(Entry("f", "character"), 0))
    block[329:345] = b"".join(b"\x80" + number.to_bytes(7, "big") for number in device)
    with pytest.raises(LayerError, match="device out of range"):
        list(read_tar(io.BytesIO(_resigned(block) + END)))


def test_millions_of_entries() -> None:
    with pytest.raises(LayerError, match="more than 1000 entries"):
        list(read_tar(io.BytesIO(encode_header(Entry("f", "file"), 0) * 1001 + END), Limits(entries=1000)))


def test_a_path_too_long_or_with_too_long_a_name() -> None:
    for name in ("x/" * 3000 + "x", "x/" * 2047 + "x", "x" * 256, ".wh." + "x" * 256):
        with pytest.raises(LayerError, match=r"at most|longer than"):
            list(read_tar(io.BytesIO(pack([Member(name)]))))


def test_a_path_as_deep_and_a_name_as_long_as_linux_takes() -> None:
    for name in ("x/" * 2046 + "xx", "x" * 255, ".wh." + "x" * 255):
        assert [member.entry.path for member in read_tar(io.BytesIO(pack([Member(name)])))] == [name]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_decompression_bomb_by_ratio(compression: str) -> None:
    if compression == "gzip":
        import gzip

        packed = gzip.compress(bytes(50 << 20))
    else:
        from backports import zstd

        packed = zstd.compress(bytes(50 << 20))
    stream = open_decompressed(io.BytesIO(packed), Limits(ratio=100, ratio_free_bytes=1 << 20))
    with pytest.raises(LayerError, match="grows more than 100 times"):
        list(iter(lambda: stream.read(1 << 20), b""))


def test_a_decompression_bomb_by_total_size() -> None:
    import gzip

    stream = open_decompressed(io.BytesIO(gzip.compress(os.urandom(3 << 20))), Limits(total_bytes=1 << 20))
    with pytest.raises(LayerError, match="longer than 1048576 bytes"):
        list(iter(lambda: stream.read(1 << 20), b""))


def test_a_zstd_window_that_takes_all_memory() -> None:
    # Frame header: magic, no single segment, window descriptor for 2^41 bytes (RFC 8878, 3.1.1.1.2).
    with pytest.raises(LayerError, match="damaged"):
        open_decompressed(io.BytesIO(b"\x28\xb5\x2f\xfd\x00\xf8" + bytes(64))).read(10)


def test_an_xz_dictionary_that_takes_all_memory() -> None:
    import lzma

    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}]
    packed = lzma.compress(b"x", format=lzma.FORMAT_XZ, filters=filters)
    with pytest.raises(LayerError, match="damaged"):
        open_decompressed(io.BytesIO(packed)).read(10)


def test_a_directory_replaced_by_a_symlink_behind_the_readers_back(tree: Path, overlay: bool) -> None:
    members = [Member("d/", "directory"), Member("d/x"), Member("d", "symlink", link="../canary"), Member("d/file")]
    with pytest.raises(LayerError):
        apply(tree, members, overlay)


def test_hostile_layers_are_refused_by_the_index_too(tmp_path: Path) -> None:
    for members in (
        [Member("../x")],
        [Member("f"), Member("f/x")],
        [Member("d/", "directory"), Member("d")],
        [Member(".wh.")],
        [Member("f"), Member("h", "hardlink", link="f"), Member("f", content=b"x")],
    ):
        with pytest.raises(LayerError):
            build_index(io.BytesIO(pack(members)), str(tmp_path / "index"))
        assert os.listdir(tmp_path) == []


def _resigned(block: bytearray) -> bytes:
    """The header with a checksum that is right."""
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)
