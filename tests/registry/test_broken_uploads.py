"""Uploads to registries that break off, forget, refuse or answer too early: what arrives in the end."""

from __future__ import annotations

import os

import pytest

from builder.errors import Cancelled, RegistryError
from builder.registry.upload import CHUNK_BYTES
from tests.registry.asking import BLOB, asked, client, descriptor_of, opener, push, reference
from tests.support.registry import FakeRegistry, Fault, make_image, sha256


def sent(fake: FakeRegistry) -> list[str]:
    return [headers["content-range"] for method, _, headers in fake.requests if method == "PATCH"]


def test_a_chunk_that_breaks_off_goes_on_at_the_byte_that_has_arrived(empty: FakeRegistry) -> None:
    empty.faults.append(Fault("uploads/upload", method="PATCH", cut_request=30_000))
    told: list[int] = []
    assert push(client(chunk_bytes=100_000), empty, progress=told.append) == "sent"
    assert sent(empty) == ["0-99999", "30000-129999", "130000-229999", "230000-299999"]
    assert asked(empty) == ["HEAD", "POST", "PATCH", "GET", "PATCH", "PATCH", "PATCH", "PUT"]
    assert empty.blobs == {sha256(BLOB): BLOB}
    assert sum(told) == len(BLOB)


def test_a_chunk_of_which_nothing_has_arrived_is_sent_again(empty: FakeRegistry) -> None:
    empty.keeps_parts = False
    empty.faults.append(Fault("uploads/upload", method="PATCH", cut_request=30_000, after=1))
    told: list[int] = []
    assert push(client(chunk_bytes=100_000), empty, progress=told.append) == "sent"
    assert sent(empty) == ["0-99999", "100000-199999", "100000-199999", "200000-299999"]
    assert sum(told) == len(BLOB)


def test_a_whole_upload_that_breaks_off_begins_again_where_nothing_was_kept(empty: FakeRegistry) -> None:
    empty.faults.append(Fault("uploads/upload", method="PUT", cut_request=50_000))
    told: list[int] = []
    assert push(client(), empty, progress=told.append) == "sent"
    assert asked(empty) == ["HEAD", "POST", "PUT", "GET", "HEAD", "POST", "PATCH", "PUT"]
    assert empty.blobs == {sha256(BLOB): BLOB}
    assert sum(told) == len(BLOB)


def test_a_line_that_breaks_gets_chunks(empty: FakeRegistry) -> None:
    data = os.urandom(CHUNK_BYTES + 1000)
    empty.faults.append(Fault("uploads/upload", method="PUT", cut_request=50_000))
    assert push(client(), empty, data) == "sent"
    assert sent(empty) == [f"0-{CHUNK_BYTES - 1}", f"{CHUNK_BYTES}-{len(data) - 1}"]


def test_an_upload_whose_answer_was_lost_is_found_to_be_there(empty: FakeRegistry) -> None:
    empty.faults.append(Fault("digest=", method="PUT", lost=True))
    assert push(client(), empty) == "sent"
    assert asked(empty) == ["HEAD", "POST", "PUT", "GET", "HEAD"]


def test_a_registry_that_refuses_the_place_of_a_chunk_is_asked_for_it(empty: FakeRegistry) -> None:
    empty.faults.append(Fault("uploads/upload", method="PATCH", lost=True))  # it has it, and nobody knows
    assert push(client(chunk_bytes=100_000), empty) == "sent"
    assert sent(empty) == ["0-99999", "100000-199999", "200000-299999"]
    empty.blobs.clear()
    empty.requests.clear()
    empty.faults.append(Fault("uploads/upload", method="PATCH", status=416))
    assert push(client(chunk_bytes=100_000), empty) == "sent"
    assert asked(empty)[:5] == ["HEAD", "POST", "PATCH", "GET", "DELETE"]  # 0-0 may mean nothing or a byte
    assert empty.blobs == {sha256(BLOB): BLOB}


def test_an_upload_that_the_registry_has_forgotten_begins_again(empty: FakeRegistry) -> None:
    empty.faults.append(Fault("uploads/upload", method="PATCH", status=404))
    empty.faults.append(Fault("uploads/upload", method="GET", status=404))
    assert push(client(chunk_bytes=100_000), empty) == "sent"
    assert empty.blobs == {sha256(BLOB): BLOB}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_failure_of_an_upload_is_tried_again(empty: FakeRegistry, status: int) -> None:
    waits: list[float] = []
    empty.faults.append(Fault("uploads", status=status, times=2, headers={"Retry-After": "7"}))
    empty.faults.append(Fault("digest=", status=status, headers={"Retry-After": "9"}))
    assert push(client(waits=waits), empty) == "sent"
    assert waits == [7.0, 7.0, 9.0]


def test_an_upload_that_always_breaks_off_is_given_up_and_cancelled(empty: FakeRegistry) -> None:
    empty.keeps_parts = False
    empty.faults.append(Fault("uploads/upload", method="PATCH", times=100, cut_request=10))
    empty.faults.append(Fault("uploads/upload", method="PUT", times=100, cut_request=10))
    with pytest.raises(RegistryError, match="cannot reach registry"):
        push(client(), empty)
    assert asked(empty).count("PATCH") + asked(empty).count("PUT") == 5
    assert empty.uploads == {}


def test_a_byte_a_request_is_no_progress(empty: FakeRegistry) -> None:
    empty.faults.append(Fault("uploads/upload", method="PATCH", times=1000, cut_request=2))
    with pytest.raises(RegistryError, match="cannot reach registry"):
        push(client(chunk_bytes=200_000), empty)
    assert len(sent(empty)) == 5


