"""kill -9 at any moment: nothing that was committed is lost, nothing half-done is visible."""

from __future__ import annotations

import os
import random
import select
import signal
import time
from pathlib import Path

from builder.layer.compression import open_decompressed
from builder.oci import canonical
from builder.oci.descriptor import Descriptor
from builder.oci.digest import digest_of
from builder.oci.media_type import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from builder.store.store import Store, open_store
from builder.store.verify import verify_store
from tests.store.test_records import make_record

KILLS = 50


def _image(store: Store, number: int) -> Descriptor:
    """Write an image as a build does: layer, config, manifest."""
    record = make_record(store, f"{number}" * (50_000 if number % 3 == 0 else 10))
    assert record.layer is not None
    store.records.put(record)
    config = canonical.encode(
        {
            "architecture": "amd64",
            "os": "linux",
            "n": number,
            "rootfs": {"type": "layers", "diff_ids": [record.layer.diff_id]},
        }
    )
    digest = store.blobs.put(config)
    document = {
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": digest, "size": len(config)},
        "layers": [{"mediaType": OCI_LAYER, "digest": record.layer.diff_id, "size": record.layer.descriptor.size}],
    }  # fmt: skip
    manifest = canonical.encode(document)
    return Descriptor(media_type=OCI_MANIFEST, digest=store.blobs.put(manifest), size=len(manifest))


def _work(root: str, start: int, report: int) -> None:
    store = open_store(root)
    for number in range(start, start + 10_000):
        store.names.set(f"docker.io/library/i{number}:latest", _image(store, number))
        os.write(report, b"%d\n" % number)


def test_fifty_kills_at_random_moments_lose_nothing_that_was_committed(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    chance = random.Random(2)
    committed: list[int] = []
    for kill in range(KILLS):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                _work(root, kill * 10_000, writing)
            finally:
                os._exit(1)
        os.close(writing)
        if kill % 4:  # most of them in the middle of the work, some while the store is being opened
            ready = select.poll()  # not select(2): descriptors may be beyond 1023 in a long test run
            ready.register(reading, select.POLLIN)
            ready.poll(60_000)
        time.sleep(chance.uniform(0.0, 0.05))
        os.kill(child, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
        with open(reading, "rb") as reports:
            committed += [int(line) for line in reports.read().split()]
        if kill % 10 == 9:
            with open_store(root) as store:
                assert verify_store(store, open_decompressed) == ()
    with open_store(root) as store:
        assert verify_store(store, open_decompressed) == ()
        for number in committed:
            assert store.names.find(f"docker.io/library/i{number}:latest") is not None
            assert store.records.find(make_record(store, f"{number}" * (50_000 if number % 3 == 0 else 10)).key)
        store.names.set("docker.io/library/after:latest", _image(store, -1))
        assert verify_store(store) == ()
        assert list(os.listdir(f"{root}/tmp")) == [os.path.basename(os.path.dirname(store.temporary.path("x")))]
    assert len(committed) > KILLS // 2, "the kills came before anything happened"


def test_a_blob_that_rots_is_found(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "store")) as store:
        store.names.set("docker.io/library/x:latest", _image(store, 1))
        assert verify_store(store) == ()
        record = make_record(store, "1" * 10)
        assert record.layer is not None
        path = Path(store.blobs.path(record.layer.diff_id))
        path.write_bytes(path.read_bytes()[:-1] + b"!")
        (finding,) = verify_store(store)
        assert finding.subject == record.layer.diff_id
        assert "other bytes" in finding.problem


def test_a_blob_that_is_missing_is_found_with_who_needs_it(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "store")) as store:
        descriptor = _image(store, 1)
        store.names.set("docker.io/library/x:latest", descriptor)
        store.blobs.delete(digest_of(b"1" * 10))
        assert [finding.subject for finding in verify_store(store)] == [digest_of(b"1" * 10)]
        store.blobs.delete(descriptor.digest)
        assert "named by index.json" in str(verify_store(store)[0])
