"""The client against Debian's docker-registry: open, with passwords (htpasswd), with tokens, behind TLS."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.errors import RegistryError
from builder.oci.digest import Digest
from builder.oci.reference import Reference, parse_reference
from builder.registry.client import RegistryClient
from builder.registry.connection import Connection
from builder.registry.credential_helper import Credentials
from builder.registry.login import verify_login
from builder.store.store import Store
from tests.registry.asking import NOBODY, artifact, client, descriptor_of, opener
from tests.support.docker_registry import PASSWORD, USER, registry_program, running, with_password
from tests.support.registry import FakeImage, make_image, make_index, sha256
from tests.support.token_service import TokenService

DATA = os.urandom(3_000_000)
KINDS = ("open", "password", "token", "tls")


@dataclass(frozen=True)
class Real:
    host: str
    who: Credentials | None

    def client(self, **options: int) -> RegistryClient:
        return client(who=self.who, chunk_bytes=options.get("chunk_bytes"))

    def reference(self, name: str = "team/app:1") -> Reference:
        return parse_reference(f"{self.host}/{name}")

    def push(self, one: RegistryClient, image: FakeImage, name: str = "team/app:1") -> Digest:
        for data in image.blobs.values():
            one.push_blob(self.reference(name), descriptor_of(data), opener(data))
        return one.put_manifest(self.reference(name), image.manifest)


@pytest.fixture(scope="session", name="registry_program")
def found_registry_program() -> str:
    return registry_program()


@pytest.fixture(scope="module", params=KINDS)
def real(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, registry_program: str, authority: Path
) -> Iterator[Real]:
    """A docker-registry of its own on a free port, of each kind."""
    folder = tmp_path_factory.mktemp("registry")
    who = Credentials(USER, PASSWORD) if request.param in ("password", "token") else None
    more = tls = ""
    with ExitStack() as stack:
        if request.param == "password":
            more = with_password(folder)
        elif request.param == "token":
            more = stack.enter_context(TokenService(folder, USER, PASSWORD)).settings
        elif request.param == "tls":
            tls = f", tls: {{certificate: {authority}/server.cert, key: {authority}/server.key}}"
        yield Real(stack.enter_context(running(registry_program, folder, more, tls)), who)


@pytest.mark.parametrize("chunk_bytes", [None, 1_000_000])
def test_a_blob_comes_back_as_it_was_pushed(real: Real, store: Store, chunk_bytes: int | None) -> None:
    data = os.urandom(2_500_000)
    told: list[int] = []
    one = real.client(chunk_bytes=chunk_bytes) if chunk_bytes else real.client()
    assert not one.has_blob(real.reference(), descriptor_of(data))
    assert one.push_blob(real.reference(), descriptor_of(data), opener(data), progress=told.append) == "sent"
    assert sum(told) == len(data)
    assert real.client().push_blob(real.reference(), descriptor_of(data), opener(data)) == "exists"
    with store.blobs.ingest(Digest(sha256(data)), len(data)) as sink:
        real.client().fetch_blob(real.reference(), descriptor_of(data), sink)
        sink.commit()


def test_a_blob_of_unknown_size_is_pushed(real: Real) -> None:
    data = os.urandom(1_500_000)
    one = real.client(chunk_bytes=400_000)
    one.push_stream(real.reference(), opener(data), lambda: descriptor_of(data))
    assert real.client().has_blob(real.reference(), descriptor_of(data))


def test_a_blob_is_mounted(real: Real) -> None:
    real.client().push_blob(real.reference("team/base"), descriptor_of(DATA), opener(DATA))
    target = real.reference("team/mounted")
    assert real.client().push_blob(target, descriptor_of(DATA), opener(DATA), mount_from="team/base") == "mounted"
    other = real.reference("team/unmounted")
    assert real.client().push_blob(other, descriptor_of(DATA), opener(DATA), mount_from="team/none") == "sent"


@pytest.mark.parametrize("chunk_bytes", [0, 1_000_000])
def test_a_push_goes_on_after_its_connection_was_cut(
    real: Real, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    data = os.urandom(2_500_000)
    blocks = [0]
    real_send = socket.socket.send
    secure_send = ssl.SSLSocket.send

    def cut(connection: socket.socket, block: memoryview, send: object) -> int:
        blocks[0] += len(block) > 100_000
        if blocks[0] == 6:
            blocks[0] += 1
            socket.socket.shutdown(connection, socket.SHUT_RDWR)  # below TLS, as a network does it
        return send(connection, block)  # type: ignore[operator,no-any-return]  # one of the two above

    monkeypatch.setattr(socket.socket, "send", lambda own, block: cut(own, block, real_send), raising=False)
    monkeypatch.setattr(ssl.SSLSocket, "send", lambda own, block: cut(own, block, secure_send))
    one = real.client(chunk_bytes=chunk_bytes) if chunk_bytes else real.client()
    assert one.push_blob(real.reference("team/cut"), descriptor_of(data), opener(data)) == "sent"
    assert blocks[0] > 6
    monkeypatch.undo()
    assert real.client().has_blob(real.reference("team/cut"), descriptor_of(data))


def test_an_image_and_an_index_keep_their_bytes_and_digests(real: Real) -> None:
    one = real.client()
    image, other = make_image(), make_image([{"other": b"x"}], architecture="arm64")
    index = make_index([image, other])
    assert real.push(one, image) == image.digest
    real.push(one, other, f"team/app@{other.digest}")
    assert one.put_manifest(real.reference("team/app:all"), index.manifest) == index.digest
    for name, made in (("1", image), ("all", index)):
        fetched = real.client().get_manifest(real.reference(f"team/app:{name}"))
        assert (fetched.data, fetched.media_type, fetched.digest) == (made.manifest, made.media_type, made.digest)
        assert one.head_manifest(real.reference(f"team/app:{name}")) == descriptor_of(made.manifest, made.media_type)
    assert one.head_manifest(real.reference("team/app:none")) is None
    assert {"1", "all"} <= set(one.list_tags(real.reference()))
    assert "team/app" in one.list_repositories(real.host)


def test_a_manifest_without_its_blobs_is_refused(real: Real) -> None:
    with pytest.raises(RegistryError, match="refers to something the registry does not have"):
        real.client().put_manifest(real.reference("team/lacking:1"), make_image([{"never": b"pushed"}]).manifest)


def test_referrers_are_kept_under_a_tag(real: Real) -> None:
    one = real.client()
    image = make_image([{"signed": b"x"}])
    real.push(one, image, "team/signed:1")
    one.push_blob(real.reference("team/signed"), descriptor_of(b"{}"), opener(b"{}"))
    signature = artifact(image.manifest)
    one.put_manifest(real.reference(f"team/signed@{sha256(signature)}"), signature)
    subject = real.reference("team/signed").with_digest(Digest(image.digest))
    assert [each.digest for each in one.referrers(subject)] == [sha256(signature)]
    assert one.referrers(subject, "application/other") == ()


def test_a_catalogue_is_read_to_its_end(real: Real) -> None:
    one = real.client()
    names = [f"pages/{number:03}" for number in range(105)]  # its pages have a hundred
    image = make_image([])
    for name in names:
        real.push(one, image, f"{name}:1")
    assert set(names) <= set(one.list_repositories(real.host))
    assert len(one.list_repositories(real.host, limit=1)) == 100


def test_a_manifest_is_deleted(real: Real) -> None:
    one = real.client()
    image = make_image([{"deleted": b"x"}])
    real.push(one, image, "team/deleted:1")
    one.delete_manifest(real.reference(f"team/deleted@{image.digest}"))
    assert one.head_manifest(real.reference("team/deleted:1")) is None


def test_a_login_is_checked(real: Real) -> None:
    connection = Connection(sleep=lambda _: None, environ=NOBODY)
    assert verify_login(real.host, Credentials(USER, PASSWORD), connection, NOBODY) == Credentials(USER, PASSWORD)
    if real.who is not None:
        with pytest.raises(RegistryError, match="does not accept this user name and password"):
            verify_login(real.host, Credentials("me", "guess"), connection, NOBODY)
        with pytest.raises(RegistryError, match="push access denied"):
            client().push_blob(real.reference(), descriptor_of(DATA), opener(DATA))


def test_a_range_is_answered_from_there_on(real: Real, store: Store) -> None:
    data = os.urandom(500_000)
    real.client().push_blob(real.reference(), descriptor_of(data), opener(data))
    with store.blobs.ingest(Digest(sha256(data)), len(data)) as sink:
        sink.write(data[:200_000])  # as after a connection that broke
        real.client().fetch_blob(real.reference(), descriptor_of(data), sink)
        sink.commit()
