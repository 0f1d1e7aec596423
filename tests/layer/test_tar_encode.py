"""Tar headers: ours against tarfile's and GNU tar's reading of them."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.filesystem.entry import Entry, Kind
from builder.layer.tar_encode import END, _encode_any, encode_header, fits_name
from tests.layer.archives import TYPE_BY_KIND

_WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789._- ", min_size=1, max_size=40).filter(
    lambda word: word not in (".", "..")
)
_ASCII_PATHS = st.lists(_WORDS, min_size=1, max_size=6).map("/".join)
_ANY_NAMES = st.binary(min_size=1, max_size=120).filter(lambda raw: b"\0" not in raw and b"/" not in raw)
_ANY_PATHS = (
    st.lists(_ANY_NAMES, min_size=1, max_size=4)
    .map(b"/".join)
    .filter(lambda raw: raw not in (b".", b"..") and not raw.startswith(b"/") and not raw.endswith(b"/"))
    .map(os.fsdecode)
)
_XATTRS = st.lists(
    st.tuples(st.sampled_from(["user.a", "security.capability", "user.ünï"]), st.binary(max_size=300)),
    max_size=2,
    unique_by=lambda pair: pair[0],
).map(lambda pairs: tuple(sorted(pairs)))


@st.composite
def entries(draw: st.DrawFn, paths: st.SearchStrategy[str], *, large: bool) -> Entry:
    kind: Kind = draw(st.sampled_from(["file", "directory", "symlink", "hardlink", "character", "block", "fifo"]))
    ids = st.integers(0, 2**32 - 2 if large else 0o7777777)
    return Entry(
        draw(paths),
        kind,
        draw(st.integers(0, 0o7777)),
        draw(ids),
        draw(ids),
        draw(st.integers(-(10**11) if large else 0, 10**12 if large else 0o77777777777)),
        draw(st.integers(0, 2**50 if large else 0o77777777777)) if kind == "file" else 0,
        draw(paths) if kind in ("symlink", "hardlink") else "",
        (draw(st.integers(0, 4095)), draw(st.integers(0, 0o7777777))) if kind in ("character", "block") else (0, 0),
        draw(_XATTRS) if large else (),
    )


def tarinfo(entry: Entry) -> tarfile.TarInfo:
    info = tarfile.TarInfo(entry.path)
    info.type = TYPE_BY_KIND[entry.kind]
    info.mode, info.uid, info.gid, info.mtime, info.size = entry.mode, entry.uid, entry.gid, entry.mtime, entry.size
    info.linkname = entry.link
    info.devmajor, info.devminor = entry.device
    return info


@given(entries(_ASCII_PATHS, large=False))
def test_what_ustar_can_hold_is_byte_for_byte_what_tarfile_writes(entry: Entry) -> None:
    try:
        expected = tarinfo(entry).tobuf(tarfile.USTAR_FORMAT)
    except ValueError:  # a name or link that does not fit: the next test's matter
        return
    assert encode_header(entry, entry.mtime) == expected


@given(entries(_ANY_PATHS, large=True))
def test_tarfile_reads_back_what_only_pax_can_hold(entry: Entry) -> None:
    data = encode_header(entry, entry.mtime)
    with tarfile.open(fileobj=io.BytesIO(data + END), errors="surrogateescape") as tar:
        info = tar.next()
        assert info is not None
        assert (info.name, info.type) == (entry.path.rstrip("/"), TYPE_BY_KIND[entry.kind])
        assert (info.mode, info.uid, info.gid) == (entry.mode, entry.uid, entry.gid)
        assert (int(info.mtime), info.size) == (entry.mtime, entry.size)
        assert info.linkname == entry.link
        found = {
            key.removeprefix("SCHILY.xattr."): value.encode("utf-8", "surrogateescape")
            for key, value in info.pax_headers.items()
            if key.startswith("SCHILY.xattr.")
        }
        assert found == dict(entry.xattrs)
        assert "hdrcharset" not in info.pax_headers


@pytest.mark.parametrize("length", [99, 100, 101, 155, 156, 200, 255, 256, 257, 4000])
@pytest.mark.parametrize("slash", [None, 1, 50, 99, 154, 155, 156])
def test_gnu_tar_lists_names_of_every_length_as_they_are(tmp_path: Path, length: int, slash: int | None) -> None:
    name = "n" * length
    if slash is not None and slash < length - 1:
        name = name[:slash] + "/" + name[slash + 1 :]
    archive = tmp_path / "a.tar"
    archive.write_bytes(encode_header(Entry(name, "file"), 0) + encode_header(Entry(name + "d", "directory"), 0) + END)
    listed = subprocess.run(["tar", "-tf", archive], capture_output=True, text=True, check=True)
    assert listed.stdout.splitlines() == [name, name + "d/"]
    assert listed.stderr == ""


def test_gnu_tar_restores_extended_attributes_without_complaint(tmp_path: Path) -> None:
    entry = Entry("f", "file", xattrs=(("user.note", b"\0\xff=\n"),))
    archive = tmp_path / "a.tar"
    archive.write_bytes(encode_header(entry, 0) + END)
    ran = subprocess.run(
        ["tar", "--xattrs", "-xf", archive, "-C", tmp_path], capture_output=True, text=True, check=True
    )
    assert ran.stderr == ""
    assert os.getxattr(tmp_path / "f", "user.note") == b"\0\xff=\n"


def test_a_name_is_split_at_the_first_slash_that_leaves_a_name_that_fits() -> None:
    header = encode_header(Entry("p/" * 60 + "end", "file"), 0)
    assert (header[:100], header[345:500]) == (
        (b"p/" * 48 + b"end").ljust(100, b"\0"),
        (b"p/" * 11 + b"p").ljust(155, b"\0"),
    )


@pytest.mark.parametrize(
    "name", [b"x" * 101, b"x" * 156 + b"/y", b"x" * 120 + b"/", b"\xc3\xbc", b"x/" * 60 + b"\xc3\xbc"]
)
def test_a_name_without_a_slash_in_the_right_place_or_beyond_ascii_does_not_fit(name: bytes) -> None:
    assert not fits_name(name)


@given(entries(_ASCII_PATHS, large=False))
def test_what_is_encoded_in_a_hurry_is_what_tarfile_encodes(entry: Entry) -> None:
    assert encode_header(entry, entry.mtime) == _encode_any(entry, entry.mtime)


def test_the_root_directory_is_written_as_a_dot() -> None:
    with tarfile.open(fileobj=io.BytesIO(encode_header(Entry("", "directory", 0o755), 0) + END)) as tar:
        assert tar.getnames() == ["."]
