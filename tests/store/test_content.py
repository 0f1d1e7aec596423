"""Blobs: written whole or not at all, checked, shared."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import BlobNotFound, DigestMismatch, StoreError
from builder.oci.digest import Digest, digest_of
from builder.store.store import Store, open_store


def write(store: Store, blocks: list[bytes], expected: Digest | None = None, size: int | None = None) -> Digest:
    with store.blobs.ingest(expected, size) as blob:
        for block in blocks:
            blob.write(block)
        return blob.commit()


def test_a_blob_comes_back_byte_for_byte(store: Store) -> None:
    digest = store.blobs.put(b"some bytes")
    assert digest == digest_of(b"some bytes")
    assert store.blobs.read(digest, 100) == b"some bytes"
    assert store.blobs.size(digest) == 10
    assert stat.S_IMODE(os.stat(store.blobs.path(digest)).st_mode) == 0o644


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=3000), max_size=12))
def test_any_sequence_of_writes_is_one_blob(tmp_path_factory: pytest.TempPathFactory, blocks: list[bytes]) -> None:
    with open_store(str(tmp_path_factory.getbasetemp() / "any")) as store, store.blobs.ingest() as blob:
        for block in blocks:
            blob.write(block)
        digest = blob.commit()
        assert digest == digest_of(b"".join(blocks))
        assert store.blobs.read(digest, 1 << 20) == b"".join(blocks)


def test_a_big_stream_is_hashed_beside_its_writer_and_stays_whole(store: Store) -> None:
    blocks = [bytes([number]) * (1 << 20) for number in range(70)]
    with store.blobs.ingest() as blob:
        for block in blocks:
            blob.write(block)
        digest = blob.commit()
    assert digest == "sha256:" + hashlib.sha256(b"".join(blocks)).hexdigest()
    assert store.blobs.size(digest) == 70 << 20


def test_sha512_blobs_live_in_their_own_directory(store: Store) -> None:
    expected = Digest("sha512:" + hashlib.sha512(b"x").hexdigest())
    assert store.blobs.put(b"x", expected) == expected
    assert store.blobs.path(expected).endswith(f"blobs/sha512/{expected.encoded}")


def test_a_blob_that_is_there_already_is_not_written_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = store.blobs.put(b"x")
    monkeypatch.setattr(store.blobs, "ingest", lambda *_: pytest.fail("written again"))
    assert store.blobs.put(b"x") == store.blobs.put(b"x", digest) == digest


def test_bytes_of_another_blob_that_is_there_are_refused(store: Store) -> None:
    store.blobs.put(b"b")
    with pytest.raises(DigestMismatch, match="other bytes"):
        store.blobs.put(b"b", digest_of(b"a"))


def test_a_blob_that_is_not_committed_leaves_nothing(store: Store) -> None:
    with store.blobs.ingest() as blob:
        blob.write(b"half")
    assert list(store.blobs.walk()) == []
    assert [name for _, _, names in os.walk(f"{store.root}/tmp") for name in names] == []


def test_bytes_of_another_digest_are_refused(store: Store) -> None:
    with pytest.raises(DigestMismatch, match="other bytes"):
        write(store, [b"b"], digest_of(b"a"), 1)
    assert list(store.blobs.walk()) == []


def test_too_many_bytes_are_refused_before_they_are_written(store: Store) -> None:
    with (
        pytest.raises(DigestMismatch, match="longer than the 3 bytes"),
        store.blobs.ingest(digest_of(b"abc"), 3) as blob,
    ):
        blob.write(b"abcd")


def test_too_few_bytes_are_refused(store: Store) -> None:
    with pytest.raises(DigestMismatch, match="2 bytes long, not 3"):
        write(store, [b"ab"], digest_of(b"abc"), 3)


def test_a_missing_blob_is_an_error_of_its_own(store: Store) -> None:
    for read in (store.blobs.size, store.blobs.open, lambda digest: store.blobs.read(digest, 9)):
        with pytest.raises(BlobNotFound):
            read(digest_of(b"nowhere"))


def test_reading_stops_at_the_limit(store: Store) -> None:
    digest = store.blobs.put(b"12345")
    with pytest.raises(StoreError, match="longer than the 4 bytes"):
        store.blobs.read(digest, 4)


def test_files_that_are_no_blobs_are_passed_over(store: Store) -> None:
    digest = store.blobs.put(b"x")
    Path(store.blobs.directory, "sha256", "README").write_text("hello")
    assert list(store.blobs.walk()) == [(digest, 1)]


def test_threads_that_write_the_same_blob_agree(store: Store) -> None:
    data = os.urandom(200_000)
    threads = [threading.Thread(target=store.blobs.put, args=(data,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.blobs.read(digest_of(data), 1 << 20) == data
    assert len(list(store.blobs.walk())) == 1


class _FullDisk:
    """Stands for os.write on a disk that has room for `left` bytes."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.real = os.write

    def __call__(self, descriptor: int, data: bytes | memoryview) -> int:
        if len(data) > self.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.left -= len(data)
        return self.real(descriptor, data)


@pytest.mark.parametrize("left", [0, 10 << 20], ids=["at once", "in the thread that writes"])
def test_a_full_disk_is_a_clear_error_with_a_way_out(store: Store, monkeypatch: pytest.MonkeyPatch, left: int) -> None:
    monkeypatch.setattr("builder.store.pipeline.os.write", _FullDisk(left))
    with pytest.raises(StoreError, match="no space left on device") as caught:
        write(store, [bytes(1 << 20)] * 40)
    assert "prune" in caught.value.hint
    monkeypatch.undo()
    assert [name for _, _, names in os.walk(f"{store.root}/tmp") for name in names] == []


def test_a_write_back_that_fails_early_fails_the_commit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("builder.store.pipeline.os.fdatasync", broken)
    with pytest.raises(StoreError, match="input/output error"):
        write(store, [bytes([number]) * (1 << 20) for number in range(80)])
    assert list(store.blobs.walk()) == []
