"""The distribution client against a registry that behaves, and one that gives other bytes than it promised."""

from __future__ import annotations

import pytest

from builder.errors import DigestMismatch, ImageError, RegistryError
from builder.oci.descriptor import descriptor_from_json
from builder.oci.digest import Digest
from builder.oci.manifest import parse_manifest
from builder.store.store import Store
from tests.registry.asking import BLOB, client, fetch, reference
from tests.support.registry import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, FakeRegistry, Fault, make_image, sha256

# --- manifests


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_a_manifest_comes_with_its_exact_bytes_type_and_digest(registry: FakeRegistry, media_type: str) -> None:
    image = make_image(media_type=media_type)
    registry.add_image("library/x", "1", image)
    fetched = client().get_manifest(reference(registry))
    assert (fetched.data, fetched.media_type, fetched.digest) == (image.manifest, media_type, image.digest)


def test_every_manifest_type_is_accepted_since_registries_hide_the_others(registry: FakeRegistry) -> None:
    registry.add_image("library/x", "1", make_image())
    client().get_manifest(reference(registry))
    accept = registry.requests[-1][2]["accept"]
    assert {OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST} <= set(accept.split(", "))
    assert "application/vnd.docker.distribution.manifest.list.v2+json" in accept


def test_parameters_of_the_content_type_mean_nothing(registry: FakeRegistry) -> None:
    registry.add_image("library/x", "1", make_image())
    registry.extra_headers = {"Content-Type": f"{OCI_MANIFEST}; charset=utf-8"}
    assert client().get_manifest(reference(registry)).media_type == OCI_MANIFEST


def test_a_manifest_delivered_as_something_vague_speaks_for_itself(registry: FakeRegistry) -> None:
    registry.add_image("library/x", "1", make_image())
    registry.extra_headers = {"Content-Type": "application/json"}
    assert client().get_manifest(reference(registry)).media_type == ""


def test_a_web_page_is_not_taken_for_a_manifest(registry: FakeRegistry) -> None:
    registry.add_image("library/x", "1", make_image())
    registry.faults.append(
        Fault(
            "manifests",
            body=b"<html>",
            headers={"Content-Type": "text/html", "Docker-Content-Digest": sha256(b"<html>")},
        )
    )
    with pytest.raises(RegistryError, match="which is not a manifest"):
        client().get_manifest(reference(registry))


def test_a_document_of_another_type_than_delivered_is_refused_cve_2021_41190(registry: FakeRegistry) -> None:
    registry.add_image("library/x", "1", make_image())
    registry.extra_headers = {"Content-Type": OCI_INDEX}
    fetched = client().get_manifest(reference(registry))
    with pytest.raises(ImageError, match="but was delivered as"):
        parse_manifest(fetched.data, fetched.media_type, "it")


def test_a_manifest_with_other_bytes_than_its_digest_is_refused(registry: FakeRegistry) -> None:
    image = make_image()
    registry.add_image("library/x", "1", image)
    other = make_image([{"evil": b"x"}])
    registry.faults.append(Fault("manifests", body=other.manifest, headers={"Docker-Content-Digest": other.digest}))
    with pytest.raises(DigestMismatch, match="other bytes"):
        client().get_manifest(reference(registry, f"library/x@{image.digest}"))


def test_a_stated_digest_that_is_not_that_of_the_bytes_is_refused(registry: FakeRegistry) -> None:
    registry.add_image("library/x", "1", make_image())
    registry.extra_headers = {"Docker-Content-Digest": sha256(b"other")}
    with pytest.raises(DigestMismatch):
        client().get_manifest(reference(registry))


def test_an_old_registry_that_states_no_digest_is_believed_after_hashing(registry: FakeRegistry) -> None:
    image = make_image()
    registry.add_image("library/x", "1", image)
    registry.extra_headers = {"Docker-Content-Digest": ""}
    assert client().get_manifest(reference(registry)).digest == image.digest
    assert client().resolve_tag(reference(registry)) is None


