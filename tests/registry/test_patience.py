"""What the client does when a registry fails, refuses, or isn't there: tries again within bounds, or says why not."""

from __future__ import annotations

import json

import pytest

from builder.errors import RegistryError
from builder.oci.reference import parse_reference
from tests.registry.asking import client, reference
from tests.support.registry import FakeRegistry, Fault, make_image


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


@pytest.mark.parametrize("wait", ["9" * 400, "9" * 5000, "-1", "\xb2", "1.5", "Fri, 31 Dec 99999 23:59:59 GMT", ""])
def test_a_wait_that_is_no_number_is_our_own(registry: FakeRegistry, wait: str) -> None:
    registry.add_image("library/x", "1", make_image())
    registry.faults.append(Fault("manifests", status=429, headers={"Retry-After": wait}))
    waits: list[float] = []
    client(waits=waits).get_manifest(reference(registry))
    assert len(waits) == 1
    assert 0 < waits[0] <= 1.0


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


@pytest.mark.parametrize(
    "code",
    [
        "BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
        "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED",
        "DENIED", "UNSUPPORTED", "TOOMANYREQUESTS",
    ],
)  # fmt: skip
def test_each_code_of_the_specification_has_words(registry: FakeRegistry, code: str) -> None:
    body = json.dumps({"errors": [{"code": code, "message": "why", "detail": {"x": 1}}]}).encode()
    registry.faults.append(Fault("manifests", status=418, body=body))
    with pytest.raises(RegistryError, match=rf"\(why\) \[HTTP 418 {code}\]") as caught:
        client().get_manifest(reference(registry))
    assert "the registry refuses" not in caught.value.message
    assert caught.value.code == code


def test_a_wait_may_end_at_a_date(registry: FakeRegistry) -> None:
    registry.add_image("library/x", "1", make_image())
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    registry.faults.append(Fault("manifests", times=1, status=503, headers={"Retry-After": date}))
    waits: list[float] = []
    client(waits=waits, clock=lambda: 1445412480 - 12.0).get_manifest(reference(registry))
    assert waits == [12.0]
    registry.faults.append(Fault("manifests", times=1, status=503, headers={"Retry-After": date}))
    client(waits=waits, clock=lambda: 1445412480 + 12.0).get_manifest(reference(registry))
    assert waits == [12.0, 0.0]


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
