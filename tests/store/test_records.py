"""Cache records, layers, plans and origins: what the database remembers."""

from __future__ import annotations

import gzip
import multiprocessing
import os
import sqlite3
from pathlib import Path

import pytest

from builder.errors import DigestMismatch, StoreError
from builder.layer.compression import open_decompressed
from builder.oci.descriptor import Descriptor
from builder.oci.digest import DiffID, digest_of
from builder.oci.media_type import OCI_LAYER, OCI_LAYER_GZIP
from builder.store.layers import LayerRecord
from builder.store.records import CacheRecord
from builder.store.store import Store, open_store


def put_layer(store: Store, data: bytes) -> LayerRecord:
    digest = store.blobs.put(data)
    Path(store.layers.index_path(DiffID(digest))).write_bytes(b"index")
    descriptor = Descriptor(media_type=OCI_LAYER, digest=digest, size=len(data))
    return LayerRecord(descriptor=descriptor, diff_id=DiffID(digest), entries=3, files=2, bytes=len(data))


def make_record(store: Store, text: str, created: int = 1, name: str = "name") -> CacheRecord:
    preimage = f'{{"a":"{text}"}}'.encode()
    layer = put_layer(store, text.encode())
    return CacheRecord(
        key=digest_of(preimage),
        definition=digest_of(b"def"),
        preimage=preimage,
        layer=layer,
        created=created,
        description=name,
    )


def test_a_record_comes_back_as_it_was_put(store: Store) -> None:
    record = make_record(store, "x")
    store.records.put(record)
    assert store.records.find(record.key) == record
    with open_store(store.root) as other:
        assert other.records.find(record.key) == record
        assert other.records.has_definition(record.definition)
        assert not other.records.has_definition(digest_of(b"other"))


@pytest.mark.parametrize("lost", ["blob", "index"])
def test_a_record_whose_layer_is_gone_is_as_good_as_none(store: Store, lost: str) -> None:
    record = make_record(store, "x")
    store.records.put(record)
    assert record.layer is not None
    os.unlink(
        store.blobs.path(record.layer.diff_id) if lost == "blob" else store.layers.index_path(record.layer.diff_id)
    )
    assert store.records.find(record.key) is None
    assert store.records.preimage(record.key) == record.preimage, "it still explains"


def test_the_latest_record_of_a_place_is_the_newest(store: Store) -> None:
    assert store.records.latest("name") is None
    records = [make_record(store, text, created=number) for number, text in enumerate(["old", "newer", "newest"])]
    for record in records:
        store.records.put(record)
    assert store.records.latest("name") == records[-1].key
    store.records.delete([records[-1].key])
    assert store.records.latest("name") == records[-2].key
    assert store.records.preimage(records[-1].key) is None


def test_facts_go_with_their_records(store: Store) -> None:
    record = make_record(store, "x")
    store.facts.delete([record.key])
    store.facts.put(record.key, b"facts")
    assert store.facts.find(record.key) == b"facts"
    store.facts.delete([record.key])
    assert store.facts.find(record.key) is None


def test_pulling_a_layer_that_was_built_here_does_not_change_what_the_cache_gives(store: Store) -> None:
    record = make_record(store, "x")
    store.records.put(record)
    assert record.layer is not None
    packed = store.blobs.put(gzip.compress(b"x"))
    form = Descriptor(media_type=OCI_LAYER_GZIP, digest=packed, size=store.blobs.size(packed))
    store.layers.put(LayerRecord(descriptor=form, diff_id=record.layer.diff_id))
    assert store.records.find(record.key) == record
    assert store.layers.find_diff_id(packed) == record.layer.diff_id
    store.blobs.delete(record.layer.diff_id)
    store.layers.put(LayerRecord(descriptor=form, diff_id=record.layer.diff_id))
    found = store.layers.find(record.layer.diff_id)
    assert found is not None
    assert found.descriptor.digest == packed


