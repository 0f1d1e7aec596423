"""Reading tars: every dialect the peers write, and nothing but LayerError for bytes that are none."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import LayerError
from builder.layer.tar_reader import read_tar
from tests.layer.archives import Member, info_of, pack

SAMPLE = [
    Member("d/", "directory", mode=0o1777, uid=5, gid=6, mtime=7),
    Member("d/f", content=b"hello", mode=0o4755),
    Member("d/" + "long" * 40, content=b"x" * 600),
    Member("d/ünï", content=b"u", xattrs=(("user.a", b"\0\xff"),)),
    Member("d/l", "symlink", link="../" + "t" * 150, mode=0o777),
    Member("d/h", "hardlink", link="d/f"),
    Member("d/c", "character", device=(5, 1)),
    Member("d/b", "block", device=(259, 70000)),
    Member("d/p", "fifo"),
]


def read(data: bytes) -> list[tuple[object, ...]]:
    return [
        (m.entry.path, m.entry.kind, m.entry.mode, m.entry.uid, m.entry.gid, m.entry.mtime, m.entry.link,
         m.entry.device, m.entry.xattrs, m.read(-1))
        for m in read_tar(io.BytesIO(data))
    ]  # fmt: skip


def expected(members: list[Member], *, xattrs: bool = True) -> list[tuple[object, ...]]:
    return [
        (m.name.rstrip("/"), m.kind, m.mode, m.uid, m.gid, m.mtime, m.link, m.device,
         m.xattrs if xattrs else (), m.content)
        for m in members
    ]  # fmt: skip


@pytest.mark.parametrize("dialect", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_each_dialect_of_tarfile_reads_the_same(dialect: int) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=dialect) as tar:
        for member in SAMPLE:
            tar.addfile(info_of(member), io.BytesIO(member.content))
    assert read(buffer.getvalue()) == expected(SAMPLE, xattrs=dialect == tarfile.PAX_FORMAT)


@pytest.mark.parametrize("dialect", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_each_dialect_of_gnu_tar_reads_the_same(tmp_path: Path, dialect: str) -> None:
    (tmp_path / "t" / "sub").mkdir(parents=True)
    (tmp_path / "t" / "sub" / "f").write_bytes(b"data")
    (tmp_path / "t" / "l").symlink_to("sub/f")
    ran = subprocess.run(
        ["tar", f"--format={dialect}", "--sort=name", "-C", tmp_path / "t", "-cf", "-", "."],
        capture_output=True,
        check=True,
    )
    found = [(m.entry.path, m.entry.kind, m.entry.link, m.read(-1)) for m in read_tar(io.BytesIO(ran.stdout))]
    assert found == [
        ("", "directory", "", b""),
        ("l", "symlink", "sub/f", b""),
        ("sub", "directory", "", b""),
        ("sub/f", "file", "", b"data"),
    ]


def test_numbers_in_base_256_are_read() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(info_of(Member("f", uid=3_000_000_000, gid=2**31, mtime=-5)))
    (member,) = read_tar(io.BytesIO(buffer.getvalue()))
    assert (member.entry.uid, member.entry.gid, member.entry.mtime) == (3_000_000_000, 2**31, -5)


def test_a_fractional_time_is_rounded_down() -> None:
    for text, seconds in (("1.9", 1), ("-1.5", -2), ("-1", -1), ("-0.0", 0), ("12.", 12)):
        info = info_of(Member("f"))
        info.pax_headers = {"mtime": text}
        (member,) = read_tar(io.BytesIO(info.tobuf(tarfile.PAX_FORMAT) + bytes(1024)))
        assert member.entry.mtime == seconds


def test_global_headers_are_passed_over_as_docker_does() -> None:
    buffer = io.BytesIO()
    headers = {"path": "evil", "comment": "0" * 40}
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers=headers) as tar:
        tar.addfile(info_of(Member("good")))
    assert [member.entry.path for member in read_tar(io.BytesIO(buffer.getvalue()))] == ["good"]


def test_names_are_cleaned() -> None:
    data = pack([Member("./a//b/./c"), Member("/abs"), Member("x/../y"), Member("./", "directory"), Member("a..b/.c.")])
    assert [m.entry.path for m in read_tar(io.BytesIO(data))] == ["a/b/c", "abs", "y", "", "a..b/.c."]


def test_an_unread_member_is_passed_over() -> None:
    data = pack([Member("a", content=b"x" * 1_000_000), Member("b", content=b"y")])
    assert [member.entry.path for member in read_tar(io.BytesIO(data))] == ["a", "b"]


def test_the_offset_is_where_the_content_begins() -> None:
    data = pack(SAMPLE)
    for member in read_tar(io.BytesIO(data)):
        assert data[member.offset : member.offset + member.entry.size] == member.read(-1)


def test_the_stream_is_read_to_its_end() -> None:
    stream = io.BytesIO(pack([Member("a")]) + b"trailing" * 1000)
    list(read_tar(stream))
    assert stream.read() == b""


def test_an_empty_stream_and_an_empty_archive_have_no_members() -> None:
    assert list(read_tar(io.BytesIO(b""))) == []
    assert list(read_tar(io.BytesIO(bytes(1024)))) == []


@pytest.mark.parametrize("step", [1, 100, 511, 512, 513, 700, 1025])
def test_a_stream_cut_short_anywhere_is_an_error_or_fewer_members(step: int) -> None:
    data = pack([Member("a", content=b"x" * 600), Member("é", content=b"y" * 10)])
    whole = len(list(read_tar(io.BytesIO(data))))
    for end in range(step, 512 * 7, step):
        try:
            found = len(list(read_tar(io.BytesIO(data[:end]))))
        except LayerError as error:
            found = 0 if "cut short" in error.message else whole + 1
        assert found <= whole


class _Dribble:
    """A stream that gives a few bytes at a time, as sockets do."""

    def __init__(self, data: bytes, step: int) -> None:
        self._stream, self._step = io.BytesIO(data), step

    def read(self, size: int, /) -> bytes:
        return self._stream.read(min(size, self._step))


@pytest.mark.parametrize("step", [1, 3, 512, 1000])
def test_a_stream_may_give_less_than_it_is_asked_for(step: int) -> None:
    data = pack(SAMPLE)
    found = [(m.entry.path, m.read(-1)) for m in read_tar(_Dribble(data, step))]
    assert found == [(m.entry.path, m.read(-1)) for m in read_tar(io.BytesIO(data))]


@given(st.binary(max_size=4096))
def test_any_bytes_give_members_or_a_layer_error(data: bytes) -> None:
    try:
        for member in read_tar(io.BytesIO(data)):
            member.read(-1)
    except LayerError:
        pass


@given(st.data())
@settings(max_examples=500)
def test_a_damaged_archive_gives_members_or_a_layer_error(data: st.DataObject) -> None:
    archive = bytearray(pack(SAMPLE))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(archive) - 1))
        archive[at] = data.draw(st.integers(0, 255))
        if data.draw(st.booleans()):  # make the checksum right again, so that what lies behind it is reached
            block = at - at % 512
            archive[block + 148 : block + 156] = b" " * 8
            archive[block + 148 : block + 156] = b"%06o\0 " % sum(archive[block : block + 512])
    try:
        for member in read_tar(io.BytesIO(bytes(archive))):
            member.read(-1)
            path = member.entry.path
            assert not path.startswith("/")
            assert ".." not in path.split("/")
            assert "\0" not in path
    except LayerError:
        pass
