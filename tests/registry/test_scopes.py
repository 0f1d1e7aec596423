"""Tokens that are good for little: upgrades, two repositories at once, ends in the middle of an upload, and secrets."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from builder.errors import RegistryError
from builder.registry.credential_helper import Credentials
from builder.registry.scope import grants, merged
from tests.registry.asking import BLOB, asked, client, push, push_image, reference
from tests.support.registry import FakeRegistry, Fault, make_image, sha256

ME = Credentials("me", "hunter2")


@pytest.fixture
def guarded() -> Iterator[FakeRegistry]:
    with FakeRegistry(auth="bearer", user="me", password="hunter2") as fake:
        fake.strict, fake.owned = True, set()
        yield fake


def scopes(fake: FakeRegistry) -> list[list[str]]:
    return [parse_qs(urlsplit(path).query).get("scope", []) for path in fake.paths() if path.startswith("/token")]


def test_a_push_asks_for_one_token_that_may_pull_and_push(guarded: FakeRegistry) -> None:
    one = client(who=ME)
    image = make_image()
    push_image(one, guarded, image)
    one.get_manifest(reference(guarded, "team/app:1"))  # a token for more serves for less
    assert scopes(guarded) == [["repository:team/app:pull,push"]]


def test_a_token_for_pulling_is_upgraded_for_a_push(guarded: FakeRegistry) -> None:
    image = make_image()
    guarded.add_image("team/app", "1", image)
    one = client(who=ME)
    one.get_manifest(reference(guarded, "team/app:1"))
    push(one, guarded)
    assert scopes(guarded) == [["repository:team/app:pull"], ["repository:team/app:pull,push"]]


def test_a_scope_that_was_not_enough_is_asked_for_again_as_offered(guarded: FakeRegistry) -> None:
    guarded.add_image("team/app", "1", make_image())
    more = 'Bearer realm="http://{host}/token",scope="repository:team/app:pull,admin",error="insufficient_scope"'
    one = client(who=ME)
    one.get_manifest(reference(guarded, "team/app:1"))
    challenge = {"WWW-Authenticate": more.format(host=guarded.host)}
    guarded.faults.append(Fault("manifests", status=401, headers=challenge))
    one.get_manifest(reference(guarded, "team/app:1"))
    assert scopes(guarded)[-1] == ["repository:team/app:pull,admin"]
    guarded.faults.append(Fault("manifests", status=401, headers=challenge, times=100))
    with pytest.raises(RegistryError, match="pull access denied"):
        one.get_manifest(reference(guarded, "team/app:1"))
    assert len(guarded.requests) < 16


def test_a_mount_asks_for_both_repositories_in_one_token(guarded: FakeRegistry) -> None:
    push(client(who=ME), guarded, name="team/base")
    guarded.requests.clear()
    assert push(client(who=ME), guarded, mount_from="team/base") == "mounted"
    assert scopes(guarded)[-1] == ["repository:team/app:pull,push", "repository:team/base:pull"]
    assert asked(guarded).count("POST") == 2  # refused once


def test_a_mount_that_is_not_allowed_becomes_an_upload(guarded: FakeRegistry) -> None:
    push(client(who=ME), guarded, name="team/base")
    guarded.allowed = {("team/app", "pull"), ("team/app", "push")}
    assert push(client(who=ME), guarded, mount_from="team/base") == "sent"


def test_a_service_that_gives_no_token_for_a_mount_does_not_end_the_push(guarded: FakeRegistry) -> None:
    push(client(who=ME), guarded, name="team/base")
    guarded.faults.append(Fault("base%3Apull", status=403))
    assert push(client(who=ME), guarded, mount_from="team/base") == "sent"


@pytest.mark.parametrize("after", [2, 4, 5, 6, 7])
def test_a_token_that_runs_out_in_the_middle_of_an_upload_is_renewed(guarded: FakeRegistry, after: int) -> None:
    guarded.revoke_after = after
    assert push(client(who=ME, chunk_bytes=100_000), guarded) == "sent"
    assert guarded.blobs == {sha256(BLOB): BLOB}
    assert len(scopes(guarded)) == 2


def test_a_whole_upload_is_sent_again_with_a_new_token(guarded: FakeRegistry) -> None:
    guarded.revoke_after = 4
    told: list[int] = []
    assert push(client(who=ME), guarded, progress=told.append) == "sent"
    assert asked(guarded).count("PUT") == 2
    assert sum(told) == len(BLOB)


def test_an_identity_token_pushes(guarded: FakeRegistry) -> None:
    guarded.identity_token = "refresh-me"
    assert push(client(who=Credentials(identity_token="refresh-me")), guarded) == "sent"
    assert [path for path in guarded.paths("POST") if path.startswith("/token")]


def test_whoever_may_not_push_is_told_so(guarded: FakeRegistry) -> None:
    guarded.allowed = {("team/app", "pull")}
    with pytest.raises(RegistryError, match="push access denied") as caught:
        push(client(who=ME), guarded)
    assert caught.value.status == 401
    assert len(guarded.requests) <= 8


def test_a_password_pushes_without_tokens() -> None:
    with FakeRegistry(auth="basic", user="me", password="hunter2") as fake:
        fake.owned = set()
        one = client(who=ME)
        image = make_image()
        push_image(one, fake, image)
        one.get_manifest(reference(fake, "team/app:1"))
        unauthorised = [path for _, path, headers in fake.requests if "authorization" not in headers]
    assert len(unauthorised) == 1  # the header is known from then on, for whatever is done


def test_a_token_service_that_repeats_the_password_is_not_quoted(guarded: FakeRegistry) -> None:
    guarded.password = "other"
    with pytest.raises(RegistryError) as caught:
        push(client(who=ME), guarded)
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"
    assert "***" in caught.value.message


def test_the_userinfo_of_a_realm_is_not_shown(guarded: FakeRegistry) -> None:
    guarded.realm = "http://me:hunter2@evil.example/token"
    with pytest.raises(RegistryError, match="not HTTPS") as caught:
        push(client(who=ME), guarded)
    assert "hunter2" not in caught.value.message


def test_scopes_of_one_resource_become_one() -> None:
    asked_for = ["repository:a:pull", "repository:host:5000/b:pull", "repository:a:push,pull", "nonsense"]
    assert merged(asked_for) == ("repository:a:pull,push", "repository:host:5000/b:pull")
    assert grants(["repository:a:pull,push"]) == {("repository:a", "pull"), ("repository:a", "push")}
