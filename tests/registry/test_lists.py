"""Lists in pages: tags, the catalogue, and what the search of an index answers."""

from __future__ import annotations

import json

import pytest

from builder.errors import RegistryError
from tests.registry.asking import client, reference
from tests.support.registry import FakeRegistry, Fault, make_image

TAGS = [f"v{n:02}" for n in range(25)]


@pytest.fixture
def tagged(registry: FakeRegistry) -> FakeRegistry:
    for tag in TAGS:
        registry.add_image("team/app", tag, make_image())
    return registry


@pytest.mark.parametrize("size", [1, 7, 25, 0])
def test_tags_are_read_to_the_last_page(tagged: FakeRegistry, size: int) -> None:
    tagged.page_size = size
    assert client().list_tags(reference(tagged, "team/app")) == TAGS
    assert len(tagged.requests) == (-(-len(TAGS) // size) if size else 1)


def test_whoever_needs_few_tags_reads_few_pages(tagged: FakeRegistry) -> None:
    tagged.page_size = 5
    assert client().list_tags(reference(tagged, "team/app"), limit=6) == TAGS[:10]
    assert len(tagged.requests) == 2


def test_a_link_to_another_host_is_followed_at_home(tagged: FakeRegistry) -> None:
    tagged.page_size, tagged.link_server = 10, "http://internal.invalid:9999"
    assert client().list_tags(reference(tagged, "team/app")) == TAGS


def test_a_link_in_circles_ends(tagged: FakeRegistry) -> None:
    tagged.faults.append(
        Fault(
            "tags/list", status=200, times=9, body=b'{"tags":["a"]}',
            headers={"Link": '</v2/team/app/tags/list>; rel="next"'},
        )
    )  # fmt: skip
    assert client().list_tags(reference(tagged, "team/app")) == ["a"]
    assert len(tagged.requests) == 1


@pytest.mark.parametrize(
    "link", ['<x>; rel="prev"', "nonsense", '</v2/>; title="next"', "<http://[/>; rel=next", '<<>; rel="next"']
)
def test_a_link_that_leads_nowhere_ends_the_list(tagged: FakeRegistry, link: str) -> None:
    tagged.faults.append(Fault("tags/list", status=200, body=b'{"tags":["a"]}', headers={"Link": link}))
    assert client().list_tags(reference(tagged, "team/app")) == ["a"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "not JSON"), (b"[]", "not a list"), (b'{"tags":5}', "malformed"), (b"[" * 100_000, "not JSON"),
        (b" " * (5 << 20), "longer than"),
    ],
)  # fmt: skip
def test_a_list_of_something_else_is_refused(tagged: FakeRegistry, body: bytes, said: str) -> None:
    tagged.faults.append(Fault("tags/list", status=200, body=body))
    with pytest.raises(RegistryError, match=said):
        client().list_tags(reference(tagged, "team/app"))


@pytest.mark.parametrize("tags", [None, []])
def test_a_repository_may_have_no_tags(tagged: FakeRegistry, tags: object) -> None:
    tagged.faults.append(Fault("tags/list", status=200, body=json.dumps({"tags": tags}).encode()))
    assert client().list_tags(reference(tagged, "team/app")) == []


def test_the_catalogue_is_read_to_the_last_page(registry: FakeRegistry) -> None:
    names = [f"team/app{n}" for n in range(7)]
    for name in names:
        registry.add_image(name, "1", make_image())
    registry.page_size = 3
    assert client().list_repositories(registry.host) == names
    assert client().list_repositories(registry.host, limit=2) == names[:3]


def test_a_registry_without_a_catalogue_says_so(registry: FakeRegistry) -> None:
    registry.faults.append(Fault("_catalog", status=404, body=b"404 page not found"))
    with pytest.raises(RegistryError, match=r"the catalogue of .* not found"):
        client().list_repositories(registry.host)


def test_an_index_is_searched_without_credentials(registry: FakeRegistry) -> None:
    registry.search_results = [{"name": "busybox", "is_official": True}, {"name": "other"}]
    found = client().search("busy box", limit=1, index=f"http://{registry.host}")
    assert found == [{"name": "busybox", "is_official": True}]
    assert registry.paths() == ["/v1/search?q=busy+box&n=1"]
    registry.faults.append(Fault("search", status=200, body=b"{}"))
    with pytest.raises(RegistryError, match="no results"):
        client().search("x", index=f"http://{registry.host}")
