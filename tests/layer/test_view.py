"""The merged view, case by case; test_differential.py has every case at once."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from builder.errors import LayerError
from tests.layer.archives import Member, paths, view

D = "directory"


def test_a_view_of_no_layers_has_a_root_and_nothing_in_it(tmp_path: Path) -> None:
    merged = view(tmp_path)
    assert paths(merged) == [""]
    root = merged.find("")
    assert root is not None
    assert (root.entry.kind, root.entry.mode, root.layer_number) == ("directory", 0o755, -1)
    assert merged.find("x") is None
    assert list(merged.children("x")) == []


def test_the_topmost_file_is_shown(tmp_path: Path) -> None:
    merged = view(tmp_path, [Member("f", content=b"old")], [Member("f", content=b"new!")])
    found = merged.find("f")
    assert found is not None
    assert (found.entry.size, found.layer_number) == (4, 1)
    assert found.entry.digest == hashlib.sha256(b"new!").hexdigest()
    assert merged.read("f", 100) == b"new!"


def test_directories_of_several_layers_are_one_with_the_topmost_attributes(tmp_path: Path) -> None:
    merged = view(tmp_path, [Member("d/", D, mode=0o700), Member("d/a")], [Member("d/", D, mode=0o1777), Member("d/b")])
    assert paths(merged) == ["", "d", "d/a", "d/b"]
    found = merged.find("d")
    assert found is not None
    assert found.entry.mode == 0o1777


def test_a_directory_that_is_only_implied_keeps_the_attributes_it_has_below(tmp_path: Path) -> None:
    merged = view(tmp_path, [Member("tmp/", D, mode=0o1777, mtime=5)], [Member("tmp/x")])
    found = merged.find("tmp")
    assert found is not None
    assert (found.entry.mode, found.entry.mtime, found.layer_number) == (0o1777, 5, 0)


def test_a_directory_that_no_layer_has_an_entry_for_is_plain(tmp_path: Path) -> None:
    merged = view(tmp_path, [Member("a/b/c")])
    assert paths(merged) == ["", "a", "a/b", "a/b/c"]
    found = merged.find("a/b")
    assert found is not None
    assert (found.entry.mode, found.entry.uid, found.layer_number) == (0o755, 0, -1)


def test_a_whiteout_hides_a_tree_and_is_not_shown_itself(tmp_path: Path) -> None:
    merged = view(tmp_path, [Member("d/a"), Member("e")], [Member(".wh.d")])
    assert paths(merged) == ["", "e"]
    assert merged.find("d/a") is None
    assert merged.find(".wh.d") is None


def test_a_whiteout_hides_layers_below_only_wherever_it_stands(tmp_path: Path) -> None:
    merged = view(tmp_path, [Member("d/old")], [Member("d/new"), Member(".wh.d"), Member("z"), Member(".wh.z")])
    assert paths(merged) == ["", "d", "d/new", "z"]


def test_an_opaque_marker_hides_layers_below_only_wherever_it_stands(tmp_path: Path) -> None:
    merged = view(tmp_path, [Member("d/old"), Member("d/", D, mode=0o700)], [Member("d/new"), Member("d/.wh..wh..opq")])
    assert paths(merged) == ["", "d", "d/new"]
    found = merged.find("d")
    assert found is not None
    assert found.entry.mode == 0o700


def test_an_opaque_root_hides_everything_below(tmp_path: Path) -> None:
    assert paths(view(tmp_path, [Member("a")], [Member(".wh..wh..opq"), Member("b")])) == ["", "b"]


def test_a_file_over_a_directory_ends_it_for_the_layers_above(tmp_path: Path) -> None:
    merged = view(tmp_path, [Member("d/a")], [Member("d")], [Member("d/b")])
    assert paths(merged) == ["", "d", "d/b"]


def test_a_directory_over_a_symlink_replaces_it(tmp_path: Path) -> None:
    merged = view(tmp_path, [Member("a/x"), Member("ln", "symlink", link="a")], [Member("ln/", D), Member("ln/q")])
    assert paths(merged) == ["", "a", "a/x", "ln", "ln/q"]


def test_an_entry_behind_a_symlink_of_a_lower_layer_makes_a_directory_as_overlayfs_shows_it(tmp_path: Path) -> None:
    merged = view(tmp_path, [Member("a/x"), Member("ln", "symlink", link="a")], [Member("ln/q")])
    assert paths(merged) == ["", "a", "a/x", "ln", "ln/q"]


def test_an_entry_behind_a_symlink_of_its_own_layer_is_behind_the_link(tmp_path: Path) -> None:
    merged = view(tmp_path, [Member("a/", D), Member("ln", "symlink", link="/a"), Member("ln/q")])
    assert paths(merged) == ["", "a", "a/q", "ln"]


def test_leftovers_of_aufs_are_not_shown(tmp_path: Path) -> None:
    merged = view(
        tmp_path, [Member(".wh..wh.plnk/1.2"), Member(".wh..wh.aufs"), Member(".wh..wh.orph/", D), Member("a")]
    )
    assert paths(merged) == ["", "a"]


def test_of_a_path_that_is_twice_in_a_layer_the_last_counts(tmp_path: Path) -> None:
    merged = view(tmp_path, [Member("f", content=b"1"), Member("f", content=b"22")])
    assert merged.read("f", 10) == b"22"


def test_children_are_sorted_by_bytes(tmp_path: Path) -> None:
    names = ["b", "B", "a-", "a", "é", "\udcff", "a\n", "\U0001f600", "\uffff"]
    merged = view(tmp_path, [Member(name) for name in names[::2]], [Member(name) for name in names[1::2]])
    found = [item.entry.path for item in merged.children("")]
    assert found == sorted(names, key=lambda name: name.encode("utf-8", "surrogateescape"))
    assert found == [item.entry.path for item in merged.walk()][1:]


def test_the_walk_is_in_tree_order_and_can_begin_anywhere(tmp_path: Path) -> None:
    merged = view(tmp_path, [Member("a/b"), Member("a!"), Member("a.txt")], [Member("a/c/d"), Member("a0")])
    assert paths(merged) == ["", "a", "a/b", "a/c", "a/c/d", "a!", "a.txt", "a0"]
    assert [item.entry.path for item in merged.walk("a/c")] == ["a/c", "a/c/d"]
    assert [item.entry.path for item in merged.walk("a!")] == ["a!"]
    assert list(merged.walk("nothing")) == []


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("lib/x", "usr/lib/x"),
        ("/lib//./x/", "usr/lib/x"),
        ("abs/f", "usr/f"),
        ("lib/../f", "usr/f"),
        ("up/etc", "etc"),
        ("../../etc", "etc"),
        ("dangling/more/x", "no/where/more/x"),
        ("new/dir/../f", "new/f"),
        ("usr/to-file", "usr/f"),
    ],
)
def test_resolve_follows_links_inside_the_root_and_keeps_what_is_missing(
    tmp_path: Path, path: str, resolved: str
) -> None:
    merged = view(
        tmp_path,
        [Member("lib", "symlink", link="usr/lib"), Member("usr/lib/", D), Member("usr/f", content=b"f")],
        [Member("abs", "symlink", link="/usr"), Member("up", "symlink", link="../../.."), Member("etc/", D)],
        [Member("dangling", "symlink", link="no/where"), Member("usr/to-file", "symlink", link="f")],
    )
    assert merged.resolve(path) == resolved


def test_resolve_can_leave_the_last_link_alone(tmp_path: Path) -> None:
    merged = view(tmp_path, [Member("a", "symlink", link="b"), Member("b", "symlink", link="c"), Member("c/", D)])
    assert merged.resolve("a", follow_last=False) == "a"
    assert merged.resolve("a/b", follow_last=False) == "c/b"


def test_links_in_circles_are_an_error(tmp_path: Path) -> None:
    merged = view(tmp_path, [Member("a", "symlink", link="b"), Member("b", "symlink", link="a")])
    with pytest.raises(LayerError, match="circles"):
        merged.resolve("a/x")


def test_a_hard_link_has_the_content_and_attributes_of_its_target(tmp_path: Path) -> None:
    merged = view(tmp_path, [Member("f", content=b"data", mode=0o4755), Member("h", "hardlink", link="f")])
    for found in (merged.find("h"), list(merged.walk())[2], list(merged.children(""))[1]):
        assert found is not None
        assert (found.entry.kind, found.entry.link, found.entry.mode, found.entry.size) == ("hardlink", "f", 0o4755, 4)
        assert found.entry.digest == hashlib.sha256(b"data").hexdigest()
    assert merged.read("h", 10) == b"data"


def test_a_hard_link_keeps_its_content_when_a_layer_above_replaces_the_target(tmp_path: Path) -> None:
    merged = view(
        tmp_path, [Member("f", content=b"data"), Member("h", "hardlink", link="f")], [Member("f", content=b"new")]
    )
    assert (merged.read("h", 10), merged.read("f", 10)) == (b"data", b"new")


def test_a_hard_link_to_a_file_of_a_lower_layer_is_read(tmp_path: Path) -> None:
    merged = view(tmp_path, [Member("f", content=b"data")], [Member("h", "hardlink", link="f")])
    assert merged.read("h", 10) == b"data"


def test_a_hard_link_to_nothing_is_an_error_that_names_it(tmp_path: Path) -> None:
    merged = view(tmp_path, [Member("h", "hardlink", link="gone")])
    with pytest.raises(LayerError, match="'h' is a hard link to 'gone'"):
        merged.find("h")


def test_read_refuses_what_is_larger_than_the_limit_and_returns_none_for_what_is_no_file(tmp_path: Path) -> None:
    merged = view(tmp_path, [Member("f", content=b"12345"), Member("d/", D), Member("p", "fifo")])
    with pytest.raises(LayerError, match="at most 4 are read"):
        merged.read("f", 4)
    assert merged.read("d", 10) is None
    assert merged.read("p", 10) is None
    assert merged.read("missing", 10) is None


def test_lookup_follows_the_last_link_and_find_does_not(tmp_path: Path) -> None:
    merged = view(tmp_path, [Member("f", content=b"1"), Member("ln", "symlink", link="/f")])
    found, looked_up = merged.find("ln"), merged.lookup("ln")
    assert found is not None
    assert looked_up is not None
    assert (found.entry.kind, looked_up.entry.path) == ("symlink", "f")