def test_a_registry_that_says_to_have_more_than_there_is_is_not_believed(empty: FakeRegistry) -> None:
    empty.faults.append(Fault("uploads/upload", method="PATCH", status=416))
    empty.faults.append(Fault("uploads/upload", method="GET", status=204, headers={"Range": "0-999999"}))
    with pytest.raises(RegistryError, match="more than was sent"):
        push(client(chunk_bytes=100_000), empty)


def test_an_upload_without_a_location_is_an_error(empty: FakeRegistry) -> None:
    empty.faults.append(Fault("uploads", method="POST", status=202))
    with pytest.raises(RegistryError, match="does not say where to"):
        push(client(), empty)


def test_a_refusal_in_the_middle_of_an_upload_is_heard_and_the_upload_cancelled(empty: FakeRegistry) -> None:
    empty.faults.append(Fault("uploads/upload", method="PUT", status=413, early=True))
    told: list[int] = []
    data = os.urandom(32 << 20)  # more than sockets hold
    with pytest.raises(RegistryError, match="too large for the registry"):
        push(client(), empty, data, progress=told.append)
    assert sum(told) < len(data)
    assert asked(empty) == ["HEAD", "POST", "PUT", "DELETE"]
    assert empty.uploads == {}


@pytest.mark.parametrize("status", [400, 403, 405, 413])
def test_a_refusal_of_an_upload_is_not_tried_again(empty: FakeRegistry, status: int) -> None:
    empty.faults.append(Fault("uploads/upload", times=100, method="PUT", status=status))
    with pytest.raises(RegistryError) as caught:
        push(client(), empty)
    assert caught.value.status == status
    assert asked(empty) == ["HEAD", "POST", "PUT", "DELETE"]


def test_a_cancelled_push_cancels_its_upload() -> None:
    stop: list[bool] = []
    one = client(cancelled=lambda: bool(stop))

    def progress(_: int) -> None:
        stop.append(True)

    one._chunk_bytes = 100_000
    with FakeRegistry() as fake:
        fake.faults.append(Fault("uploads/upload", method="PATCH", status=503))
        with pytest.raises(Cancelled):
            push(one, fake, progress=progress)
        assert fake.uploads == {}
    # The PATCH breaks off on a connection of its own, of which the registry may learn last: it is asked when it ended.
    assert sorted(asked(fake)) == ["DELETE", "HEAD", "PATCH", "POST"]


def test_a_file_that_cannot_be_read_is_not_taken_for_the_network() -> None:
    def refuse(offset: int) -> object:
        raise BrokenPipeError(32, "Broken pipe")

    with FakeRegistry() as fake, pytest.raises(BrokenPipeError):
        client().push_blob(reference(fake, "team/app"), descriptor_of(BLOB), refuse)  # type: ignore[arg-type]  # it raises
    assert sorted(asked(fake)) == ["DELETE", "HEAD", "POST", "PUT"]


def test_a_failing_cancel_changes_nothing(empty: FakeRegistry) -> None:
    empty.faults.append(Fault("uploads/upload", method="PUT", status=400))
    empty.faults.append(Fault("uploads/upload", method="DELETE", status=500, times=9))
    with pytest.raises(RegistryError) as caught:
        push(client(), empty)
    assert caught.value.status == 400
    assert asked(empty).count("DELETE") == 1


# --- where to


def test_an_upload_to_another_host_gets_no_credentials(empty: FakeRegistry) -> None:
    with FakeRegistry(auth="bearer") as front:
        front.owned = set()
        front.upload_server, empty.uploads, empty.states = f"http://{empty.host}", front.uploads, front.states
        push(client(), front)
        assert "authorization" in front.requests[-1][2]
    assert asked(empty) == ["PUT"]
    assert "authorization" not in empty.requests[0][2]
    assert empty.blobs == {sha256(BLOB): BLOB}


def test_an_upload_that_is_redirected_goes_there_with_its_body(empty: FakeRegistry) -> None:
    with FakeRegistry(auth="bearer") as front:
        front.owned = set()
        empty.uploads["elsewhere"] = bytearray()
        empty.states["elsewhere"] = 1
        target = f"http://{empty.host}/v2/team/app/blobs/uploads/elsewhere?_state=1&digest={sha256(BLOB)}"
        front.faults.append(Fault("digest=", method="PUT", status=307, headers={"Location": target}))
        assert push(client(), front) == "sent"
    assert empty.blobs == {sha256(BLOB): BLOB}
    assert "authorization" not in empty.requests[0][2]


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd?secret=hunter2", "http://[?secret=hunter2", "http://a b/?hunter2"]
)
def test_an_unusable_location_is_named_without_what_it_carries(empty: FakeRegistry, location: str) -> None:
    empty.faults.append(Fault("uploads", method="POST", status=202, headers={"Location": location}))
    with pytest.raises(RegistryError, match="redirects wrongly") as caught:
        push(client(), empty)
    assert "hunter2" not in caught.value.message


def test_a_manifest_is_put_again_after_a_passing_failure(empty: FakeRegistry) -> None:
    image = make_image([])
    for data in image.blobs.values():
        push(client(), empty, data)
    empty.faults += [Fault("manifests", status=503), Fault("manifests", method="PUT", lost=True)]
    assert client().put_manifest(reference(empty, "team/app:1"), image.manifest) == image.digest


def test_a_stream_of_unknown_size_goes_on_where_it_broke(empty: FakeRegistry) -> None:
    empty.faults.append(Fault("uploads/upload", method="PATCH", cut_request=30_000))
    client(chunk_bytes=100_000).push_stream(reference(empty, "team/app"), opener(BLOB), lambda: descriptor_of(BLOB))
    assert empty.blobs == {sha256(BLOB): BLOB}
    assert sent(empty)[1] == "30000-129999"
