"""How much a layer or an archive may grow when it is unpacked: by ratio and size together, in each compression."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable

import pytest
from backports import zstd

from builder.errors import LayerError
from builder.layer.compression import open_decompressed, open_stored
from builder.layer.limits import ANY_GROWTH, GIB, LIMITS, MIB, Limits, limits_for

SMALL = Limits(ratio_free_bytes=MIB)
CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "gzip in many parts": lambda data: b"".join(
        gzip.compress(data[at : at + 65_536]) for at in range(0, len(data), 65_536)
    ),
}


def drain(data: bytes, limits: Limits) -> int:
    stream = open_decompressed(io.BytesIO(data), limits)
    return sum(len(block) for block in iter(lambda: stream.read(MIB // 4), b""))


@pytest.mark.rule("Z-29")
@pytest.mark.parametrize("codec", CODECS)
def test_what_grows_beyond_ratio_and_size_is_refused(codec: str) -> None:
    packed = CODECS[codec](bytes(8 * MIB))
    with pytest.raises(LayerError, match=r"grows more than 100 times .* beyond 1048576 bytes") as caught:
        drain(packed, SMALL)
    assert "--allow-large-layers" in (caught.value.hint or "")


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_below_the_size_may_grow_as_it_likes(codec: str) -> None:
    assert drain(CODECS[codec](bytes(MIB)), SMALL) == MIB


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_below_the_ratio_may_be_as_long_as_it_likes(codec: str) -> None:
    import random

    noise = random.Random(1).randbytes(128 * 1024)
    data = (noise + bytes(MIB)) * 6
    assert drain(CODECS[codec](data), SMALL) == len(data)


@pytest.mark.parametrize("codec", CODECS)
def test_nothing_of_it_counts_for_who_is_allowed_and_for_what_is_here_already(codec: str) -> None:
    packed = CODECS[codec](bytes(8 * MIB))
    assert drain(packed, limits_for(large=True)) == 8 * MIB
    assert len(open_stored(io.BytesIO(packed)).read()) == 8 * MIB


def test_the_limits_let_a_sparse_gibibyte_in_and_not_three() -> None:
    """Five megabytes are six hundredths of three gigabytes: less than deflate can do."""
    assert limits_for(large=False) is LIMITS
    assert not LIMITS.are_outgrown(GIB, GIB // 1032)
    assert not LIMITS.are_outgrown(40 * GIB, GIB)
    assert LIMITS.are_outgrown(3_000_000_000, 5_000_000)
    assert not ANY_GROWTH.are_outgrown(3_000_000_000, 5_000_000)
