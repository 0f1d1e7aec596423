"""Pushing to a registry that behaves, and to one that says other things than it was sent."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from builder.errors import DigestMismatch, ImageError, ReferenceFormatError, RegistryError
from builder.oci.digest import Digest
from tests.registry.asking import BLOB, asked, client, descriptor_of, opener, push, push_image, reference
from tests.support.registry import DOCKER_MANIFEST, OCI_INDEX, FakeRegistry, Fault, make_image, make_index, sha256

# --- blobs


def test_a_blob_goes_with_one_post_and_one_put(empty: FakeRegistry) -> None:
    assert push(client(), empty) == "sent"
    assert asked(empty) == ["HEAD", "POST", "PUT"]
    assert empty.blobs == {sha256(BLOB): BLOB}
    assert empty.requests[-1][2]["content-length"] == str(len(BLOB))


def test_an_empty_blob_can_be_pushed(empty: FakeRegistry) -> None:
    assert push(client(), empty, b"") == "sent"
    assert empty.blobs == {sha256(b""): b""}


def test_what_is_there_is_asked_for_once_and_not_sent(empty: FakeRegistry) -> None:
    one = client()
    push(one, empty)
    empty.requests.clear()
    assert push(one, empty) == "exists"
    assert asked(empty) == []
    assert push(client(), empty) == "exists"
    assert asked(empty) == ["HEAD"]


def test_what_is_known_to_be_missing_is_not_asked_for_again(empty: FakeRegistry) -> None:
    one = client()
    assert not one.has_blob(reference(empty, "team/app"), descriptor_of(BLOB))
    assert push(one, empty) == "sent"
    assert asked(empty) == ["HEAD", "POST", "PUT"]


def test_asking_for_large_blobs_keeps_the_connection(registry: FakeRegistry) -> None:
    one = client()
    assert all(one.has_blob(reference(registry, f"team/{name}"), descriptor_of(BLOB)) for name in "abc")
    assert registry.connections == 1


def test_of_many_that_push_one_blob_at_once_one_sends_it(empty: FakeRegistry) -> None:
    one = client()
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(lambda _: push(one, empty), range(8)))
    assert sorted(said) == ["exists"] * 7 + ["sent"]
    assert asked(empty).count("PUT") == 1


def test_a_blob_is_mounted_from_another_repository(empty: FakeRegistry) -> None:
    push(client(), empty, name="team/base")
    empty.requests.clear()
    assert push(client(), empty, mount_from="team/base") == "mounted"
    assert asked(empty) == ["HEAD", "POST"]
    assert f"mount={sha256(BLOB).replace(':', '%3A')}&from=team%2Fbase" in empty.requests[-1][1]
    assert empty.owned is not None
    assert ("team/app", sha256(BLOB)) in empty.owned


def test_a_mount_that_is_not_made_opens_the_upload_that_is_used(empty: FakeRegistry) -> None:
    empty.mounts = False
    push(client(), empty, name="team/base")
    empty.requests.clear()
    assert push(client(), empty, mount_from="team/base") == "sent"
    assert asked(empty) == ["HEAD", "POST", "PUT"]


@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_a_registry_that_does_not_know_mounts_gets_the_bytes(empty: FakeRegistry, status: int) -> None:
    empty.faults.append(Fault("mount=", status=status))
    assert push(client(), empty, mount_from="team/base") == "sent"


def test_a_blob_goes_in_chunks_with_the_latest_location_each(empty: FakeRegistry) -> None:
    assert push(client(chunk_bytes=100_000), empty) == "sent"
    ranges = [headers["content-range"] for method, _, headers in empty.requests if method == "PATCH"]
    assert ranges == ["0-99999", "100000-199999", "200000-299999"]
    states = [path.partition("_state=")[2] for method, path, _ in empty.requests if method in ("PATCH", "PUT")]
    assert states[:3] == ["1", "2", "3"]
    assert states[3].startswith("4&digest=sha256%3A")  # the Location has a query already
    assert empty.blobs == {sha256(BLOB): BLOB}


def test_chunks_are_as_long_as_the_registry_wants(empty: FakeRegistry) -> None:
    empty.least_chunk, empty.upload_size = 140_000, len(BLOB)
    assert push(client(chunk_bytes=1000), empty) == "sent"
    lengths = [headers["content-length"] for method, _, headers in empty.requests if method == "PATCH"]
    assert lengths == ["140000", "140000", "20000"]


def test_a_blob_is_sent_while_nobody_knows_its_size(empty: FakeRegistry) -> None:
    one = client(chunk_bytes=100_000)
    said = one.push_stream(reference(empty, "team/app"), opener(BLOB), lambda: descriptor_of(BLOB))
    assert said == descriptor_of(BLOB)
    assert empty.blobs == {sha256(BLOB): BLOB}
    assert one.has_blob(reference(empty, "team/app"), said)


@pytest.mark.parametrize("relative", [True, False])
def test_a_location_may_be_relative_or_not(empty: FakeRegistry, relative: bool) -> None:
    empty.upload_server = "" if relative else f"http://{empty.host}"
    assert push(client(), empty) == "sent"


def test_nothing_is_read_at_once(empty: FakeRegistry) -> None:
    sizes = []

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            sizes.append(size)
            return super().read(size)

    data = bytes(8 << 20)
    client().push_blob(reference(empty, "team/app"), descriptor_of(data), lambda offset: Watched(data[offset:]))
    assert max(size or 0 for size in sizes) <= 1 << 20
    assert min(size or 0 for size in sizes) > 0


def test_progress_adds_up_to_the_size(empty: FakeRegistry) -> None:
    told: list[int] = []
    push(client(), empty, bytes(3 << 20), progress=told.append)
    assert sum(told) == 3 << 20
    assert len(told) > 1


def test_a_blob_that_is_stored_as_another_is_an_error(empty: FakeRegistry) -> None:
    empty.stated_digest = sha256(b"other")
    with pytest.raises(DigestMismatch, match=f"has stored blob {sha256(BLOB)} as"):
        push(client(), empty)


def test_bytes_that_are_not_those_of_the_digest_are_refused_by_the_registry(empty: FakeRegistry) -> None:
    with pytest.raises(RegistryError, match="the digest does not fit the content") as caught:
        client().push_blob(reference(empty, "team/app"), descriptor_of(BLOB), opener(bytes(len(BLOB))))
    assert caught.value.code == "DIGEST_INVALID"
    assert empty.blobs == {}


def test_a_file_that_is_shorter_than_it_should_be_is_said(empty: FakeRegistry) -> None:
    with pytest.raises(RegistryError, match="100000 bytes of it are missing here"):
        client().push_blob(reference(empty, "team/app"), descriptor_of(BLOB), opener(BLOB[:200_000]))
    assert empty.uploads == {}


# --- manifests


@pytest.mark.parametrize("media_type", ["application/vnd.oci.image.manifest.v1+json", DOCKER_MANIFEST])
def test_a_pushed_manifest_has_its_exact_bytes_and_type(empty: FakeRegistry, media_type: str) -> None:
    image = make_image(media_type=media_type)
    assert push_image(client(), empty, image) == image.digest
    assert empty.manifests["team/app", "1"] == (image.manifest, media_type)
    fetched = client().get_manifest(reference(empty, "team/app:1"))
    assert (fetched.data, fetched.media_type) == (image.manifest, media_type)


def test_a_manifest_is_pushed_by_its_digest(empty: FakeRegistry) -> None:
    image = make_image()
    push_image(client(), empty, image, f"team/app@{image.digest}")
    assert [name for _, name in empty.manifests] == [image.digest]
    with pytest.raises(DigestMismatch, match="other bytes"):
        client().put_manifest(reference(empty, f"team/app@{sha256(b'x')}"), image.manifest)


def test_an_index_follows_its_children(empty: FakeRegistry) -> None:
    image = make_image()
    index = make_index([image])
    with pytest.raises(RegistryError, match="refers to something the registry does not have"):
        client().put_manifest(reference(empty, "team/app:all"), index.manifest)
    push_image(client(), empty, image, f"team/app@{image.digest}")
    client().put_manifest(reference(empty, "team/app:all"), index.manifest)
    assert empty.manifests["team/app", "all"] == (index.manifest, OCI_INDEX)


def test_a_manifest_says_the_type_that_it_goes_as_cve_2021_41190(empty: FakeRegistry) -> None:
    with pytest.raises(ImageError, match="says to be"):
        client().put_manifest(reference(empty, "team/app:1"), make_image().manifest, OCI_INDEX)
    assert empty.requests == []


def test_a_manifest_of_another_digest_than_stated_is_an_error(empty: FakeRegistry) -> None:
    image = make_image()
    for data in image.blobs.values():
        push(client(), empty, data)
    empty.stated_digest = sha256(b"other")
    with pytest.raises(DigestMismatch, match="the registry's copy of"):
        client().put_manifest(reference(empty, "team/app:1"), image.manifest)


def test_a_manifest_of_four_mebibytes_can_be_pushed(empty: FakeRegistry) -> None:
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "annotations": {"a": ""}}
    document["annotations"] = {"a": "x" * ((4 << 20) - len(json.dumps(document)))}
    data = json.dumps(document).encode()
    assert len(data) == 4 << 20
    assert client().put_manifest(reference(empty, "team/app:1"), data) == sha256(data)


def test_a_manifest_that_is_too_large_is_said_to_be(empty: FakeRegistry) -> None:
    empty.largest_manifest = 100
    with pytest.raises(RegistryError, match="too large for the registry") as caught:
        client().put_manifest(reference(empty, "team/app:1"), make_index([]).manifest + b" " * 200)
    assert caught.value.status == 413
    assert "limit" in caught.value.hint


def test_a_manifest_is_pushed_under_its_tag_only(empty: FakeRegistry) -> None:
    push_image(client(), empty, make_image())
    assert [path for path in empty.paths("PUT") if "manifests" in path] == ["/v2/team/app/manifests/1"]


def test_the_head_of_a_manifest_describes_it(empty: FakeRegistry) -> None:
    image = make_image()
    push_image(client(), empty, image)
    said = client().head_manifest(reference(empty, "team/app:1"))
    assert said == descriptor_of(image.manifest, image.media_type)
    assert client().head_manifest(reference(empty, "team/app:2")) is None
    empty.extra_headers = {"Docker-Content-Digest": ""}  # then the bytes have to say it
    assert client().head_manifest(reference(empty, "team/app:1")) == said


# --- deleting


def test_a_tag_a_manifest_and_a_blob_are_deleted(empty: FakeRegistry) -> None:
    image = make_image()
    one = client()
    push_image(one, empty, image)
    one.delete_manifest(reference(empty, "team/app:1"))
    assert [name for _, name in empty.manifests] == [image.digest]
    one.delete_manifest(reference(empty, f"team/app@{image.digest}"))
    assert empty.manifests == {}
    digest = Digest(next(iter(image.blobs)))
    one.delete_blob(reference(empty, "team/app"), digest)
    assert digest not in empty.blobs
    assert not one.has_blob(reference(empty, "team/app"), descriptor_of(image.blobs[digest]))


def test_a_registry_that_deletes_nothing_says_so(empty: FakeRegistry) -> None:
    push_image(client(), empty, make_image())
    empty.deletes = False
    with pytest.raises(RegistryError, match=r"deleting .*: the registry does not support this") as caught:
        client().delete_manifest(reference(empty, "team/app:1"))
    assert caught.value.status == 405


# --- names


def test_names_and_tags_have_their_lengths(empty: FakeRegistry) -> None:
    image = make_image()
    longest = "x" * (255 - len(empty.host) - 1)
    push_image(client(), empty, image, f"{longest}:{'t' * 128}")
    assert (longest, "t" * 128) in empty.manifests
    for name in (f"{longest}x:t", f"x:{'t' * 129}"):
        with pytest.raises(ReferenceFormatError):
            reference(empty, name)
