"""The distribution client against a registry that behaves, and one that doesn't (rows RG1-RG23 of the protocol)."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builder.errors import DigestMismatch, ImageError, RegistryError
from builder.oci.descriptor import Descriptor, descriptor_from_json
from builder.oci.digest import Digest
from builder.oci.manifest import parse_manifest
from builder.oci.reference import parse_reference
from builder.registry.client import RegistryClient
from builder.registry.connection import Connection
from builder.store.store import Store, open_store
from tests.support.registry import (
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    FakeRegistry,
    Fault,
    make_image,
    sha256,
)

BLOB = os.urandom(300_000)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        fake.blobs[sha256(BLOB)] = BLOB
        yield fake


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(str(tmp_path / "store")) as opened:
        yield opened


def client(environ: dict[str, str] | None = None, waits: list[float] | None = None) -> RegistryClient:
    """A client without anybody's credentials, which notes how long it would wait instead of waiting."""
    sleep = (lambda seconds: None) if waits is None else waits.append
    return RegistryClient(Connection(sleep=sleep), {"HOME": "/nonexistent", **(environ or {})})


def reference(fake: FakeRegistry, name: str = "library/x:1") -> Any:
    return parse_reference(f"{fake.host}/{name}")


def fetch(fake: FakeRegistry, store: Store, blob: bytes = BLOB, **extra: Any) -> None:
    descriptor = Descriptor(media_type="x", digest=Digest(sha256(blob)), size=len(blob), extra=extra)
    with store.blobs.ingest(descriptor.digest, descriptor.size) as sink:
        client().fetch_blob(reference(fake), descriptor, sink)
        sink.commit()


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


# --- patience


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(registry: FakeRegistry, status: int) -> None:
    registry.add_image("library/x", "1", make_image())
    registry.faults.append(Fault("manifests", times=3, status=status))
    client().get_manifest(reference(registry))
    assert len(registry.paths()) == 4


def test_a_lasting_failure_ends_after_five_attempts(registry: FakeRegistry) -> None:
    registry.faults.append(Fault("manifests", times=100, status=503))
    with pytest.raises(RegistryError, match="the registry is unavailable"):
        client().get_manifest(reference(registry))
    assert len(registry.paths()) == 5


def test_waiting_takes_as_long_as_the_registry_asks_within_bounds(registry: FakeRegistry) -> None:
    registry.add_image("library/x", "1", make_image())
    registry.faults += [
        Fault("manifests", status=429, headers={"Retry-After": wait}) for wait in ("7", "100000", "soon")
    ]
    waits: list[float] = []
    client(waits=waits).get_manifest(reference(registry))
    assert waits[:2] == [7.0, 30.0]
    assert 0 < waits[2] <= 1.0


@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_a_refusal_is_not_tried_again(registry: FakeRegistry, status: int) -> None:
    registry.add_image("library/x", "1", make_image())
    registry.faults.append(Fault("manifests", times=100, status=status))
    with pytest.raises(RegistryError) as caught:
        client().get_manifest(reference(registry))
    assert caught.value.status == status
    assert len(registry.paths()) == 1


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"errors":[]}', b'{"errors":"x"}', b"[1]", b'{"errors":[{"code":5}]}', b"\xff" * 100]
)
def test_a_refusal_may_have_any_body(registry: FakeRegistry, body: bytes) -> None:
    registry.faults.append(Fault("manifests", status=404, body=body))
    with pytest.raises(RegistryError, match="not found"):
        client().get_manifest(reference(registry))


def test_control_characters_of_a_registry_never_reach_the_terminal(registry: FakeRegistry) -> None:
    body = json.dumps({"errors": [{"code": "DENIED", "message": "\x1b[31mred\x1b[0m\n"}]}).encode()
    registry.faults.append(Fault("manifests", status=418, body=body))
    with pytest.raises(RegistryError) as caught:
        client().get_manifest(reference(registry))
    assert caught.value.message.isprintable()


def test_warnings_are_noted_once(registry: FakeRegistry) -> None:
    registry.add_image("library/x", "1", make_image())
    registry.extra_headers = {"Warning": '299 - "this will be shut down"'}
    one = client()
    one.get_manifest(reference(registry))
    one.get_manifest(reference(registry))
    assert one.connection.warnings == ["this will be shut down"]


