"""Whatever a server sends, or does not: an answer or one of our errors, in time, and nothing read that nobody wants."""

from __future__ import annotations

import re
import time

import pytest

from builder.context.http import fetch
from builder.errors import Cancelled, ContextError, RegistryError
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest
from builder.oci.reference import parse_reference
from builder.registry.client import RegistryClient
from builder.registry.connection import Connection
from builder.registry.endpoint import Endpoint
from builder.store.store import Store
from tests.support.registry import sha256
from tests.web.hostile import DRAINED_BYTES, HURRY, OK, ROWS, WITHIN_SECONDS, HostileServer, Row, answer, endless

NAMES = [row.name for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_a_file_from_a_hostile_server(row: Row) -> None:
    body = bytearray()
    with HostileServer({"/": row.script, "/ok": lambda: [OK]}) as server:
        began = time.monotonic()
        if isinstance(row.file, bytes):
            assert fetch(f"http://{server.host}/", body.extend, limit=1_000_000, patience=HURRY) is not None
            assert bytes(body) == row.file
        else:
            with pytest.raises(ContextError) as caught:
                fetch(f"http://{server.host}/", body.extend, limit=1_000_000, patience=HURRY)
            assert_said(caught.value, row.file)
        assert time.monotonic() - began < WITHIN_SECONDS
        assert server.sent < DRAINED_BYTES


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_a_manifest_from_a_hostile_server(row: Row) -> None:
    with HostileServer({"": row.script, "/ok": lambda: [answer("404 No", "Content-Length: 0")]}) as server:
        client = RegistryClient(
            Connection(sleep=lambda _: None, attempts=2, patience=HURRY), {"HOME": "/nonexistent"}
        )  # fmt: skip
        began = time.monotonic()
        if isinstance(row.registry, bytes):
            assert client.get_manifest(parse_reference(f"{server.host}/x")).data == row.registry
        else:
            with pytest.raises(RegistryError) as caught:
                client.get_manifest(parse_reference(f"{server.host}/x"))
            assert_said(caught.value, row.registry or str(row.file))
        assert time.monotonic() - began < WITHIN_SECONDS
        assert server.sent < DRAINED_BYTES


def assert_said(error: ContextError | RegistryError, wanted: str) -> None:
    """One line with the reason, and nothing of how a library says it."""
    assert re.search(wanted, error.message), error.message
    assert not re.search(r"urllib|HTTPConnection|0x[0-9a-f]|Errno|Exception|Error\(|None", error.message)
    assert error.message.count("[") == error.message.count("]") or "[::1" in error.message
    assert "\n" not in error.message


@pytest.mark.parametrize("head", [b"", answer("200 OK", body=b"x")], ids=["in the head", "in the body"])
def test_nobody_waits_for_what_is_no_longer_wanted(head: bytes) -> None:
    began = time.monotonic()
    with HostileServer({"": endless(b"", 0.1, after=head)}) as server:
        connection = Connection(cancelled=lambda: time.monotonic() - began > 1)
        with pytest.raises(Cancelled):
            RegistryClient(connection, {"HOME": "/nonexistent"}).get_manifest(parse_reference(f"{server.host}/x"))
    assert time.monotonic() - began < WITHIN_SECONDS


def test_what_was_posted_is_not_sent_on() -> None:
    with HostileServer({"": lambda: [answer("307 Moved", "Location: /else", "Content-Length: 0")]}) as server:
        response = Connection().request(
            "POST",
            f"http://{server.host}/token",
            {},
            endpoint=Endpoint(server.host, server.host, "http"),
            body=b"secret",
        )
        response.close()
    assert response.status == 307
    assert len(server.requests) == 1


def test_an_answer_of_one_byte_at_a_time_comes_to_an_end(store: Store) -> None:
    blob = b"x" * 5000
    position = iter(range(len(blob)))

    def one_byte() -> list[bytes]:
        at = next(position)
        headers = [f"Content-Range: bytes {at}-{at}/{len(blob)}", "Content-Length: 1"]
        return [answer("206 Partial" if at else "200 OK", *headers, body=blob[at : at + 1])]

    with HostileServer({"": one_byte}) as server:
        client = RegistryClient(Connection(sleep=lambda _: None, patience=HURRY), {"HOME": "/nonexistent"})
        descriptor = Descriptor(media_type="x", digest=Digest(sha256(blob)), size=len(blob))
        with (
            pytest.raises(RegistryError, match=r"breaks off after 5 of 5000 bytes: the answer is too short"),
            store.blobs.ingest(descriptor.digest, descriptor.size) as sink,
        ):
            client.fetch_blob(parse_reference(f"{server.host}/x"), descriptor, sink)
        assert len(server.requests) == 5
