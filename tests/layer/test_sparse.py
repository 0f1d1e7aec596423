"""Archives of files with holes: each form that GNU tar writes reads as if there were none; damaged ones are refused."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from builder.context.archive import read_archive
from builder.errors import ContextError, LayerError
from builder.filesystem.entry import Entry
from builder.layer.content import SlicedContent
from builder.layer.index_layer import build_index
from builder.layer.limits import Limits
from builder.layer.tar_encode import END, encode_header
from builder.layer.tar_reader import read_tar
from tests.layer.archives import Member, info_of
from tests.solve.copying import Rig

FORMS = {
    "PAX 0.0": ("--format=pax", "--sparse-version=0.0"),
    "PAX 0.1": ("--format=pax", "--sparse-version=0.1"),
    "PAX 1.0": ("--format=pax", "--sparse-version=1.0"),
    "type S": ("--format=gnu",),
}
LONG = "long-" * 30
MIB = 1 << 20


def make_files(folder: Path) -> dict[str, bytes]:
    """Holes at the beginning, in the middle and at the end, none but holes, many, and none."""
    folder.mkdir()
    parts: dict[str, list[tuple[int, bytes]]] = {
        "begins with one": [(MIB, b"x" * 5000)],
        "ends in one": [(0, b"abc"), (3 * MIB, b"")],
        "is one": [(300_000, b"")],
        "many": [(number * 65_536, b"%d" % number) for number in range(1, 90)],
        f"{LONG}/{LONG}": [(0, b"a"), (MIB, b"z")],
        "plain": [(0, b"text")],
        "empty": [],
    }
    for name, written in parts.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            for offset, data in written:
                file.seek(offset)
                file.write(data)
                file.truncate()
    return {name: (folder / name).read_bytes() for name in parts}


@pytest.mark.parametrize("form", FORMS)
def test_what_is_read_is_the_whole_file(tmp_path: Path, form: str) -> None:
    contents = make_files(tmp_path / "files")
    data = packed(tmp_path / "files", form)
    if form != "PAX 0.0":  # Python's tarfile reads these as well: the archive does hold holes
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            assert sum(member.issparse() for member in archive) >= 4
    read = {member.entry.path: (member.entry.size, member.read(-1)) for member in read_tar(io.BytesIO(data))}
    for name, content in contents.items():
        assert read[name] == (len(content), content)
    small = {member.entry.path: pieces(member.read) for member in read_tar(io.BytesIO(data))}
    assert {name: small[name] for name in contents} == contents


@pytest.mark.rule("Z-30")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("compression", ["", "-z", "-J"])
def test_add_puts_zeros_into_the_layer(tmp_path: Path, form: str, compression: str) -> None:
    contents = make_files(tmp_path / "files")
    rig = Rig(tmp_path / "bench")
    rig.write({"a.tar": packed(tmp_path / "files", form, compression)})
    entries = rig.add("a.tar", "/t/")
    for name, content in contents.items():
        assert entries[f"t/{name}"].size == len(content)
        assert rig.read(f"t/{name}").encode() == content
    assert not any(entry.kind == "hardlink" for entry in entries.values())


def test_holes_take_no_room_while_the_layer_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    with (folder / "big").open("wb") as file:
        file.truncate(500 * MIB)
    with read_archive(io.BytesIO(packed(folder, "PAX 1.0")), lambda label: str(tmp_path / label), "it") as archive:
        found = archive.view.find("big")
        assert found is not None
        content = archive.view.content(found)
        assert isinstance(content, SlicedContent)
        assert found.entry.size == 500 * MIB
        assert os.stat(content.path).st_blocks * 512 < MIB < os.stat(content.path).st_size


def test_holes_without_end_are_refused_before_they_are_filled(tmp_path: Path) -> None:
    data = sparse_member({"major": "1", "minor": "0", "realsize": str(1 << 38)}, b"0\n")
    with pytest.raises(ContextError, match="grows more than"):
        read_archive(io.BytesIO(data), lambda label: str(tmp_path / label), "it")
    assert os.listdir(tmp_path) == []


@pytest.mark.rule("Z-30")
@pytest.mark.parametrize("form", FORMS)
def test_a_layer_of_an_image_has_no_such_files(tmp_path: Path, form: str) -> None:
    """Its bytes are read from where they lie in the layer."""
    make_files(tmp_path / "files")
    with pytest.raises(LayerError, match="sparse"):
        build_index(io.BytesIO(packed(tmp_path / "files", form)), str(tmp_path / "index"))


BODY = b"1\n0\n3\n".ljust(512, b"\0") + b"abc"
MALFORMED = {
    "no size": ({"major": "1", "minor": "0"}, BODY),
    "a size of 400 digits": ({"major": "1", "minor": "0", "realsize": "9" * 400}, BODY),
    "a negative size": ({"major": "1", "minor": "0", "realsize": "-3"}, BODY),
    "a size beyond all": ({"major": "1", "minor": "0", "realsize": str((1 << 63) - 1)}, BODY),
    "an unknown version": ({"major": "2", "minor": "0", "realsize": "3"}, BODY),
    "extents beyond the end": ({"major": "1", "minor": "0", "realsize": "2"}, BODY),
    "no extents": ({"major": "1", "minor": "0", "realsize": "3"}, b""),
    "extents that do not end": ({"major": "1", "minor": "0", "realsize": "3"}, b"9\n1\n1\n"),
    "extents without lines": ({"major": "1", "minor": "0", "realsize": "3"}, b"1" * 2000),
    "a count of 400 digits": ({"major": "1", "minor": "0", "realsize": "3"}, b"9" * 400 + b"\n"),
    "a count beyond all": ({"major": "1", "minor": "0", "realsize": "3"}, b"9999999999\n".ljust(512, b"\0")),
    "extents that are words": ({"major": "1", "minor": "0", "realsize": "3"}, b"1\na\nb\n".ljust(512, b"\0")),
    "less than is stored": ({"major": "0", "minor": "1", "size": "9", "map": "0,2"}, b"abc"),
    "more than is stored": ({"major": "0", "minor": "1", "size": "9", "map": "0,4"}, b"abc"),
    "overlapping extents": ({"size": "9", "map": "0,2,1,1"}, b"abc"),
    "extents out of order": ({"size": "9", "map": "5,2,1,1"}, b"abc"),
    "half an extent": ({"size": "9", "map": "0,2,1"}, b"abc"),
    "offsets that overflow": ({"size": "9", "map": f"{(1 << 63) - 1},3"}, b"abc"),
    "an offset alone": ({"size": "9", "offset": "0"}, b"abc"),
    "a length alone": ({"size": "9", "numbytes": "3"}, b"abc"),
}


@pytest.mark.parametrize(("records", "body"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_one_is_refused(records: dict[str, str], body: bytes) -> None:
    archive = io.BytesIO(sparse_member(records, body))
    with pytest.raises(LayerError):
        [member.read(-1) for member in read_tar(archive)]


def test_more_extents_than_the_limit_are_refused(tmp_path: Path) -> None:
    make_files(tmp_path / "files")
    for form in ("PAX 1.0", "type S"):
        with pytest.raises(LayerError, match="more than 50 parts"):
            list(read_tar(io.BytesIO(packed(tmp_path / "files", form)), Limits(sparse_extents=50)))


def test_a_type_s_header_of_garbage_is_refused() -> None:
    from tests.layer.test_hostile_archives import _resigned

    for garbage in (b"\xff" * 97, b"9" * 97, b"7" * 97):
        block = bytearray(encode_header(Entry("f", "file"), 0))
        block[156:157] = b"S"
        block[386:483] = garbage
        with pytest.raises(LayerError):
            list(read_tar(io.BytesIO(_resigned(block) + bytes(2048))))


def packed(folder: Path, form: str, *words: str) -> bytes:
    command = ["tar", "--sparse", *FORMS[form], *filter(None, words), "-C", str(folder), "-cf", "-", "."]
    return subprocess.run(command, check=True, capture_output=True).stdout


def pieces(read: object) -> bytes:
    assert callable(read)
    return b"".join(iter(lambda: read(777), b""))


def sparse_member(records: dict[str, str], body: bytes) -> bytes:
    info = info_of(Member("f", content=body))
    info.pax_headers = {f"GNU.sparse.{name}": value for name, value in records.items()}
    return info.tobuf(tarfile.PAX_FORMAT) + body + bytes(-len(body) % 512) + END
