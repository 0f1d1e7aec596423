"""Digests of context files, by what stat says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.store.stat_cache import StampedFile, stamp_of
from builder.store.store import Store, open_store

DIGEST = "ab" * 32


def test_a_file_is_known_until_stat_says_otherwise(store: Store, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    file = context / "a"
    file.write_text("1")
    stamps = store.stat_cache.context(str(context))
    assert stamps.find("a", file.stat()) is None
    stamps.put([StampedFile("a", stamp_of(file.stat()), DIGEST)])
    assert store.stat_cache.context(str(context)).find("a", file.stat()) == DIGEST
    os.chmod(file, 0o600)
    assert stamps.find("a", file.stat()) is None
    assert list(stamps.walk()) != []
    stamps.delete(["a"])
    assert list(stamps.walk()) == []


def test_contexts_do_not_see_each_other(store: Store, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    store.stat_cache.context(str(tmp_path / "one")).put([StampedFile("a", b"s", DIGEST)])
    assert list(store.stat_cache.context(str(tmp_path / "two")).walk()) == []


def test_walking_below_a_directory_does_not_take_its_neighbours(store: Store, tmp_path: Path) -> None:
    stamps = store.stat_cache.context(str(tmp_path))
    stamps.put(StampedFile(path, b"s", DIGEST) for path in ["a", "a-b", "a/b", "a/b/c", "a.b", "b", "a/\udcff"])
    assert [file.path for file in stamps.walk("a")] == ["a", "a/b", "a/b/c", "a/\udcff"]


_NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=4)


@settings(max_examples=50)
@given(st.sets(st.lists(_NAMES, min_size=1, max_size=4).map("/".join), max_size=20))
def test_walking_is_in_tree_order_whatever_the_names(tmp_path_factory: pytest.TempPathFactory, paths: set[str]) -> None:
    base = tmp_path_factory.mktemp("context")
    with open_store(str(tmp_path_factory.getbasetemp() / "order")) as store:
        stamps = store.stat_cache.context(str(base))
        stamps.put(StampedFile(path, b"s", DIGEST) for path in paths)
        assert [file.path for file in stamps.walk()] == sorted(
            paths, key=lambda path: [os.fsencode(p) for p in path.split("/")]
        )


def test_contexts_nobody_builds_any_more_are_forgotten(store: Store, tmp_path: Path) -> None:
    stamps = store.stat_cache.context(str(tmp_path))
    stamps.put([StampedFile("a", b"s", DIGEST)])
    store.stat_cache.delete_unused(0)
    assert len(list(stamps.walk())) == 1
    store.stat_cache.delete_unused(1 << 40)
    assert list(store.stat_cache.context(str(tmp_path)).walk()) == []
