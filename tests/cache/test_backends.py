"""The contract of a cache: every implementation behind the protocol keeps it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from builder.cache.backend import CacheBackend
from builder.cache.memory import MemoryCache
from builder.oci.digest import digest_of
from builder.store.records import CacheRecord
from builder.store.store import Store
from tests.store.test_records import make_record


@pytest.fixture(params=["store", "memory"])
def cache(request: pytest.FixtureRequest, store: Store) -> CacheBackend:
    return store.records if request.param == "store" else MemoryCache()


@pytest.fixture
def record(store: Store) -> Callable[..., CacheRecord]:
    return lambda text, **fields: make_record(store, text, **fields)


def test_a_record_comes_back_as_it_was_put(cache: CacheBackend, record: Callable[..., CacheRecord]) -> None:
    put = record("x")
    assert cache.find(put.key) is None
    cache.put(put)
    assert cache.find(put.key) == put
    assert cache.preimage(put.key) == put.preimage
    assert cache.preimage(digest_of(b"other")) is None


def test_the_last_record_of_a_key_counts(cache: CacheBackend, record: Callable[..., CacheRecord]) -> None:
    cache.put(record("x", created=1))
    again = record("x", created=2)
    cache.put(again)
    assert cache.find(again.key) == again


def test_a_definition_is_known_once_a_step_of_it_was_put(
    cache: CacheBackend, record: Callable[..., CacheRecord]
) -> None:
    put = record("x")
    assert not cache.has_definition(put.definition)
    cache.put(put)
    assert cache.has_definition(put.definition)
    assert not cache.has_definition(digest_of(b"other"))


def test_the_latest_record_of_a_place_is_the_newest(cache: CacheBackend, record: Callable[..., CacheRecord]) -> None:
    newest = record("b", created=3, name="here")
    for put in (record("a", created=2, name="here"), newest, record("c", created=4, name="there")):
        cache.put(put)
    cache.put(record("d", created=1, name="here"))
    assert cache.latest("here") == newest.key
    assert cache.latest("nowhere") is None


def test_a_record_without_a_layer_is_one(cache: CacheBackend, record: Callable[..., CacheRecord]) -> None:
    put = record("x")._replace(layer=None)
    cache.put(put)
    assert cache.find(put.key) == put


def test_threads_put_and_ask_at_once(cache: CacheBackend, record: Callable[..., CacheRecord]) -> None:
    records = [record(str(number), created=number) for number in range(40)]

    def put_some(first: int) -> None:
        for each in records[first::4]:
            cache.put(each)
            cache.latest("name")
            assert cache.find(each.key) == each

    threads = [threading.Thread(target=put_some, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.latest("name") == records[-1].key
    assert all(cache.find(each.key) == each for each in records)
