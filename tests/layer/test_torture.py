"""The cases on which appliers disagree: what ours does, in both forms (golden.py)."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pytest

from builder.errors import LayerError
from builder.layer.apply import apply_layer
from builder.layer.index_layer import build_index
from tests.layer import golden
from tests.layer.archives import IDS, Member, is_whiteout_device, pack
from tests.support.walk import walk_entries

D = "directory"


@pytest.mark.parametrize("case", golden.cases(), ids=lambda case: case.name)
def test_the_view_and_the_layer_written_from_it_are_as_recorded(case: Path) -> None:
    view, digest = golden.outcome(case)
    assert view == (case / "view.txt").read_text()
    assert digest == (case / "digest.txt").read_text()


@pytest.mark.parametrize("case", golden.cases(), ids=lambda case: case.name)
def test_layers_applied_in_turn_give_the_recorded_paths(case: Path, tmp_path: Path) -> None:
    for members in golden.members(case):
        apply_layer(io.BytesIO(pack(members)), str(tmp_path), overlay=False, ids="ignore")
    recorded = (case / "view.txt").read_text()
    assert all(f" /{path}\n" in recorded for path in listing(tmp_path))
    assert len(listing(tmp_path)) == len(
        re.findall(r"^(?:file|directory|symlink|hardlink) .* /.", recorded, re.MULTILINE)
    )


def listing(directory: Path) -> list[str]:
    """Return every path in a directory."""
    return [entry.path for entry, _ in walk_entries(str(directory))]


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
    apply_layer(io.BytesIO(pack([Member("n/o/p", mode=0o600, uid=7)])), str(tmp_path), overlay=True, ids=IDS)
    status = os.stat(tmp_path / "n" / "o")
    assert (status.st_mode & 0o7777, status.st_uid, status.st_mtime) == (0o755, os.geteuid(), 0)


def test_a_whiteout_becomes_a_device_and_an_opaque_marker_an_attribute(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("trusted attributes need root")
    members = [Member("d/", D), Member("d/.wh..wh..opq"), Member(".wh.gone")]
    apply_layer(io.BytesIO(pack(members)), str(tmp_path), overlay=True, ids=IDS)
    assert is_whiteout_device(tmp_path / "gone")
    assert os.getxattr(tmp_path / "d", "trusted.overlay.opaque") == b"y"


def test_in_a_user_namespace_the_attribute_is_the_users(tmp_path: Path) -> None:
    members = [Member("d/", D), Member("d/.wh..wh..opq")]
    apply_layer(io.BytesIO(pack(members)), str(tmp_path), overlay=True, ids=IDS, userxattr=True)
    assert os.getxattr(tmp_path / "d", "user.overlay.opaque") == b"y"


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_a_directory_beside_its_whiteout_is_opaque_in_either_order(tmp_path: Path, order: list[int]) -> None:
    if os.geteuid():
        pytest.skip("trusted attributes need root")
    members = [Member(".wh.d"), Member("d/new")]
    apply_layer(io.BytesIO(pack([members[at] for at in order])), str(tmp_path), overlay=True, ids=IDS)
    assert os.getxattr(tmp_path / "d", "trusted.overlay.opaque") == b"y"
    assert os.listdir(tmp_path / "d") == ["new"]
