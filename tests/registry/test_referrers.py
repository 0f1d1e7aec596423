"""What refers to a manifest: asked of a registry that knows, and kept under a tag where it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from builder.errors import ImageError, RegistryError
from builder.oci.digest import Digest, digest_of
from tests.registry.asking import artifact, client, push, push_image, reference
from tests.support.registry import OCI_INDEX, OCI_MANIFEST, FakeRegistry, Fault, make_image, sha256

SUBJECT = make_image()
SIGNATURE = artifact(SUBJECT.manifest, annotations={"who": "me"})
BILL = artifact(SUBJECT.manifest, "application/x-sbom")
TAG = SUBJECT.digest.replace(":", "-")


@pytest.fixture
def filled(empty: FakeRegistry) -> FakeRegistry:
    push_image(client(), empty, SUBJECT, "team/app:1")
    push(client(), empty, b"{}")
    return empty


def put(fake: FakeRegistry, *manifests: bytes) -> None:
    for data in manifests:
        client().put_manifest(reference(fake, f"team/app@{digest_of(data)}"), data)


def listed(fake: FakeRegistry, artifact_type: str = "") -> list[tuple[str, Any]]:
    where = reference(fake, "team/app").with_digest(Digest(SUBJECT.digest))
    found = client().referrers(where, artifact_type)
    return [(descriptor.digest, descriptor.extra.get("artifactType")) for descriptor in found]


BOTH = [(sha256(SIGNATURE), "application/x-signature"), (sha256(BILL), "application/x-sbom")]


def test_a_registry_that_knows_referrers_is_asked_for_them(filled: FakeRegistry) -> None:
    filled.knows_referrers = True
    put(filled, SIGNATURE, BILL)
    assert sorted(listed(filled)) == sorted(BOTH)
    assert ("team/app", TAG) not in filled.manifests


@pytest.mark.parametrize("filters", [True, False])
@pytest.mark.parametrize("knows", [True, False])
def test_referrers_are_filtered_by_the_registry_or_here(filled: FakeRegistry, filters: bool, knows: bool) -> None:
    filled.knows_referrers, filled.filters = knows, filters
    put(filled, SIGNATURE, BILL)
    assert listed(filled, "application/x-sbom") == BOTH[1:]


def test_referrers_are_read_to_the_last_page(filled: FakeRegistry) -> None:
    filled.knows_referrers, filled.page_size = True, 1
    put(filled, SIGNATURE, BILL)
    assert sorted(listed(filled)) == sorted(BOTH)


def test_a_registry_that_does_not_know_referrers_gets_them_under_a_tag(filled: FakeRegistry) -> None:
    put(filled, SIGNATURE, BILL, SIGNATURE)
    data, media_type = filled.manifests["team/app", TAG]
    assert media_type == OCI_INDEX
    assert json.loads(data)["manifests"] == [
        {
            "mediaType": OCI_MANIFEST, "digest": sha256(SIGNATURE), "size": len(SIGNATURE),
            "artifactType": "application/x-signature", "annotations": {"who": "me"},
        },
        {
            "mediaType": OCI_MANIFEST, "digest": sha256(BILL), "size": len(BILL), "artifactType": "application/x-sbom",
        },
    ]  # fmt: skip
    assert listed(filled) == BOTH


def test_an_artifact_without_a_type_is_of_that_of_its_config(filled: FakeRegistry) -> None:
    put(filled, artifact(SUBJECT.manifest, ""))
    assert [kind for _, kind in listed(filled)] == ["application/vnd.oci.empty.v1+json"]


def test_what_others_have_put_there_is_kept(filled: FakeRegistry) -> None:
    other = {"mediaType": "application/x", "digest": sha256(b"other"), "size": 5, "unknown": [1, {"a": None}]}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [other]}
    filled.manifests["team/app", TAG] = (json.dumps(index).encode(), OCI_INDEX)
    put(filled, SIGNATURE)
    assert json.loads(filled.manifests["team/app", TAG][0])["manifests"][0] == other


def test_a_deleted_referrer_leaves_the_list_and_the_last_one_takes_it_along(filled: FakeRegistry) -> None:
    put(filled, SIGNATURE, BILL)
    client().delete_manifest(reference(filled, f"team/app@{digest_of(SIGNATURE)}"))
    assert listed(filled) == BOTH[1:]
    client().delete_manifest(reference(filled, f"team/app@{digest_of(BILL)}"))
    assert ("team/app", TAG) not in filled.manifests
    assert listed(filled) == []


def test_nothing_refers_to_what_nobody_has_signed(filled: FakeRegistry) -> None:
    assert listed(filled) == []


def test_a_failure_is_not_taken_for_a_registry_that_does_not_know(filled: FakeRegistry) -> None:
    filled.faults.append(Fault("referrers", status=403))
    with pytest.raises(RegistryError, match="referrers of sha256:"):
        listed(filled)


@pytest.mark.parametrize("body", [b"{}", b'{"manifests":{}}', b"<html>"])
def test_referrers_of_another_form_are_refused(filled: FakeRegistry, body: bytes) -> None:
    filled.faults.append(Fault("referrers", status=200, body=body))
    with pytest.raises(RegistryError, match="the registry answers with something that is not"):
        listed(filled)


def test_a_subject_that_is_no_descriptor_is_refused_before_it_is_sent(filled: FakeRegistry) -> None:
    filled.requests.clear()
    document = {**json.loads(SIGNATURE), "subject": ["x"]}
    with pytest.raises(ImageError, match="subject"):
        put(filled, json.dumps(document).encode())
    assert filled.requests == []
