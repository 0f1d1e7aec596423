"""What is said when an image cannot be had."""

from __future__ import annotations

import pytest

from builder.errors import RegistryError
from builder.oci.reference import parse_reference
from builder.registry.client import RegistryClient
from builder.store.store import Store
from builder.transport.advice import explain
from tests.support.registry import FakeRegistry, make_image
from tests.transport.resolving import AMD64, failing, resolver


def test_an_unknown_tag_names_the_nearest_one(store: Store, registry: FakeRegistry) -> None:
    registry.add_image("library/x", "bookworm", make_image())
    error = failing(store, f"{registry.host}/library/x:bokworm")
    assert "not found" in error.message
    assert error.hint == f"Did you mean {registry.host}/library/x:bookworm?"
    assert failing(store, f"{registry.host}/library/x:zzz").hint == "It has the tags: bookworm."


def test_an_unknown_repository_names_a_near_image_of_the_store(store: Store, registry: FakeRegistry) -> None:
    resolver(store).resolve(registry.add_image("team/server", "1", make_image()), AMD64)
    error = failing(store, f"{registry.host}/team/servr:1")
    assert "failed to resolve source metadata" in error.message
    assert error.hint == f"Did you mean {registry.host}/team/server:1?"


def test_a_registry_that_cannot_be_reached_says_what_the_store_has(store: Store, registry: FakeRegistry) -> None:
    resolver(store).resolve(registry.add_image("library/x", "1", make_image()), AMD64)
    error = failing(store, "127.0.0.1:9/library/x:1")
    assert "cannot reach registry 127.0.0.1:9" in error.message
    gone = f"{registry.host}/library/x:2"
    registry.__exit__()
    error = failing(store, gone)
    assert error.hint == f"The store has {registry.host}/library/x:1."
    registry.__exit__ = lambda *_: None  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("wanted", "near"),
    [
        ("ubunut", "ubuntu"), ("docker.io/library/pyhton:latest", "python"), ("nodejs", "node"), ("ngnix:1", "nginx:1"),
        ("base", ""), ("context", ""), ("x", ""), ("some/ubuntu", ""), ("alpine", ""),
    ],
)  # fmt: skip
def test_what_all_names_have_in_common_makes_none_of_them_near(store: Store, wanted: str, near: str) -> None:
    error = explain(RegistryError("gone", status=403), parse_reference(wanted), store, RegistryClient())
    assert error.hint == (f"Did you mean {near}?" if near else "")


def test_who_is_denied_hears_of_logging_in_whatever_the_name_is_like(store: Store) -> None:
    error = explain(RegistryError("no", status=401, hint="Log in."), parse_reference("ubunut"), store, RegistryClient())
    assert error.hint == "Did you mean ubuntu? Log in."


@pytest.mark.rule("X9")
def test_denied_is_what_docker_calls_it(store: Store) -> None:
    with FakeRegistry(auth="bearer", user="u", password="p") as fake:
        error = failing(store, f"{fake.host}/private/x:1")
    assert "pull access denied, repository does not exist or may require authorization" in error.message


def test_an_unknown_image_id_is_said_to_be_one(store: Store) -> None:
    assert "no image with the ID" in failing(store, "sha256:" + "0" * 64).message
    assert "not found" in failing(store, "0" * 64).message
