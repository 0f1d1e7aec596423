"""TLS with certificates of one's own, in both directions, in the folders of docker and podman."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builder.errors import RegistryError
from builder.registry.certificates import find_certificates, tls_context
from tests.registry.asking import BLOB, client, openssl, push, reference
from tests.support.registry import FakeRegistry, Fault, make_image


@pytest.fixture
def secure(authority: Path) -> Iterator[FakeRegistry]:
    """A registry that wants to see a certificate of ours."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{authority}/server.cert", f"{authority}/server.key")
    context.load_verify_locations(f"{authority}/ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    with FakeRegistry(tls=context) as fake:
        fake.owned = set()
        yield fake


@pytest.fixture
def settled(tmp_path: Path, authority: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """Returns an environment whose home has files of the authority for a host; loopback is no exception for it."""
    monkeypatch.setattr("builder.registry.endpoint.is_loopback", lambda host: False)
    monkeypatch.setattr("builder.registry.connection.is_loopback", lambda host: False)

    def settle(host: str, *names: str) -> dict[str, str]:
        folder = tmp_path / ".config/containers/certs.d" / host
        folder.mkdir(parents=True)
        for name in names:
            shutil.copy(authority / name, folder)
        return {"HOME": str(tmp_path)}

    return settle


def test_an_authority_and_a_certificate_of_ours_open_a_registry(
    secure: FakeRegistry, settled: Callable[..., dict[str, str]]
) -> None:
    environ = settled(secure.host, "ca.crt", "client.cert", "client.key")
    image = make_image()
    secure.add_image("team/app", "1", image)
    assert client(environ).get_manifest(reference(secure, "team/app:1")).digest == image.digest
    assert push(client(environ), secure) == "sent"
    assert push(client(environ, chunk_bytes=100_000), secure, BLOB[1:]) == "sent"


def test_without_the_authority_the_registry_is_not_believed(
    secure: FakeRegistry, settled: Callable[..., dict[str, str]]
) -> None:
    environ = settled(secure.host, "client.cert", "client.key", "stranger.crt")
    with pytest.raises(RegistryError, match="its certificate is not accepted"):
        client(environ).get_manifest(reference(secure, "team/app:1"))


def test_without_a_certificate_of_ours_we_are_not_let_in(
    secure: FakeRegistry, settled: Callable[..., dict[str, str]]
) -> None:
    environ = settled(secure.host, "ca.crt")
    with pytest.raises(RegistryError, match="cannot reach registry"):
        client(environ).get_manifest(reference(secure, "team/app:1"))


def test_a_certificate_without_its_key_is_named(secure: FakeRegistry, settled: Callable[..., dict[str, str]]) -> None:
    environ = settled(secure.host, "ca.crt", "client.cert")
    with pytest.raises(RegistryError, match=r"client\.cert has no key beside it"):
        client(environ).get_manifest(reference(secure, "team/app:1"))


@pytest.mark.parametrize("name", ["ca.crt", "client.cert", "client.key"])
def test_a_damaged_certificate_is_named(tmp_path: Path, authority: Path, name: str) -> None:
    for each in ("ca.crt", "client.cert", "client.key"):
        shutil.copy(authority / each, tmp_path)
    (tmp_path / name).write_text("nonsense")
    with pytest.raises(RegistryError, match=r"the certificate .* cannot be used: it is not in PEM"):
        tls_context(str(tmp_path))


def test_a_key_with_a_password_does_not_ask_for_it(tmp_path: Path, authority: Path) -> None:
    shutil.copy(authority / "client.cert", tmp_path)
    openssl("ec", "-in", f"{authority}/client.key", "-aes256", "-passout", "pass:x", "-out", f"{tmp_path}/client.key")
    with pytest.raises(RegistryError, match="cannot be used") as caught:
        tls_context(str(tmp_path))
    assert "password" in caught.value.hint


def test_the_folder_of_the_user_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker, own = tmp_path / "docker", tmp_path / "home/.config/containers/certs.d"
    monkeypatch.setattr("builder.registry.certificates._SYSTEM", (str(docker),))
    (docker / "r.example:5000").mkdir(parents=True)
    environ = {"HOME": str(tmp_path / "home")}
    assert find_certificates(["r.example:5000"], environ) == f"{docker}/r.example:5000"
    assert find_certificates(["r.example", "..", "", "a/../r.example:5000"], environ) == ""
    (own / "r.example:5000").mkdir(parents=True)
    assert find_certificates(["r.example:5000"], environ) == f"{own}/r.example:5000"


def test_loopback_that_speaks_tls_needs_no_certificate_as_for_docker(registry: FakeRegistry, authority: Path) -> None:
    """The plain one stands for the answer of a server that speaks TLS, the other one is that server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{authority}/server.cert", f"{authority}/server.key")
    with FakeRegistry(tls=context) as secure:
        one = client()
        one.connection._schemes[secure.host] = "https"  # as after that answer
        image = make_image()
        secure.add_image("team/app", "1", image)
        assert one.get_manifest(reference(secure, "team/app:1")).digest == image.digest
    said = b"Client sent an HTTP request to an HTTPS server.\n"
    registry.faults.append(Fault("manifests", status=400, body=said, times=9))
    with pytest.raises(RegistryError, match="TLS failed"):  # it does not speak TLS, and is asked in it
        client().get_manifest(reference(registry, "team/app:1"))
