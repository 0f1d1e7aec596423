"""Logging in and out: what the registry says, and what is written where, in the files of docker and podman."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path

import pytest

from builder.errors import RegistryError
from builder.registry.connection import Connection
from builder.registry.credential_files import erase_credentials, store_credentials
from builder.registry.credential_helper import Credentials
from builder.registry.credentials import find_credentials
from builder.registry.login import verify_login
from tests.registry.asking import NOBODY
from tests.support.registry import FakeRegistry, Fault

ME = Credentials("me", "hunter2")
KEEPER = """
import json, os, sys
place = os.path.join(os.environ["HOME"], "kept")
action, text = sys.argv[1], sys.stdin.read()
kept = json.load(open(place)) if os.path.exists(place) else {}
if action == "get":
    if text not in kept:
        sys.exit(print("credentials not found in native keychain") or 1)
    print(json.dumps(kept[text]))
elif action == "store":
    kept[json.loads(text)["ServerURL"]] = json.loads(text)
elif action == "erase":
    kept.pop(text, None)
json.dump(kept, open(place, "w"))
"""
"""A credential helper that follows the protocol, and keeps what it is told in a file."""


def check(fake: FakeRegistry, credentials: Credentials = ME) -> Credentials:
    return verify_login(fake.host, credentials, Connection(sleep=lambda _: None), NOBODY)


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    helper = tmp_path / "docker-credential-keeper"
    helper.write_text(f"#!/usr/bin/env python3\n{KEEPER}")
    helper.chmod(0o755)
    return {"HOME": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}


def config(home: dict[str, str], document: dict[str, object] | None = None, name: str = ".docker/config.json") -> Path:
    path = Path(home["HOME"]) / name
    if document is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))
    return path


# --- the registry's word


@pytest.mark.parametrize("auth", ["", "basic", "bearer"])
def test_good_credentials_are_accepted(auth: str) -> None:
    with FakeRegistry(auth=auth, user="me", password="hunter2") as fake:
        fake.strict = auth == "bearer"
        assert check(fake) == ME
        assert fake.paths()[0] == "/v2/"


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_wrong_credentials_are_refused_in_one_line_without_them(auth: str) -> None:
    with FakeRegistry(auth=auth, user="me", password="other") as fake, pytest.raises(RegistryError) as caught:
        check(fake)
    assert "does not accept this user name and password" in caught.value.message
    assert "hunter2" not in caught.value.message
    assert caught.value.status == 401


def test_an_identity_token_takes_the_place_of_the_password() -> None:
    with FakeRegistry(auth="bearer", user="me", password="hunter2") as fake:
        fake.strict, fake.identity_token = True, "refresh-me"
        found = check(fake)
        assert found == Credentials("me", identity_token="refresh-me")
        assert check(fake, found) == found


def test_what_is_no_registry_is_said_to_be_none() -> None:
    with FakeRegistry() as fake:
        fake.faults.append(Fault("/v2/", status=404, body=b"<html>"))
        with pytest.raises(RegistryError, match="does not answer as a registry does"):
            check(fake)


def test_an_unknown_kind_of_login_is_said() -> None:
    with FakeRegistry() as fake:
        fake.faults.append(Fault("/v2/", status=401, headers={"WWW-Authenticate": "Negotiate"}))
        with pytest.raises(RegistryError, match="a kind of login that is not known"):
            check(fake)


def test_a_registry_that_fails_is_not_taken_for_a_wrong_password() -> None:
    with FakeRegistry(auth="bearer", user="me", password="hunter2") as fake:
        fake.faults.append(Fault("/token", status=500, times=9))
        with pytest.raises(RegistryError, match="the registry failed"):
            check(fake)


# --- files


def test_a_login_is_kept_where_docker_looks_for_its_owner_only(home: dict[str, str]) -> None:
    where = store_credentials("r.example:5000", ME, home)
    path = config(home)
    assert where == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    pair = base64.b64encode(b"me:hunter2").decode()
    assert json.loads(path.read_text()) == {"auths": {"r.example:5000": {"auth": pair}}}
    assert find_credentials("r.example:5000", "x", home) == ME
    assert os.listdir(path.parent) == ["config.json"]


def test_everything_else_in_the_file_stays_as_it_was(home: dict[str, str]) -> None:
    before = {
        "HttpHeaders": {"X": "y"}, "auths": {"other": {"auth": "YTpi", "email": "ü@x"}}, "psFormat": "table", "n": 1.5,
    }  # fmt: skip
    path = config(home, before)
    path.chmod(0o644)
    store_credentials("r.example", ME, home)
    after = json.loads(path.read_text("utf-8"))
    assert list(after) == list(before)
    assert after["auths"].pop("r.example")
    assert after == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert erase_credentials("r.example", home) == (str(path),)
    assert json.loads(path.read_text("utf-8")) == before


def test_a_link_to_the_file_stays_one(home: dict[str, str]) -> None:
    path = config(home, {})
    real = path.with_name("real.json")
    path.rename(real)
    path.symlink_to("real.json")
    store_credentials("r.example", ME, home)
    assert path.is_symlink()
    assert "r.example" in real.read_text()


def test_an_identity_token_is_kept_as_docker_does(home: dict[str, str]) -> None:
    store_credentials("r.example", Credentials("me", identity_token="t"), home)
    entry = json.loads(config(home).read_text())["auths"]["r.example"]
    assert entry == {"auth": base64.b64encode(b"me:").decode(), "identitytoken": "t"}
    assert find_credentials("r.example", "x", home) == Credentials("me", "", "t")


def test_docker_hub_is_kept_under_the_name_that_each_program_looks_for(home: dict[str, str]) -> None:
    store_credentials("docker.io", ME, home)
    assert list(json.loads(config(home).read_text())["auths"]) == ["https://index.docker.io/v1/"]
    own = {**home, "REGISTRY_AUTH_FILE": f"{home['HOME']}/auth.json"}
    store_credentials("docker.io", ME, own)
    assert list(json.loads(config(home, name="auth.json").read_text())["auths"]) == ["docker.io"]
    assert find_credentials("docker.io", "library/x", own) == ME
    assert len(erase_credentials("docker.io", home)) == 1
    assert find_credentials("docker.io", "library/x", home) is None


def test_a_login_goes_where_it_is_found(home: dict[str, str]) -> None:
    podman = config(home, {"auths": {"r.example": {"auth": "YTpi"}}}, ".config/containers/auth.json")
    assert store_credentials("r.example", ME, home) == str(podman)
    assert find_credentials("r.example", "x", home) == ME
    assert store_credentials("s.example", ME, home) == str(config(home))
    runtime = {**home, "XDG_RUNTIME_DIR": f"{home['HOME']}/run"}
    config(home, {"auths": {"s.example": {"auth": "YTpi"}}}, "run/containers/auth.json")
    assert store_credentials("s.example", ME, runtime) == f"{home['HOME']}/run/containers/auth.json"
    assert store_credentials("s.example", ME, home, path=f"{home['HOME']}/x/y.json") == f"{home['HOME']}/x/y.json"


def test_a_logout_leaves_nothing_that_would_be_found(home: dict[str, str]) -> None:
    files = [
        config(home, {"auths": {"r.example": {"auth": "YTpi"}}}, ".config/containers/auth.json"),
        config(home, {"auths": {"https://r.example/v2/": {"auth": "YTpi"}, "r.example/team": {"auth": "YTpi"}}}),
    ]
    assert erase_credentials("r.example", home) == tuple(map(str, files))
    assert find_credentials("r.example", "other", home) is None
    assert find_credentials("r.example", "team/x", home) is not None  # a login of its own
    assert erase_credentials("r.example", home) == ()


def test_a_new_login_takes_the_place_of_an_old_one_under_another_name(home: dict[str, str]) -> None:
    path = config(home, {"auths": {"https://r.example/v1/": {"auth": "YTpi"}}})
    store_credentials("r.example", ME, home)
    assert list(json.loads(path.read_text())["auths"]) == ["r.example"]


@pytest.mark.parametrize("text", ["{", '{"auths": []}', '{"auths": 5}'])
def test_a_file_that_is_not_understood_is_not_written(home: dict[str, str], text: str) -> None:
    path = config(home, {})
    path.write_text(text)
    with pytest.raises(RegistryError, match=r"config\.json"):
        store_credentials("r.example", ME, home)
    assert path.read_text() == text


def test_a_place_that_cannot_be_written_is_named(home: dict[str, str]) -> None:
    Path(home["HOME"], ".docker").write_text("a file")
    with pytest.raises(RegistryError, match=r"cannot write the credentials file .*/\.docker/config\.json"):
        store_credentials("r.example", ME, home)


def test_a_user_name_that_would_be_read_as_another_is_refused(home: dict[str, str]) -> None:
    with pytest.raises(RegistryError, match="colon"):
        store_credentials("r.example", Credentials("a:b", "c"), home)


# --- helpers


@pytest.mark.parametrize("settings", [{"credsStore": "keeper"}, {"credHelpers": {"r.example": "keeper"}}])
def test_a_helper_keeps_gives_and_forgets_a_login(home: dict[str, str], settings: dict[str, object]) -> None:
    path = config(home, settings)
    assert store_credentials("r.example", ME, home) == "docker-credential-keeper"
    assert json.loads(path.read_text()) == {**settings, "auths": {"r.example": {}}}
    assert "hunter2" not in path.read_text()
    assert find_credentials("r.example", "x", home) == ME
    store_credentials("r.example", Credentials("me", identity_token="t"), home)
    assert find_credentials("r.example", "x", home) == Credentials(identity_token="t")
    assert erase_credentials("r.example", home) == ("docker-credential-keeper",)
    assert find_credentials("r.example", "x", home) is None
    assert json.loads(path.read_text()) == {**settings, "auths": {}}


@pytest.mark.parametrize(
    ("named", "key", "repository"),
    [
        ("https://index.docker.io/v1/", "docker.io", "library/x"),
        ("index.docker.io", "docker.io", "library/x"),
        ("registry-1.docker.io", "docker.io", "me/x"),
        ("r.example", "r.example/team", "team/x"),
    ],
)
def test_a_login_is_kept_where_it_is_looked_for(home: dict[str, str], named: str, key: str, repository: str) -> None:
    path = config(home, {"credHelpers": {named: "keeper"}})
    assert store_credentials(key, ME, home) == "docker-credential-keeper"
    assert base64.b64encode(b"me:hunter2").decode() not in path.read_text()
    assert find_credentials(key.partition("/")[0], repository, home) == ME
    assert erase_credentials(key, home) == ("docker-credential-keeper",)
    assert find_credentials(key.partition("/")[0], repository, home) is None


def test_a_helper_knows_docker_hub_as_docker_does(home: dict[str, str]) -> None:
    config(home, {"credsStore": "keeper"})
    store_credentials("docker.io", ME, home)
    assert list(json.loads(config(home, name="kept").read_text())) == ["https://index.docker.io/v1/"]
    assert find_credentials("docker.io", "library/x", home) == ME


def test_a_helper_that_fails_is_quoted_without_the_secret(home: dict[str, str]) -> None:
    helper = Path(home["HOME"], "docker-credential-keeper")
    helper.write_text("#!/bin/sh\necho cannot keep $(cat) >&2; exit 1\n")
    path = config(home, {"credsStore": "keeper"})
    with pytest.raises(RegistryError, match="docker-credential-keeper does not keep") as caught:
        store_credentials("r.example", ME, home)
    assert "hunter2" not in caught.value.message
    assert json.loads(path.read_text()) == {"credsStore": "keeper"}
    helper.write_text('#!/bin/sh\necho \'{"Username": "me", "Secret": "hunter2"\'\n')
    with pytest.raises(RegistryError, match="gave no credentials") as caught:
        find_credentials("r.example", "x", home)
    assert "hunter2" not in caught.value.message


def test_a_helper_that_is_missing_keeps_nothing(home: dict[str, str]) -> None:
    config(home, {"credsStore": "missing"})
    with pytest.raises(RegistryError, match="docker-credential-missing is not installed"):
        store_credentials("r.example", ME, home)
