"""One stack of layers, three ways: the view, overlayfs over layers unpacked each on its own, and one tree they are
applied to in turn. All three must show the same."""

from __future__ import annotations

import io
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings

from builder.errors import LayerError
from builder.layer.apply import apply_layer
from builder.layer.view import MergedView, ViewLayer
from tests.layer.archives import Member, is_mount_allowed, layer, pack, seen_in_view, seen_on_disk
from tests.layer.stacks import stacks

needs_root = pytest.mark.skipif(not is_mount_allowed(), reason="overlayfs with trusted attributes needs root")


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pybuild-test-") as directory:
        yield Path(directory)


@contextmanager
def overlay(lower: list[Path], target: Path) -> Iterator[Path]:
    """Mount the directories (base first) at `target`, read-only."""
    target.mkdir()
    empty = target.parent / "empty"
    empty.mkdir(exist_ok=True)
    # The kernel wants two layers at least: an empty one at the bottom changes nothing.
    order = ":".join(str(path) for path in [*reversed(lower), empty])
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"ro,lowerdir={order}", str(target)], check=True)
    try:
        yield target
    finally:
        subprocess.run(["umount", str(target)], check=True)


def unpack_each(directory: Path, layers: list[bytes], indexed: list[ViewLayer]) -> list[Path]:
    """Unpack every layer into a directory of its own, as for overlayfs; an opaque root hides all below it."""
    unpacked: list[Path] = []
    for number, data in enumerate(layers):
        target = directory / f"layer{number}"
        target.mkdir()
        apply_layer(io.BytesIO(data), str(target), overlay=True, below=MergedView(indexed[:number]))
        if indexed[number].index.is_opaque(""):
            unpacked.clear()
        unpacked.append(target)
    return unpacked


def unpack_in_turn(directory: Path, layers: list[bytes]) -> Path:
    target = directory / "tree"
    target.mkdir()
    target.chmod(0o755)
    for data in layers:
        apply_layer(io.BytesIO(data), str(target), overlay=False)
    return target


@needs_root
@given(stacks)
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_view_overlayfs_and_applied_tree_show_the_same(stack: list[list[Member]]) -> None:
    layers = [pack(members) for members in stack]
    with scratch() as directory, ExitStack() as held:
        indexed: list[ViewLayer] = []
        try:
            for data in layers:
                indexed.append(layer(directory, data))
                held.callback(indexed[-1].index.close)
            expected = seen_in_view(MergedView(indexed))
            lower = unpack_each(directory, layers, indexed)
        except LayerError as error:
            event(f"refused: {error.message.split()[-4:]}")
            return
        event("compared")
        with overlay(lower, directory / "merged") as merged:
            shown = seen_on_disk(merged)
        assert shown == expected
        try:
            applied = seen_on_disk(unpack_in_turn(directory, layers))
        except LayerError as error:
            # In turn, what a layer takes away is gone before its own hard link asks for it; alone, it is still below.
            if "is a hard link" not in error.message:
                raise
            event("refused in turn")
            return
    without_root = {path: seen for path, seen in expected.items() if path}
    assert {path: seen for path, seen in applied.items() if path} == without_root
