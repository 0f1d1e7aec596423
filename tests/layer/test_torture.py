"""The cases on which appliers disagree: what ours does, in both forms. A base and a second layer each."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from builder.errors import LayerError
from builder.layer.apply import apply_layer
from builder.layer.index import build_index
from tests.layer.archives import Member, is_whiteout_device, pack, paths, view

D = "directory"
BASE = [
    Member("a/", D),
    Member("a/x", content=b"x"),
    Member("a/y", content=b"y"),
    Member("f", content=b"f"),
    Member("ln", "symlink", link="a"),
]
CASES: dict[str, tuple[list[Member], list[str]]] = {
    "an opaque marker after new siblings": (
        [Member("a/new"), Member("a/.wh..wh..opq")],
        ["a", "a/new", "f", "ln"],
    ),
    "a whiteout after the entry it names": (
        [Member("z"), Member(".wh.z")],
        ["a", "a/x", "a/y", "f", "ln", "z"],
    ),
    "a file over a directory": ([Member("a")], ["a", "f", "ln"]),
    "a directory over a file": ([Member("f/", D), Member("f/q")], ["a", "a/x", "a/y", "f", "f/q", "ln"]),
    "a directory over a symlink": ([Member("ln/", D)], ["a", "a/x", "a/y", "f", "ln"]),
    "an entry behind a symlink of the base": ([Member("ln/q")], ["a", "a/x", "a/y", "f", "ln", "ln/q"]),
    "a hard link to a file of the base": ([Member("h", "hardlink", link="f")], ["a", "a/x", "a/y", "f", "h", "ln"]),
    "missing parent directories": ([Member("n/o/p")], ["a", "a/x", "a/y", "f", "ln", "n", "n/o", "n/o/p"]),
    "a whiteout of something missing": ([Member(".wh.no"), Member("q/.wh.no")], ["a", "a/x", "a/y", "f", "ln", "q"]),
    "a path twice": ([Member("t", content=b"1"), Member("t", content=b"2")], ["a", "a/x", "a/y", "f", "ln", "t"]),
    "a symlink to the host, then an entry through it": (
        [Member("host", "symlink", link="/etc"), Member("host/canary")],
        ["a", "a/x", "a/y", "etc", "etc/canary", "f", "host", "ln"],
    ),
}


def listing(directory: Path) -> list[str]:
    found = []
    for parent, directories, files in os.walk(directory):
        found += [os.path.relpath(os.path.join(parent, name), directory) for name in directories + files]
    return sorted(found, key=lambda path: path.replace("/", "\0"))


@pytest.mark.parametrize("case", CASES)
def test_the_view_and_the_applied_tree_agree_on(case: str, tmp_path: Path) -> None:
    members, expected = CASES[case]
    assert paths(view(tmp_path, BASE, members))[1:] == expected
    tree = tmp_path / "tree"
    tree.mkdir()
    for layer in (BASE, members):
        apply_layer(io.BytesIO(pack(layer)), str(tree), overlay=False)
    assert listing(tree) == expected


@pytest.mark.parametrize("name", ["../../escape", ".wh.", "a/.wh."])
def test_what_is_refused_is_refused_in_every_form(name: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for overlay in (True, False):
        with pytest.raises(LayerError):
            apply_layer(io.BytesIO(pack([Member(name)])), str(tree), overlay=overlay)
    with pytest.raises(LayerError):
        build_index(io.BytesIO(pack([Member(name)])), str(tmp_path / "index"))
    assert listing(tree) == []


def test_missing_parents_are_made_0755_and_roots(tmp_path: Path) -> None:
    apply_layer(io.BytesIO(pack([Member("n/o/p", mode=0o600, uid=7)])), str(tmp_path), overlay=True)
    status = os.stat(tmp_path / "n" / "o")
    assert (status.st_mode & 0o7777, status.st_uid, status.st_mtime) == (0o755, 0, 0)


def test_a_whiteout_becomes_a_device_and_an_opaque_marker_an_attribute(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("trusted attributes need root")
    members = [Member("d/", D), Member("d/.wh..wh..opq"), Member(".wh.gone")]
    apply_layer(io.BytesIO(pack(members)), str(tmp_path), overlay=True)
    assert is_whiteout_device(tmp_path / "gone")
    assert os.getxattr(tmp_path / "d", "trusted.overlay.opaque") == b"y"


def test_in_a_user_namespace_the_attribute_is_the_users(tmp_path: Path) -> None:
    members = [Member("d/", D), Member("d/.wh..wh..opq")]
    apply_layer(io.BytesIO(pack(members)), str(tmp_path), overlay=True, userxattr=True)
    assert os.getxattr(tmp_path / "d", "user.overlay.opaque") == b"y"


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_a_directory_beside_its_whiteout_is_opaque_in_either_order(tmp_path: Path, order: list[int]) -> None:
    if os.geteuid():
        pytest.skip("trusted attributes need root")
    members = [Member(".wh.d"), Member("d/new")]
    apply_layer(io.BytesIO(pack([members[at] for at in order])), str(tmp_path), overlay=True)
    assert os.getxattr(tmp_path / "d", "trusted.overlay.opaque") == b"y"
    assert os.listdir(tmp_path / "d") == ["new"]
