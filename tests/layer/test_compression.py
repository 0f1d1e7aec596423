"""Compressed streams: all kinds in, ours out, the same bytes for the same input."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import subprocess

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import LayerError
from builder.layer.compression import Compression, open_decompressed, sniff
from builder.layer.compressor import Compressor

TEXT = b"".join(b"line %d of something that compresses\n" % number for number in range(60_000))
PACKED: dict[Compression, bytes] = {
    "gzip": gzip.compress(TEXT, mtime=0),
    "zstd": zstd.compress(TEXT),
    "bzip2": bz2.compress(TEXT),
    "xz": lzma.compress(TEXT),
    "uncompressed": TEXT,
}


@pytest.mark.parametrize("compression", PACKED)
def test_each_compression_is_found_by_its_content_and_undone(compression: Compression) -> None:
    stream = open_decompressed(io.BytesIO(PACKED[compression]))
    assert stream.compression == compression
    assert stream.read() == TEXT
    assert stream.read(10) == b""


@pytest.mark.parametrize("compression", [name for name in PACKED if name != "uncompressed"])
def test_several_streams_one_after_another_are_one(compression: Compression) -> None:
    assert open_decompressed(io.BytesIO(PACKED[compression] * 3)).read() == TEXT * 3


def test_padding_after_a_gzip_stream_is_no_matter() -> None:
    assert open_decompressed(io.BytesIO(PACKED["gzip"] + bytes(5000))).read() == TEXT


def test_a_zstd_stream_may_begin_with_a_skippable_frame() -> None:
    frame = (0x184D2A50).to_bytes(4, "little") + (5).to_bytes(4, "little") + b"hello"
    assert sniff(frame) == "zstd"
    assert open_decompressed(io.BytesIO(frame + PACKED["zstd"] + frame)).read() == TEXT


@pytest.mark.parametrize("compression", [name for name in PACKED if name != "uncompressed"])
def test_a_stream_cut_short_is_an_error(compression: Compression) -> None:
    for end in (20, len(PACKED[compression]) // 2, len(PACKED[compression]) - 1):
        with pytest.raises(LayerError, match=r"cut short|damaged"):
            open_decompressed(io.BytesIO(PACKED[compression][:end])).read()


def test_something_else_after_the_stream_is_an_error() -> None:
    with pytest.raises(LayerError, match="followed by something else"):
        open_decompressed(io.BytesIO(PACKED["gzip"] + b"garbage that is long enough")).read()


@given(st.binary(max_size=400), st.sampled_from([b"", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"BZh9", b"\xfd7zXZ\0"]))
def test_any_bytes_give_bytes_or_a_layer_error(data: bytes, magic: bytes) -> None:
    with contextlib.suppress(LayerError):
        open_decompressed(io.BytesIO(magic + data)).read()


@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 20])
def test_reads_of_any_size_give_the_same(size: int) -> None:
    stream = open_decompressed(io.BytesIO(PACKED["zstd"][:]))
    data = b"".join(iter(lambda: stream.read(size), b"")) if size > 1 else stream.read(1)
    assert data == TEXT[: len(data)]
    assert len(data) in (1, len(TEXT))


@pytest.mark.parametrize("compression", ["gzip", "zstd", "uncompressed"])
@pytest.mark.parametrize("reproducible", [False, True])
def test_how_the_input_is_cut_makes_no_difference(compression: Compression, reproducible: bool) -> None:
    data = TEXT + os.urandom(3 << 20)
    results = set()
    for step in (1 << 14, 777_777, 1 << 20, len(data)):
        blocks: list[bytes] = []
        compressor = Compressor(blocks.append, compression, reproducible=reproducible)
        for at in range(0, len(data), step):
            compressor.write(data[at : at + step])
        compressor.finish()
        results.add(b"".join(blocks))
    (packed,) = results
    assert open_decompressed(io.BytesIO(packed)).read() == data


def test_a_gzip_header_has_no_time_and_gzip_reads_it() -> None:
    blocks: list[bytes] = []
    compressor = Compressor(blocks.append, "gzip")
    compressor.write(TEXT)
    compressor.finish()
    packed = b"".join(blocks)
    assert packed[4:8] == bytes(4)
    assert subprocess.run(["gzip", "-dc"], input=packed, capture_output=True, check=True).stdout == TEXT


def test_nothing_at_all_is_still_a_stream() -> None:
    for compression in ("gzip", "zstd"):
        blocks: list[bytes] = []
        Compressor(blocks.append, compression).finish()
        assert open_decompressed(io.BytesIO(b"".join(blocks))).read() == b""


def test_layers_are_not_written_as_bzip2() -> None:
    with pytest.raises(LayerError, match="cannot be written as bzip2"):
        Compressor(lambda _: None, "bzip2")
