"""What prune takes and what it leaves."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.oci.descriptor import Descriptor
from builder.oci.media_type import OCI_LAYER
from builder.store.prune import carry_out, prune
from builder.store.prune_plan import PrunePolicy, what_to_prune
from builder.store.store import Store, open_store
from tests.store.test_records import make_record


def _set_used(store: Store, description: str, timestamp: int) -> None:
    store.database.change(
        lambda connection: connection.execute(
            "UPDATE record SET used = ? WHERE description = ?", (timestamp, description)
        )
    )


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


def test_a_plan_takes_nothing_until_it_is_carried_out(store: Store) -> None:
    stray = store.blobs.put(b"nobody's")
    record = make_record(store, "x")
    store.records.put(record)
    assert record.layer is not None
    plan = what_to_prune(store, PrunePolicy(unused_for=0))
    assert (plan.rubbish, plan.records) == ((stray,), ((record.key, "name"),))
    assert plan.blobs == (record.layer.diff_id,)
    assert what_to_prune(store, PrunePolicy(unused_for=0)) == plan
    assert store.blobs.has(stray)
    carry_out(store, plan)
    assert what_to_prune(store, PrunePolicy(unused_for=0)).all_blobs == ()
    assert store.records.find(record.key) is None


def test_the_least_recently_used_records_go_first_until_the_rest_fits(store: Store) -> None:
    for number in range(4):
        store.records.put(make_record(store, f"{number}" * 1000, name=f"step {number}"))
        _set_used(store, f"step {number}", 100 - number)
    report = prune(store, keep_bytes=2000)
    assert sorted(report.records) == ["step 2", "step 3"]
    assert sum(size for _, size in store.blobs.walk()) == 2000


def test_what_was_used_lately_stays_even_where_it_does_not_fit(store: Store) -> None:
    for number in range(3):
        store.records.put(make_record(store, f"{number}" * 1000, name=f"step {number}"))
    _set_used(store, "step 0", int(time.time()) - 7200)
    assert prune(store, keep_bytes=2500, kept_for=86_400).records == ()
    assert prune(store, keep_bytes=0, kept_for=3600).records == ("step 0",)


def test_nothing_is_pruned_under_a_running_build(store: Store) -> None:
    stray = store.blobs.put(b"nobody's")
    record = make_record(store, "x")
    store.records.put(record)
    unused = make_record(store, "y")
    store.records.put(unused)
    assert record.layer is not None
    with open_store(store.root) as build, build.lease():
        fresh = build.blobs.put(b"not named yet")
        assert build.records.find(record.key) is not None
        report = prune(store, unused_for=0)
        assert (report.builds, report.left.records, report.left.blobs) == (1, 1, 1)
        assert len(report.records) == 1
        assert build.blobs.read(fresh, 99) == b"not named yet"
        assert build.records.find(record.key) == record
        assert not store.blobs.has(stray)
        assert store.records.find(unused.key) is None
    assert prune(store, unused_for=0).left.records == 0
    assert not store.blobs.has(fresh)
    assert store.records.find(record.key) is None


def test_what_a_dead_build_used_is_not_spared(store: Store) -> None:
    child = os.fork()
    if child == 0:
        lease = store.lease()
        lease.__enter__()
        store.blobs.put(b"left behind")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert len(os.listdir(f"{store.root}/leases")) == 2
    assert len(prune(store).blobs) == 1
    assert os.listdir(f"{store.root}/leases") == ["gate"]


def test_a_build_that_cannot_write_down_what_it_uses_keeps_everything(store: Store) -> None:
    stray = store.blobs.put(b"x")
    with open_store(store.root) as build, build.lease(everything=True):
        with pytest.raises(StoreError, match="in use as a whole"):
            prune(store)
        assert store.blobs.has(stray)
    prune(store)
    assert not store.blobs.has(stray)


def test_a_build_whose_lease_cannot_grow_keeps_everything_until_it_ends(store: Store) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open_store(store.root) as build, build.lease():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # write(2) then says EFBIG
        try:
            before = len(os.listdir("/proc/self/fd"))
            for number in range(200):
                build.leases.pin(f"mounts/{number:064}")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert len(os.listdir("/proc/self/fd")) == before + 1
        with pytest.raises(StoreError, match="in use as a whole"):
            prune(store)
    prune(store)


def test_a_dangling_image_stays_while_a_build_stands_on_it(store: Store) -> None:
    descriptor = Descriptor(media_type=OCI_LAYER, digest=store.blobs.put(b"image"), size=5)
    store.names.add(descriptor)
    with open_store(store.root) as build, build.lease():
        build.blobs.read(descriptor.digest, 9)
        assert prune(store).left.images == 1
        assert [entry.digest for entry in store.names.dangling()] == [descriptor.digest]
    assert prune(store).images == (descriptor.digest,)


def test_caches_and_unpacked_layers_of_running_builds_stay(store: Store) -> None:
    for name in ("mounts/apt", "mounts/npm", f"snapshots/{'1' * 64}.root", f"snapshots/{'2' * 64}.root"):
        Path(store.root, name).mkdir()
    with open_store(store.root) as build, build.lease():
        build.leases.pin("mounts/apt", f"snapshots/{'1' * 64}.root")
        prune(store, cache_mounts=True)
    assert os.listdir(store.mounts) == ["apt"]
    assert os.listdir(store.snapshots) == [f"{'1' * 64}.root"]


def test_waiting_lets_the_builds_end_that_are_running_and_no_others(store: Store) -> None:
    with open_store(store.root) as first:
        lease = first.lease()
        lease.__enter__()
        threading.Timer(0.3, lease.__exit__, (None, None, None)).start()
        begun = time.monotonic()
        store.leases.wait()
        assert time.monotonic() - begun > 0.2
    assert store.leases.running() == 0


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
    lock = Path(store.mounts, "apt", "0.lock")
    lock.touch()
    os.utime(lock, (0, time.time() - 3600))
    prune(store, cache_mounts=True, unused_for=7200)
    assert os.listdir(store.mounts) == ["apt"]
    prune(store, cache_mounts=True, unused_for=1800)
    assert os.listdir(store.mounts) == []


@pytest.mark.parametrize("put", [os.mkfifo, os.mkdir, lambda path: Path(path).write_bytes(b"\xff\0\n")])
def test_what_is_no_lease_is_not_waited_for(store: Store, put: Callable[[str], object]) -> None:
    with store.lease():
        pass
    put(f"{store.root}/leases/stray")
    assert prune(store).builds == 0
    assert store.leases.running() == 0
