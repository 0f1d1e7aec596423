"""What prune takes and what it leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.store.prune import prune
from builder.store.store import Store, open_store
from tests.store.test_records import make_record


def test_layers_of_cache_records_stay_until_the_records_go(store: Store) -> None:
    record = make_record(store, "x")
    assert record.layer is not None
    store.records.put(record)
    assert prune(store).blobs == ()
    assert prune(store, unused_for=3600).records == ()
    report = prune(store, unused_for=0)
    assert report.records == ("name",)
    assert report.blobs == (record.layer.diff_id,)
    assert store.records.find(record.key) is None
    assert not os.path.exists(store.layers.index_path(record.layer.diff_id))


def test_the_least_recently_used_records_go_first_until_the_rest_fits(store: Store) -> None:
    for number in range(4):
        store.records.put(make_record(store, f"{number}" * 1000, name=f"step {number}"))
        with store.database.write() as connection:
            connection.execute("UPDATE record SET used = ? WHERE description = ?", (100 - number, f"step {number}"))
    report = prune(store, keep_bytes=2000)
    assert sorted(report.records) == ["step 2", "step 3"]
    assert sum(size for _, size in store.blobs.walk()) == 2000


def test_nothing_is_pruned_under_a_running_build(store: Store) -> None:
    stray = store.blobs.put(b"not named yet")
    with open_store(store.root) as build, build.lease(), pytest.raises(StoreError, match="in use by a build"):
        prune(store)
    assert store.blobs.has(stray)


def test_unpacked_layers_go_with_their_layer_and_locks_stay(store: Store) -> None:
    record = make_record(store, "x")
    assert record.layer is not None
    store.records.put(record)
    kept = Path(store.snapshots, f"{record.layer.diff_id.encoded}.overlay")
    gone = Path(store.snapshots, f"{'0' * 64}.overlay")
    for path in (kept, gone, Path(store.snapshots, "locks")):
        (path / "deep").mkdir(parents=True)
    (gone / "deep/file").write_bytes(bytes(10_000))
    os.chmod(gone / "deep", 0o500)
    assert prune(store).bytes >= 10_000
    assert sorted(os.listdir(store.snapshots)) == sorted([kept.name, "locks"])


def test_cache_mounts_go_only_when_asked(store: Store) -> None:
    Path(store.mounts, "apt").mkdir()
    prune(store, unused_for=0)
    assert os.listdir(store.mounts) == ["apt"]
    prune(store, cache_mounts=True)
    assert os.listdir(store.mounts) == []
