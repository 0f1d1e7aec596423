"""dive's two figures, against a second implementation that looks at each layer and at the view below it."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from builder.errors import LayerError
from builder.explain.dive import dive_score
from builder.explain.union import path_stories
from builder.filesystem.entry import DIRECTORY
from builder.layer.view import MergedView, ViewLayer
from builder.layer.whiteout import hidden_path, is_opaque, is_whiteout
from tests.layer.archives import Member, layer, pack
from tests.layer.stacks import stacks

FOLDERS = [Member("etc", "directory"), Member("etc/nginx", "directory")]
NGINX = [Member("etc/nginx/conf", content=b"x" * 2000), Member("etc/nginx/public", content=b"x" * 3000)]
MORE = [Member("etc/nginx/conf", content=b"x" * 5000), Member("etc/other", content=b"x" * 10_000)]
GONE = [Member("etc/.wh.nginx")]


def by_definition(layers: list[ViewLayer]) -> tuple[float, int]:
    """Do what dive does: go through each layer's own entries, and for a whiteout through the tree below it."""
    sizes: dict[str, list[int]] = defaultdict(list)
    kinds: dict[str, set[str]] = defaultdict(set)
    for number, each in enumerate(layers):
        below = MergedView(layers[:number])
        for item in each.index.walk():
            entry = item.entry
            if is_opaque(entry.path) or entry.kind == DIRECTORY:
                continue
            if not is_whiteout(entry.path):
                kinds[entry.path].add(entry.kind)
                sizes[entry.path].append(entry.size if entry.kind == "file" else 0)
                continue
            path = hidden_path(entry.path)
            found = below.find(path)
            is_folder = found is not None and found.entry.kind == DIRECTORY and _has_entry(layers[:number], path)
            kinds[path].add("folder" if is_folder else "whiteout")
            sizes[path].append(
                sum(e.entry.size for e in below.walk(path) if e.entry.kind == "file") if is_folder else 0
            )
    smallest, every = (sum(how(each) for each in sizes.values()) for how in (min, sum))
    return smallest / every if every else 1.0, sum(sum(each) for each in sizes.values() if len(each) > 1)


def _has_entry(layers: list[ViewLayer], path: str) -> bool:
    """Say whether the topmost layer that has the folder has an entry for it."""
    for each in reversed(layers):
        if each.index.find(path) is not None:
            return True
        if each.index.has_below(path):
            return False
    return False


@pytest.mark.parametrize(("folders", "efficiency"), [([], 0.75), (FOLDERS, 23 / 28)])
def test_a_folder_that_is_deleted_counts_where_it_has_an_entry(
    tmp_path: Path, folders: list[Member], efficiency: float
) -> None:
    stack = ([*folders, *NGINX], [*folders, *MORE], GONE)
    score = dive_score(path_stories([layer(tmp_path, pack(each)).index for each in stack]))
    assert (score.efficiency, score.wasted, score.user_bytes) == (efficiency, 7000, 15_000)
    assert score.wasted_share == 7000 / 15_000


IMAGES = [
    [NGINX], [NGINX, NGINX], [NGINX, MORE], [[*FOLDERS, *NGINX], GONE],
    [[*FOLDERS, *NGINX], GONE, [*FOLDERS, *MORE], GONE],
    [NGINX, [Member("etc/nginx/.wh.conf")]], [NGINX, [Member("etc/nginx/.wh..wh..opq")]], [[], NGINX],
    [[Member("a", content=b"1"), Member("b", "hardlink", link="a")], [Member(".wh.a")]],
    [[Member("d", "directory"), Member("d/f", content=b"22")], [Member("d", content=b"333")], [Member(".wh.d")]],
]  # fmt: skip


@pytest.mark.parametrize("image", IMAGES)
def test_ten_images_have_the_score_of_the_definition(tmp_path: Path, image: list[list[Member]]) -> None:
    layers = [layer(tmp_path, pack(members)) for members in image]
    score = dive_score(path_stories([each.index for each in layers]))
    assert (score.efficiency, score.wasted) == by_definition(layers)


@given(stacks)
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_image_has_figures_in_their_bounds(stack: list[list[Member]]) -> None:
    with tempfile.TemporaryDirectory(prefix="pybuild-test-") as directory, ExitStack() as held:
        try:
            layers = [layer(Path(directory), pack(members)) for members in stack]
        except LayerError:
            return
        for each in layers:
            held.callback(each.index.close)
        score = dive_score(path_stories([each.index for each in layers]))
        assert 0 <= score.efficiency <= 1
        assert score.wasted >= 0
