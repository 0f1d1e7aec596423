"""Values of secrets in the bytes of a layer: found wherever the blocks end, never by chance."""

from __future__ import annotations

import pytest

from builder.solve.secret_watch import SecretWatch, watch_for


def watched(watch: SecretWatch, *blocks: bytes) -> dict[str, int]:
    written: list[bytes] = []
    write = watch.watching(written.append)
    for block in blocks:
        write(block)
    assert written == list(blocks)
    return watch.found


@pytest.mark.parametrize("size", [1, 2, 5, 7, 100])
def test_a_value_is_found_wherever_the_blocks_end(size: int) -> None:
    data = b"x" * 37 + b"tok-en-1" + b"y" * 11 + b"tok-en-1"
    watch = watch_for({"s": b"tok-en-1\n", "t": b"another one"})
    assert watch is not None
    assert watched(watch, *(data[at : at + size] for at in range(0, len(data), size))) == {"s": 37}


@pytest.mark.parametrize(
    ("value", "is_sought"), [(b"", False), (b"12345", False), (b" 12345 \n", False), (b"123456", True)]
)
def test_short_values_are_not_looked_for(value: bytes, is_sought: bool) -> None:
    assert (watch_for({"s": value}) is not None) == is_sought


def test_bytes_that_are_no_text_are_looked_for_as_they_are() -> None:
    watch = watch_for({"s": b"\0\1\2\3\4\n"})
    assert watch is not None
    assert watched(watch, b"\0\1\2\3\4") == {}
    assert watched(watch, b"\n") == {"s": 0}