def test_compressed_forms_are_remembered_by_codec_and_level(store: Store) -> None:
    layer = put_layer(store, b"x")
    form = Descriptor(media_type=OCI_LAYER_GZIP, digest=digest_of(b"packed"), size=6)
    store.layers.put_compressed(layer.diff_id, "gzip", 6, form)
    assert store.layers.find_compressed(layer.diff_id, "gzip", 6) == form
    assert store.layers.find_compressed(layer.diff_id, "gzip", 1) is None


def test_a_compressed_layer_is_unpacked_once_and_checked(store: Store) -> None:
    tar = b"not really a tar" * 1000
    packed = store.blobs.put(gzip.compress(tar))
    form = Descriptor(media_type=OCI_LAYER_GZIP, digest=packed, size=store.blobs.size(packed))
    good = LayerRecord(descriptor=form, diff_id=DiffID(digest_of(tar)))
    path = store.layers.uncompressed_path(good, open_decompressed)
    assert Path(path).read_bytes() == tar
    assert store.layers.uncompressed_path(good, lambda _: pytest.fail("unpacked twice")) == path
    wrong = LayerRecord(descriptor=form, diff_id=DiffID(digest_of(b"something else")))
    with pytest.raises(DigestMismatch, match="does not unpack to its diff ID"):
        store.layers.uncompressed_path(wrong, open_decompressed)


def test_looking_up_records_writes_nothing(store: Store) -> None:
    store.records.put(make_record(store, "x"))
    store.database.close()
    before = Path(store.database.path).read_bytes()
    with open_store(store.root) as other:
        assert other.records.find(digest_of(b'{"a":"x"}')) is not None
    assert Path(store.database.path).read_bytes() == before


def test_plans_and_origins_are_kept(store: Store) -> None:
    key = digest_of(b"k")
    assert store.documents.find(key) is None
    store.documents.put(key, b"{}")
    store.origins.put(key, "docker.io/library/x")
    with open_store(store.root) as other:
        assert other.documents.find(key) == b"{}"
        assert other.origins.find(key) == "docker.io/library/x"
    store.documents.delete_before(1 << 40)
    assert store.documents.find(key) is None


def test_a_database_of_another_version_is_named_with_what_to_do(store: Store) -> None:
    store.documents.put(digest_of(b"k"), b"{}")
    store.database.close()
    with sqlite3.connect(store.database.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with open_store(store.root) as other, pytest.raises(StoreError, match="has version 99") as caught:
        other.records.walk()
    assert "only cached results are lost" in caught.value.hint


def test_a_damaged_database_is_set_aside_and_made_anew_with_a_note(store: Store) -> None:
    store.documents.put(digest_of(b"k"), b"{}")
    store.close()
    Path(store.database.path).write_bytes(b"garbage" * 1000)
    record = make_record(store, "x")
    said: list[str] = []
    with open_store(store.root, notify=said.append) as other:
        assert other.records.walk() == []
        other.records.put(record)
        assert other.records.find(record.key) == record
    assert len(said) == 1
    assert "images stay" in said[0]
    assert Path(f"{store.database.path}.damaged").read_bytes() == b"garbage" * 1000


def test_a_transaction_that_fails_changes_nothing(store: Store) -> None:
    def fail_inside() -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO plan VALUES ('k', '{}', 1)")
            raise KeyError("x")

        store.database.change(work)

    with pytest.raises(KeyError):
        fail_inside()
    assert store.database.rows("SELECT * FROM plan") == []


def _put_many(root: str, worker: int) -> None:
    with open_store(root) as store:
        for number in range(15):
            record = make_record(store, f"{worker}-{number}")
            store.records.put(record)
            assert store.records.find(record.key) == record


def test_processes_that_record_at_once_from_the_first_moment_lose_nothing(store: Store) -> None:
    workers = [multiprocessing.Process(target=_put_many, args=(store.root, number)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    assert len(store.records.walk()) == 90
