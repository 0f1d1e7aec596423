"""The judges themselves: the applier follows the layer rules, and the comparison sees every kind of difference."""

from __future__ import annotations

import copy
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.builds.cases import Case
from tests.builds.compare import compare
from tests.builds.tree import Tree
from tests.builds.verdict import judge_failure

EXPECTED: dict[str, Any] = {
    "base": "scratch",
    "config": {"os": "linux", "config": {"Env": ["A=1"], "Cmd": ["sh"]}},
    "history": [{"created_by": "COPY a / # (builder)", "empty_layer": False}],
    "layers": 1,
    "removed": ["gone"],
    "tree": {"a": {"type": "file", "owner": "0:0", "mode": "0644", "text": "a", "mtime": 5, "links": ["b"]}},
}


def layer(*members: tuple[str, bytes, str]) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, text in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                member.linkname = text
            else:
                member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    buffer.seek(0)
    return buffer


def file(name: str, text: str = "") -> tuple[str, bytes, str]:
    return name, tarfile.REGTYPE, text


def folder(name: str) -> tuple[str, bytes, str]:
    return name, tarfile.DIRTYPE, ""


def applied(*layers: io.BytesIO) -> Tree:
    tree = Tree()
    for stream in layers:
        tree.apply(stream)
    return tree


def a_case(**fields: Any) -> Case:
    return Case(name="made-up", folder=Path("/nowhere"), rule="none", **fields)


def test_a_whiteout_hides_a_file_of_a_lower_layer() -> None:
    tree = applied(layer(file("d/a"), file("d/b")), layer(file("d/.wh.a")))
    assert sorted(tree.entries) == ["d", "d/b"]
    assert tree.faults == []


def test_a_whiteout_does_not_hide_what_its_own_layer_brings() -> None:
    tree = applied(layer(file("a", "old")), layer(file("a", "new"), file(".wh.a")))
    assert tree.entries["a"].text == "new"


def test_an_opaque_marker_acts_first_wherever_it_stands() -> None:
    tree = applied(layer(file("d/old")), layer(file("d/new"), file("d/.wh..wh..opq")))
    assert sorted(tree.entries) == ["d", "d/new"]


def test_a_file_over_a_directory_removes_the_tree() -> None:
    assert sorted(applied(layer(file("d/a")), layer(file("d"))).entries) == ["d"]


def test_a_directory_over_a_directory_keeps_the_tree() -> None:
    assert sorted(applied(layer(file("d/a")), layer(folder("d"))).entries) == ["d", "d/a"]


def test_hard_links_share_an_inode() -> None:
    tree = applied(layer(file("a", "x"), ("b", tarfile.LNKTYPE, "a")))
    assert tree.link_groups() == {"a": ["b"], "b": ["a"]}


@pytest.mark.parametrize(
    ("layers", "fault"),
    [
        ([layer(file("a"), file("a"))], "two entries with one name"),
        ([layer(("b", tarfile.LNKTYPE, "nowhere"))], "hard link"),
        ([layer(("l", tarfile.SYMTYPE, "d"), file("l/x"))], "below a symlink"),
        ([layer(file(".wh."))], "bare whiteout"),
        ([layer(file(".wh.nothing"))], "whiteout of nothing"),
        ([layer(file("../x"))], "name with dots"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_ill_formed_layer_is_a_fault(layers: list[io.BytesIO], fault: str) -> None:
    assert fault in " ".join(applied(*layers).faults)


def test_equal_results_have_no_differences() -> None:
    assert compare(a_case(), EXPECTED, copy.deepcopy(EXPECTED)) == []


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        (("config", "config", "Env"), ["A=2"], "config/Env"),
        (("config", "os"), "plan9", "os"),
        (("history",), [], "history/0"),
        (("layers",), 2, "layers"),
        (("removed",), [], "removed/gone"),
        (("base",), "other", "base"),
        (("tree", "a", "mode"), "0600", "tree/a/mode"),
        (("tree", "a", "owner"), "1:0", "tree/a/owner"),
        (("tree", "a", "text"), "b", "tree/a/text"),
        (("tree", "a", "mtime"), "now", "tree/a/mtime"),
        (("tree", "a", "links"), [], "tree/a/links"),
        (("tree", "a", "xattrs"), {"user.x": "00"}, "tree/a/xattrs"),
        (("tree", "new"), {"type": "file"}, "tree/new"),
    ],
)
def test_each_kind_of_difference_is_seen(path: tuple[str, ...], value: object, key: str) -> None:
    found = copy.deepcopy(EXPECTED)
    place = found
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    assert [item.key for item in compare(a_case(), EXPECTED, found)] == [key]


def test_a_wanted_difference_is_left_out() -> None:
    found = copy.deepcopy(EXPECTED)
    found["tree"]["a"]["mode"] = "0600"
    assert compare(a_case(differences={"tree/a/mode": "we know better"}), EXPECTED, found) == []


def test_a_build_that_should_have_failed_is_seen() -> None:
    assert judge_failure("boom", {"tree": {}})


def test_another_message_is_seen() -> None:
    assert judge_failure("boom", {"failed": 1, "log": "bang"})
    assert judge_failure("boom", {"failed": 1, "log": "it went boom"}) == []


def test_a_traceback_is_never_a_good_failure() -> None:
    assert judge_failure("boom", {"failed": 1, "log": "Traceback (most recent call last):\nboom"})
