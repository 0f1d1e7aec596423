"""Getting in: tokens, passwords, credential files and helpers, and what never leaves the house."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import RegistryError
from builder.oci.reference import parse_reference
from builder.registry.challenge import Challenge, parse_challenges
from builder.registry.client import RegistryClient
from builder.registry.connection import Connection
from builder.registry.credential_helper import Credentials
from builder.registry.credentials import find_credentials
from builder.registry.endpoint import Endpoint, endpoint_of
from builder.registry.failure import failure
from builder.web.address import Address, is_loopback
from tests.support.registry import FakeRegistry, Fault, make_image


def pull(fake: FakeRegistry, environ: dict[str, str], repository: str = "team/x") -> RegistryClient:
    fake.add_image(repository, "1", make_image())
    client = RegistryClient(Connection(sleep=lambda _: None), environ)
    client.get_manifest(parse_reference(f"{fake.host}/{repository}:1"))
    return client


def auth_file(directory: Path, document: dict[str, object]) -> dict[str, str]:
    path = directory / "auth.json"
    path.write_text(json.dumps(document))
    return {"HOME": str(directory), "REGISTRY_AUTH_FILE": str(path), "PATH": str(directory)}


def encoded(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_anonymous_tokens_are_fetched_once_for_each_repository(tmp_path: Path) -> None:
    with FakeRegistry(auth="bearer") as fake:
        client = pull(fake, {"HOME": str(tmp_path)})
        client.get_manifest(parse_reference(f"{fake.host}/team/x:1"))
        fake.add_image("team/y", "1", make_image())
        client.get_manifest(parse_reference(f"{fake.host}/team/y:1"))
        tokens = [path for path in fake.paths() if path.startswith("/token")]
    assert len(tokens) == 2
    assert "scope=repository%3Ateam%2Fx%3Apull" in tokens[0]
    assert "service=fake%2C+with+a+comma" in tokens[0]


@pytest.mark.parametrize("seconds", [10**400, float("inf"), float("nan"), -(10**400), 0, True])
def test_a_token_may_say_anything_of_its_end(seconds: float, tmp_path: Path) -> None:
    with FakeRegistry(auth="bearer") as fake:
        fake.expires_in = seconds  # type: ignore[assignment]  # what JSON can hold
        pull(fake, {"HOME": str(tmp_path)})
        assert [path for path in fake.paths() if path.startswith("/token")]


def test_a_token_that_has_run_out_is_fetched_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("builder.registry.authorization.time.monotonic", lambda: clock[0])
    with FakeRegistry(auth="bearer", expires_in=None) as fake:  # then it lasts 60 s
        client = pull(fake, {"HOME": str(tmp_path)})
        clock[0] += 49
        client.get_manifest(parse_reference(f"{fake.host}/team/x:1"))
        assert sum(path.startswith("/token") for path in fake.paths()) == 1
        clock[0] += 2
        client.get_manifest(parse_reference(f"{fake.host}/team/x:1"))
        assert sum(path.startswith("/token") for path in fake.paths()) == 2


@pytest.mark.parametrize("auth", ["bearer", "basic"])
def test_a_private_repository_opens_with_the_password_of_docker_login(tmp_path: Path, auth: str) -> None:
    with FakeRegistry(auth=auth, user="me", password="s:cret") as fake:
        pull(fake, auth_file(tmp_path, {"auths": {fake.host: encoded("me", "s:cret")}}))


@pytest.mark.parametrize("auth", ["bearer", "basic"])
def test_without_a_password_the_answer_is_access_denied(tmp_path: Path, auth: str) -> None:
    with FakeRegistry(auth=auth, user="me", password="secret") as fake, pytest.raises(RegistryError) as caught:
        pull(fake, {"HOME": str(tmp_path)})
    assert "pull access denied, repository does not exist or may require authorization" in caught.value.message
    assert "pybuild login" in caught.value.hint


def test_a_wrong_password_is_not_tried_twice(tmp_path: Path) -> None:
    with FakeRegistry(auth="basic", user="me", password="secret") as fake:
        environ = auth_file(tmp_path, {"auths": {fake.host: encoded("me", "guess")}})
        with pytest.raises(RegistryError):
            pull(fake, environ)
        assert len(fake.paths()) == 2


def test_an_identity_token_is_traded_for_an_access_token(tmp_path: Path) -> None:
    with FakeRegistry(auth="bearer", user="nobody", password="x") as fake:
        fake.identity_token = "refresh-me"
        pull(fake, auth_file(tmp_path, {"auths": {fake.host: {"identitytoken": "refresh-me"}}}))
        assert "POST" in [method for method, _, _ in fake.requests]


def test_a_service_that_knows_no_refresh_is_asked_the_old_way(tmp_path: Path) -> None:
    with FakeRegistry(auth="bearer") as fake:
        fake.faults.append(Fault("/token", status=404, method="POST"))
        pull(fake, auth_file(tmp_path, {"auths": {fake.host: {"identitytoken": "x"}}}))


@pytest.mark.parametrize("realm", ["http://evil.example/token", "ftp://x/", "", "https:/token@"])
def test_a_realm_that_is_not_safe_gets_no_credentials(tmp_path: Path, realm: str) -> None:
    with FakeRegistry(auth="bearer", user="me", password="secret") as fake:
        fake.realm = realm or "/token"
        environ = auth_file(tmp_path, {"auths": {fake.host: encoded("me", "secret")}})
        with pytest.raises(RegistryError):
            pull(fake, environ)


def test_secrets_are_not_shown() -> None:
    assert "hunter2" not in repr(Credentials("me", "hunter2", "hunter2"))


def test_the_most_specific_entry_of_a_credentials_file_wins(tmp_path: Path) -> None:
    environ = auth_file(
        tmp_path,
        {"auths": {"r.io": encoded("host", ""), "r.io/team": encoded("team", ""), "r.io/team/x": encoded("repo", "")}},
    )
    found = [find_credentials("r.io", name, environ) for name in ("team/x", "team/y", "other", "team/x/sub")]
    assert [item and item.username for item in found] == ["repo", "team", "host", "repo"]
    assert find_credentials("other.io", "x", environ) is None


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io"])
def test_docker_hub_has_a_key_of_its_own(tmp_path: Path, key: str) -> None:
    found = find_credentials("docker.io", "library/x", auth_file(tmp_path, {"auths": {key: encoded("me", "pw")}}))
    assert found == Credentials("me", "pw")


def test_keys_with_scheme_and_path_are_understood(tmp_path: Path) -> None:
    environ = auth_file(tmp_path, {"auths": {"https://r.io/v2/": encoded("me", "pw")}})
    assert find_credentials("r.io", "x", environ) == Credentials("me", "pw")


def test_files_are_asked_in_their_order(tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text(json.dumps({"auths": {"r.io": encoded("docker", "")}}))
    environ = {"HOME": str(tmp_path)}
    assert find_credentials("r.io", "x", environ) == Credentials("docker", "")
    (tmp_path / ".config/containers").mkdir(parents=True)
    (tmp_path / ".config/containers/auth.json").write_text(json.dumps({"auths": {"r.io": encoded("podman", "")}}))
    assert find_credentials("r.io", "x", environ) == Credentials("podman", "")
    assert find_credentials("r.io", "x", auth_file(tmp_path, {"auths": {"r.io": encoded("own", "")}})) == Credentials(
        "own", ""
    )


def _helper(directory: Path, name: str, script: str) -> None:
    path = directory / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_credential_helper_is_asked_for_its_host(tmp_path: Path) -> None:
    _helper(tmp_path, "fake", 'read server; echo "{\\"Username\\":\\"$1\\",\\"Secret\\":\\"$server\\"}"')
    environ = auth_file(tmp_path, {"credHelpers": {"r.io": "fake"}})
    assert find_credentials("r.io", "x", environ) == Credentials("get", "r.io")
    assert find_credentials("s.io", "x", environ) is None


def test_a_credentials_store_may_hold_identity_tokens_or_nothing(tmp_path: Path) -> None:
    _helper(tmp_path, "store", 'echo "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"t\\"}"')
    environ = auth_file(tmp_path, {"credsStore": "store"})
    assert find_credentials("r.io", "x", environ) == Credentials(identity_token="t")
    _helper(tmp_path, "store", "echo credentials not found in native keychain; exit 1")
    assert find_credentials("r.io", "x", environ) is None


@pytest.mark.parametrize("name", ["missing", "../../bin/sh", "a b"])
def test_a_helper_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(RegistryError, match="is not installed"):
        find_credentials("r.io", "x", auth_file(tmp_path, {"credsStore": name}))


@pytest.mark.parametrize("script", ["echo broken", "echo '[]'", "echo '{}'", "echo locked >&2; exit 1"])
def test_a_helper_that_fails_is_an_error_and_not_anonymous_access(tmp_path: Path, script: str) -> None:
    _helper(tmp_path, "bad", script)
    with pytest.raises(RegistryError, match="docker-credential-bad"):
        find_credentials("r.io", "x", auth_file(tmp_path, {"credsStore": "bad"}))


@pytest.mark.parametrize("text", ["{", '{"auths":{"r.io":{"auth":"%%%"}}}', '{"auths":{"r.io":{"auth":"/w=="}}}'])
def test_a_damaged_credentials_file_is_named(tmp_path: Path, text: str) -> None:
    environ = auth_file(tmp_path, {})
    Path(environ["REGISTRY_AUTH_FILE"]).write_text(text)
    with pytest.raises(RegistryError, match=r"auth\.json"):
        find_credentials("r.io", "x", environ)


def test_challenges_follow_the_grammar() -> None:
    header = 'Bearer realm="https://a/t",service="a, \\"b\\"",scope="repository:x:pull,push"'
    header += ', Basic realm=plain,charset="UTF-8"'
    assert parse_challenges([header, "Negotiate"]) == (
        Challenge("bearer", {"realm": "https://a/t", "service": 'a, "b"', "scope": "repository:x:pull,push"}),
        Challenge("basic", {"realm": "plain", "charset": "UTF-8"}),
        Challenge("negotiate", {}),
    )


@given(st.text(max_size=200))
def test_no_header_breaks_the_parser(text: str) -> None:
    for challenge in parse_challenges([text, f"Bearer {text}"]):
        assert challenge.scheme == challenge.scheme.lower()


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1", "127.9.9.9:80", "[::1]", "[::1]:5000"])
def test_loopback_speaks_plain_http(host: str) -> None:
    assert is_loopback(host)
    assert endpoint_of(host).scheme == "http"


@pytest.mark.parametrize("host", ["docker.io", "localhost.evil.com", "128.0.0.1:5000", "127.0.0.1.evil.com", "[::2]:1"])
def test_everything_else_speaks_https(host: str) -> None:
    assert endpoint_of(host, environ={"HOME": "/nonexistent"}).scheme == "https"


def test_docker_io_answers_elsewhere() -> None:
    assert endpoint_of("docker.io", environ={"HOME": "/nonexistent"}).url("/v2/") == "https://registry-1.docker.io/v2/"


def test_registries_conf_can_make_a_registry_insecure_or_block_it(tmp_path: Path) -> None:
    path = tmp_path / "registries.conf"
    path.write_text(
        '[[registry]]\nlocation = "r.io"\ninsecure = true\n[[registry]]\nprefix = "r.io/bad"\nblocked = true\n'
        '[[registry]]\nprefix = "*.corp"\ninsecure = true\n'
    )
    environ = {"CONTAINERS_REGISTRIES_CONF": str(path)}
    assert endpoint_of("r.io", "good/x", environ).insecure
    assert endpoint_of("a.corp", "x", environ).insecure
    assert not endpoint_of("r.io.evil", "x", environ).insecure
    with pytest.raises(RegistryError, match="blocked"):
        endpoint_of("r.io", "bad/x", environ)
    path.write_text("[[registry")
    with pytest.raises(RegistryError, match=r"registries\.conf"):
        endpoint_of("r.io", "x", environ)


def test_an_insecure_registry_may_speak_plain_http_and_others_may_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builder.registry.endpoint.is_loopback", lambda host: False)
    conf = tmp_path / "registries.conf"
    with FakeRegistry(auth="bearer") as fake:
        conf.write_text(f'[[registry]]\nlocation = "{fake.host}"\ninsecure = true\n')
        pull(fake, {"CONTAINERS_REGISTRIES_CONF": str(conf), "HOME": str(tmp_path)})
        conf.write_text("")
        with pytest.raises(RegistryError, match="cannot reach registry"):
            pull(fake, {"CONTAINERS_REGISTRIES_CONF": str(conf), "HOME": str(tmp_path)})


@pytest.mark.parametrize("secret", ['pa"ss', "pä", "p\u2028s", "plain"])
def test_a_secret_is_not_shown_however_the_service_writes_it(secret: str) -> None:
    for text in (json.dumps, lambda value: json.dumps(value, ensure_ascii=False)):
        body = text({"errors": [{"code": "DENIED", "message": f"bad password {secret}"}]}).encode()
        error = failure("logging in", 401, body, secrets=(secret, "", "other"))
        assert "bad password ***" in error.message
        assert secret not in error.message


def test_an_insecure_registry_that_breaks_off_once_keeps_its_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint("r.example:5000", "r.example:5000", "https", insecure=True)
    connection = Connection(sleep=lambda _: None)
    asked: list[str] = []

    def once(method: str, address: Address, *_: object) -> SimpleNamespace:
        asked.append(address.scheme)
        if len(asked) == 1:
            raise urllib3.exceptions.ProtocolError("Connection aborted.", ConnectionResetError(104, "reset"))
        return SimpleNamespace(status=200, headers=urllib3.HTTPHeaderDict())

    monkeypatch.setattr(connection, "_once", once)
    for _ in range(2):
        connection.request("GET", "https://r.example:5000/v2/", {}, endpoint=endpoint)
    assert asked == ["https"] * 3
