"""Image names in index.json."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.oci.descriptor import Descriptor
from builder.oci.digest import digest_of
from builder.oci.media_type import OCI_MANIFEST
from builder.oci.platform import Platform
from builder.store.store import Store, open_store

ONE = Descriptor(media_type=OCI_MANIFEST, digest=digest_of(b"1"), size=1, platform=Platform("linux", "amd64"))
TWO = Descriptor(media_type=OCI_MANIFEST, digest=digest_of(b"2"), size=2)
NAME = "docker.io/library/demo:latest"


def test_a_name_is_found_by_this_and_by_another_process(store: Store) -> None:
    store.names.set(NAME, ONE)
    with open_store(store.root) as other:
        found = other.names.get(NAME)
    assert (found.digest, found.size, found.platform) == (ONE.digest, 1, Platform("linux", "amd64"))
    assert found.annotations == {}


def test_index_json_carries_the_full_name_for_skopeo_and_containerd(store: Store) -> None:
    store.names.set(NAME, ONE)
    (entry,) = json.loads(Path(store.names.path).read_bytes())["manifests"]
    assert entry["annotations"] == {
        "io.containerd.image.name": NAME,
        "org.opencontainers.image.ref.name": NAME,
    }
    assert entry["platform"] == {"os": "linux", "architecture": "amd64"}


def test_a_name_that_moves_leaves_its_old_image_dangling(store: Store) -> None:
    store.names.set(NAME, ONE)
    store.names.set(NAME, TWO)
    assert store.names.get(NAME).digest == TWO.digest
    assert [entry.digest for entry in store.names.dangling()] == [ONE.digest]
    store.names.set(NAME, ONE)
    assert [entry.digest for entry in store.names.dangling()] == [TWO.digest]


def test_an_image_with_another_name_never_dangles(store: Store) -> None:
    store.names.set(NAME, ONE)
    store.names.set("docker.io/library/other:1", ONE)
    store.names.set(NAME, TWO)
    assert store.names.dangling() == []
    assert store.names.names_of(ONE.digest) == ["docker.io/library/other:1"]


def test_setting_what_is_already_so_does_not_write(store: Store) -> None:
    store.names.set(NAME, ONE)
    before = Path(store.names.path).stat()
    with open_store(store.root) as other:
        other.names.set(NAME, ONE)
    store.names.set(NAME, ONE)
    after = Path(store.names.path).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_deleting_says_whether_the_name_was_there(store: Store) -> None:
    store.names.set(NAME, ONE)
    assert store.names.delete(NAME)
    assert not store.names.delete(NAME)
    assert store.names.entries() == ()
    store.names.set(NAME, ONE)
    assert store.names.delete(NAME, keep=True)
    assert [entry.digest for entry in store.names.dangling()] == [ONE.digest]


def test_an_unnamed_image_is_kept_once_and_named_later(store: Store) -> None:
    store.names.add(ONE)
    store.names.add(ONE)
    assert len(store.names.entries()) == 1
    store.names.set(NAME, ONE)
    assert len(store.names.entries()) == 1
    assert store.names.dangling() == []


def test_members_and_annotations_others_wrote_survive(store: Store) -> None:
    foreign = {
        "mediaType": "application/x-unknown", "digest": str(digest_of(b"f")), "size": 3, "urls": ["https://a"],
        "annotations": {"k": "v", "org.opencontainers.image.ref.name": "short"},
    }  # fmt: skip
    Path(store.names.path).write_text(json.dumps({"schemaVersion": 2, "manifests": [foreign]}))
    store.names.set(NAME, ONE)
    assert json.loads(Path(store.names.path).read_bytes())["manifests"][0] == foreign
    assert store.names.get("short").annotations == {"k": "v"}


def test_an_unknown_name_is_none_or_an_error(store: Store) -> None:
    assert store.names.find(NAME) is None
    with pytest.raises(StoreError, match="no image is called"):
        store.names.get(NAME)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "{}",
        '{"manifests": null}',
        '{"manifests": {}}',
        '{"manifests": [1]}',
        '{"manifests": [{"digest": "../../x"}]}',
    ],
)
def test_a_damaged_index_is_reported_with_its_path(store: Store, text: str) -> None:
    Path(store.names.path).write_text(text)
    with pytest.raises(StoreError, match=r"unreadable") as caught:
        store.names.items()
    assert store.names.path in caught.value.hint


def _name_many(root: str, worker: int) -> None:
    with open_store(root) as store:
        for number in range(20):
            store.names.set(f"docker.io/library/w{worker}:{number}", ONE._replace(digest=digest_of(b"%d" % number)))


def test_processes_that_name_images_at_once_lose_none(store: Store) -> None:
    workers = [multiprocessing.Process(target=_name_many, args=(store.root, number)) for number in range(5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert len(store.names.items()) == 100
