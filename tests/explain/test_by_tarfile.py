"""Ten images, and what their layers come to by builder.explain and by tarfile: the two know nothing of each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.explain.totals import sum_up
from builder.explain.union import path_stories
from tests.explain.by_tarfile import figures_of
from tests.layer.archives import Member, layer, pack

A, B, C = b"a" * 10, b"b" * 200, b"c" * 3000
TREE = [Member("d", "directory"), Member("d/e", "directory"), Member("d/e/f", content=A), Member("d/g", content=B)]
NAMES = [Member("n", content=C), Member("m", "hardlink", link="n"), Member("o/m", "hardlink", link="n")]
IMAGES = {
    "one layer": [TREE],
    "the same layer twice": [TREE, NAMES, TREE],
    "no entries": [[], TREE, [], [Member(".wh.d")], []],
    "mode, owner, time, attributes": [
        TREE, [Member("d/g", content=B, mode=0o600)], [Member("d/g", content=B, mode=0o600, uid=7)],
        [Member("d/g", content=B, mode=0o600, uid=7, mtime=5)], [Member("d/g", content=B, xattrs=(("user.x", b"1"),))],
    ],
    "opaque folder after its new files": [TREE, [Member("d/new", content=C), Member("d/.wh..wh..opq")]],
    "deleted and written again": [TREE, [Member(".wh.d")], TREE, [Member("d/.wh.g"), Member("d/e/.wh..wh..opq")]],
    "a file for a folder for a file": [TREE, [Member("d", content=C)], [Member("d", "directory"), Member("d/x")]],
    "some names of a file go, then all": [
        NAMES, [Member(".wh.n")], [Member("m", content=A)], [Member("o/.wh..wh..opq")],
    ],
    "a group of names written whole": [NAMES, [Member("m", content=B), Member("n", "hardlink", link="m")]],
    "links, devices, folders nobody names": [
        [Member("x/y/l", "symlink", link="/d"), Member("dev/null", "character", device=(1, 3))],
        [Member("x/y/l", "symlink", link="/e"), Member("dev/.wh.null"), Member("x/.wh.y")],
        [Member(f"lib/{number:03}", content=b"z" * number) for number in range(200)],
        [Member(f"lib/.wh.{number:03}") for number in range(0, 200, 3)], [Member(".wh..wh..opq"), Member("last")],
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", IMAGES)
def test_counts_and_hidden_bytes_are_those_of_tarfile(tmp_path: Path, name: str) -> None:
    tars = [pack(members) for members in IMAGES[name]]
    totals = sum_up(path_stories([layer(tmp_path, tar).index for tar in tars]), len(tars))
    found = [(each.added, each.modified, each.deleted, each.stored, each.hidden) for each in totals.layers]
    assert found == [tuple(each) for each in figures_of(tars)]
    assert totals.wasted == sum(each.hides for each in totals.layers)
