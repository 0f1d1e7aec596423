"""Where the client lets itself be sent, and that credentials stay behind."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from builder.errors import RegistryError
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest
from builder.store.store import Store
from tests.registry.asking import BLOB, client, fetch, reference
from tests.support.registry import FakeRegistry, Fault, make_image, sha256


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
    with pytest.raises(
        RegistryError, match=r"redirects wrongly: 'file:///etc/passwd' .* file is not one of http, https"
    ):
        client().get_manifest(reference(registry))


def test_foreign_layers_are_fetched_without_credentials_cve_2020_15157(registry: FakeRegistry, store: Store) -> None:
    with FakeRegistry(auth="bearer") as front:
        urls = [f"http://{registry.host}/v2/a/blobs/{sha256(BLOB)}"]
        front.add_image("library/x", "1", make_image())
        fetch(front, store, BLOB, urls=urls)
    assert "authorization" not in registry.requests[-1][2]
    assert store.blobs.has(Digest(sha256(BLOB)))