def test_nobody_there_is_said_at_once() -> None:
    with pytest.raises(RegistryError, match=r"cannot reach registry 127\.0\.0\.1:9: .*refused") as caught:
        client().get_manifest(parse_reference("127.0.0.1:9/x"))
    assert caught.value.status == 0


# --- redirects


def test_a_redirect_to_another_host_gets_no_authorization_cve_2020_15157(registry: FakeRegistry, store: Store) -> None:
    with FakeRegistry(auth="basic", user="u", password="p") as front:
        front.faults.append(Fault("blobs", times=0))
        pair = base64.b64encode(b"u:p").decode()
        auth = store.root + "/auth.json"
        Path(auth).write_text(json.dumps({"auths": {front.host: {"auth": pair}}}))
        descriptor = Descriptor(media_type="x", digest=Digest(sha256(BLOB)), size=len(BLOB))
        one = client({"REGISTRY_AUTH_FILE": auth})
        front.add_image("library/x", "1", make_image())
        one.get_manifest(reference(front))  # from here on the header is known and sent at once
        target = f"http://{registry.host}/v2/library/x/blobs/{sha256(BLOB)}?signature=1"
        front.faults.append(Fault("blobs", status=307, headers={"Location": target}))
        with store.blobs.ingest(descriptor.digest, descriptor.size) as sink:
            one.fetch_blob(reference(front), descriptor, sink)
            sink.commit()
        assert "authorization" in front.requests[-1][2]
    assert registry.paths() == [f"/v2/library/x/blobs/{sha256(BLOB)}?signature=1"]
    assert "authorization" not in registry.requests[0][2]


def test_a_relative_redirect_on_the_same_host_keeps_authorization(store: Store) -> None:
    with FakeRegistry(auth="bearer") as fake:
        fake.blobs[sha256(BLOB)] = BLOB
        fake.faults.append(Fault(f"blobs/{sha256(BLOB)}", status=0, times=0))
        one = client()
        fake.add_image("library/x", "1", make_image())
        one.get_manifest(reference(fake))
        fake.faults.append(
            Fault("blobs", status=302, headers={"Location": f"/v2/library/x/blobs/{sha256(BLOB)}?again"})
        )
        descriptor = Descriptor(media_type="x", digest=Digest(sha256(BLOB)), size=len(BLOB))
        with store.blobs.ingest(descriptor.digest, descriptor.size) as sink:
            one.fetch_blob(reference(fake), descriptor, sink)
            sink.commit()
        assert fake.requests[-1][2]["authorization"] == "Bearer token-for-library/x"


def test_redirects_in_circles_end(registry: FakeRegistry) -> None:
    registry.faults.append(Fault("manifests", times=100, status=307, headers={"Location": "/v2/library/x/manifests/1"}))
    with pytest.raises(RegistryError, match="redirects more than"):
        client().get_manifest(reference(registry))


def test_a_redirect_to_a_local_file_is_refused(registry: FakeRegistry) -> None:
    registry.faults.append(Fault("manifests", status=307, headers={"Location": "file:///etc/passwd"}))
    with pytest.raises(RegistryError, match="'file' address"):
        client().get_manifest(reference(registry))


def test_foreign_layers_are_fetched_without_credentials_cve_2020_15157(registry: FakeRegistry, store: Store) -> None:
    with FakeRegistry(auth="bearer") as front:
        urls = [f"http://{registry.host}/v2/a/blobs/{sha256(BLOB)}"]
        front.add_image("library/x", "1", make_image())
        fetch(front, store, BLOB, urls=urls)
    assert "authorization" not in registry.requests[-1][2]
    assert store.blobs.has(Digest(sha256(BLOB)))


def test_unknown_members_of_a_descriptor_are_kept(registry: FakeRegistry) -> None:
    document = {"mediaType": "x", "digest": sha256(b""), "size": 0, "urls": ["https://a"], "data": ""}
    assert descriptor_from_json(document, "it").to_json() == document