def test_a_tag_is_resolved_with_one_head(registry: FakeRegistry) -> None:
    image = make_image()
    registry.add_image("library/x", "1", image)
    assert client().resolve_tag(reference(registry)) == image.digest
    assert registry.paths("GET") == []


def test_a_manifest_beyond_four_mebibytes_is_refused_before_it_is_read(registry: FakeRegistry) -> None:
    registry.add_image("library/x", "1", make_image())
    registry.faults.append(Fault("manifests", body=bytes(5 << 20)))
    with pytest.raises(RegistryError, match="longer than"):
        client().get_manifest(reference(registry))


def test_tags_are_listed(registry: FakeRegistry) -> None:
    registry.add_image("library/x", "1", make_image())
    registry.add_image("library/x", "two", make_image())
    assert client().list_tags(reference(registry)) == ["1", "two"]


# --- blobs


def test_a_blob_arrives_whole(registry: FakeRegistry, store: Store) -> None:
    fetch(registry, store)
    assert store.blobs.read(Digest(sha256(BLOB)), len(BLOB)) == BLOB


def test_an_empty_blob_is_a_blob(registry: FakeRegistry, store: Store) -> None:
    registry.blobs[sha256(b"")] = b""
    fetch(registry, store, b"")
    assert store.blobs.has(Digest(sha256(b"")))


def test_a_broken_connection_is_resumed_where_it_broke(registry: FakeRegistry, store: Store) -> None:
    registry.faults += [Fault("blobs", cut_after=100_000), Fault("blobs", cut_after=50_000)]
    fetch(registry, store)
    ranges = [headers.get("range") for _, path, headers in registry.requests if "blobs" in path]
    assert ranges == [None, "bytes=100000-", "bytes=150000-"]


def test_a_registry_that_starts_again_instead_of_resuming_is_understood(registry: FakeRegistry, store: Store) -> None:
    registry.faults += [Fault("blobs", cut_after=100_000), Fault("blobs", ignore_range=True)]
    fetch(registry, store)
    assert store.blobs.read(Digest(sha256(BLOB)), len(BLOB)) == BLOB


def test_a_registry_that_resumes_elsewhere_is_not_believed(registry: FakeRegistry, store: Store) -> None:
    registry.faults += [
        Fault("blobs", cut_after=100_000),
        Fault("blobs", headers={"Content-Range": f"bytes 7-{len(BLOB) - 1}/{len(BLOB)}"}),
    ]
    with pytest.raises(RegistryError, match="resumes at byte 7"):
        fetch(registry, store)


def test_a_connection_that_breaks_every_time_is_given_up(registry: FakeRegistry, store: Store) -> None:
    registry.faults.append(Fault("blobs", times=100, cut_after=0))
    with pytest.raises(RegistryError, match="breaks off after 0 of 300000 bytes"):
        fetch(registry, store)
    assert len(registry.paths()) == 5


def test_wrong_bytes_never_reach_the_store(registry: FakeRegistry, store: Store) -> None:
    registry.faults.append(Fault("blobs", body=bytes(len(BLOB))))
    with pytest.raises(DigestMismatch, match="other bytes"):
        fetch(registry, store)
    assert list(store.blobs.walk()) == []


def test_more_bytes_than_promised_are_cut_off(registry: FakeRegistry, store: Store) -> None:
    registry.faults.append(Fault("blobs", body=BLOB + bytes(10_000_000)))
    with pytest.raises(DigestMismatch, match="longer than the 300000 bytes"):
        fetch(registry, store)


def test_a_missing_blob_is_named(registry: FakeRegistry, store: Store) -> None:
    with pytest.raises(RegistryError, match=f"blob {sha256(b'no')}: the registry does not have this blob") as caught:
        fetch(registry, store, b"no")
    assert (caught.value.status, caught.value.code) == (404, "BLOB_UNKNOWN")


def test_unknown_members_of_a_descriptor_are_kept(registry: FakeRegistry) -> None:
    document = {"mediaType": "x", "digest": sha256(b""), "size": 0, "urls": ["https://a"], "data": ""}
    assert descriptor_from_json(document, "it").to_json() == document
