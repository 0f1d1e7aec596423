"""Which snapshotter is chosen where; as root, as two kinds of ordinary users, and where nothing can be mounted."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from builder.sandbox.namespace import BuildNamespace, HostRoot, NoNamespace
from builder.sandbox.runner import Sandbox
from builder.snapshot.copying import CopyingSnapshotter
from builder.snapshot.detect import choose_snapshotter, why_not_overlay
from builder.snapshot.overlay import OverlaySnapshotter
from builder.store.store import open_store
from tests.sandbox.machine import Machine
from tests.snapshot.bench import Bench


def test_overlayfs_is_used_by_root_and_by_ordinary_users(machine: Machine) -> None:
    def work(_: Sandbox, namespace: BuildNamespace) -> tuple[str, list[str]]:
        area = Path(tempfile.mkdtemp(dir=machine.folder))
        bench = Bench(area, user_namespace=namespace.user_namespace)
        return why_not_overlay(bench.place), os.listdir(area / "tmp")

    assert machine.do(work) == ("", [])


def test_where_nothing_can_be_mounted_trees_are_copied(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "store")) as store:
        choice = choose_snapshotter(store, NoNamespace("a plain container"))
        assert isinstance(choice.snapshotter, CopyingSnapshotter)
        assert "a plain container" in choice.reason


def test_a_sandbox_that_cannot_mount_gets_copied_trees(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "store")) as store:
        choice = choose_snapshotter(store, HostRoot(), refusal="isolation chroot mounts nothing")
        assert isinstance(choice.snapshotter, CopyingSnapshotter)
        assert choice.reason == "isolation chroot mounts nothing"


def test_a_store_that_lies_on_overlayfs_gets_copied_trees(root_machine: Machine) -> None:
    """As in a container whose own root is an overlay."""

    def work(_: Sandbox, namespace: BuildNamespace) -> str:
        from tests.snapshot.bench import Bench as Inner

        outer = Inner(Path(tempfile.mkdtemp(dir=root_machine.folder)))
        active = OverlaySnapshotter(outer.place).prepare([], _empty_view())
        with outer.mounted(active.rootfs) as tree:
            return why_not_overlay(Inner(Path(tree) / "store").place)

    assert root_machine.do(work).startswith("overlayfs can't be used in the store")


def _empty_view() -> object:
    from builder.layer.view import MergedView

    return MergedView([])
