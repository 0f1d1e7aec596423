"""The differential test as an ordinary user, with a range of ids and with a single one."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from random import Random

import pytest

from builder.sandbox.namespace import BuildNamespace, SingleIdRoot
from builder.sandbox.runner import Sandbox
from builder.snapshot.copying import CopyingSnapshotter
from builder.snapshot.overlay import OverlaySnapshotter
from builder.snapshot.snapshotter import Snapshotter, StackLayer
from tests.layer.archives import Seen
from tests.sandbox.host import Host
from tests.snapshot.operations import random_operations
from tests.snapshot.rig import Rig, look_at, look_at_view, view_of
from tests.snapshot.test_differential import BASE, MIDDLE, run, seen_mounted

KINDS: dict[str, type[OverlaySnapshotter] | type[CopyingSnapshotter]] = {
    "overlay": OverlaySnapshotter,
    "copying": CopyingSnapshotter,
}
ROUNDS = 40


def without_owners(seen: dict[str, Seen]) -> dict[str, Seen]:
    return {path: one._replace(uid=0, gid=0) for path, one in seen.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_a_run_does_its_layer_gives_what_it_left(host: Host, kind: str) -> None:
    def work(_: Sandbox, namespace: BuildNamespace) -> int:
        single = isinstance(namespace, SingleIdRoot)
        rounds = 0
        for seed in range(ROUNDS):
            area = Path(tempfile.mkdtemp(dir=host.folder))
            rig = Rig(area, ids="ignore" if single else "exact", user_namespace=namespace.user_namespace)
            snapshotter: Snapshotter = KINDS[kind](rig.place)
            layers: list[StackLayer] = [rig.layer(BASE), rig.layer(MIDDLE)]
            generator = Random(seed)
            for _layer in range(2):
                made, left = run(rig, snapshotter, layers, random_operations(generator))
                layers.append(made)
                view, again = look_at_view(view_of(layers)), seen_mounted(rig, snapshotter, layers)
                if single:
                    view, again, left = without_owners(view), without_owners(again), without_owners(left)
                assert view == left, f"seed {seed}: the view"
                assert again == left, f"seed {seed}: the tree of the next step"
                rounds += 1
            shutil.rmtree(area)
        return rounds

    assert host.do(work) == 2 * ROUNDS


def test_with_a_single_id_what_the_base_had_keeps_its_owner(hosts: dict[str, Host]) -> None:
    host = hosts["single"]

    def work(_: Sandbox, namespace: BuildNamespace) -> dict[str, tuple[int, int]]:
        area = Path(tempfile.mkdtemp(dir=host.folder))
        rig = Rig(area, ids="ignore", user_namespace=namespace.user_namespace)
        snapshotter = OverlaySnapshotter(rig.place)
        layers = [rig.layer(BASE)]
        active = snapshotter.prepare(layers, view_of(layers))
        with rig.mounted(active.rootfs) as tree:
            Path(tree, "b").write_bytes(b"changed")
            Path(tree, "a/new").touch()
            assert look_at(tree)["b"].uid == 0
        return {entry.path: (entry.uid, entry.gid) for entry, _ in snapshotter.changes(active)}

    assert host.do(work) == {"a": (3, 0), "a/new": (0, 0), "b": (1000, 100)}
