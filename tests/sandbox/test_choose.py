"""What is chosen where; as root, as two kinds of ordinary users, and where things are missing."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from builder.errors import SandboxError
from builder.layer.view import MergedView
from builder.linux.mount import mount, unmount
from builder.sandbox.choose import IsolationChoice, choose_isolation
from builder.sandbox.namespace import BuildNamespace, NoNamespace
from builder.sandbox.runner import Sandbox
from builder.snapshot.overlay import OverlaySnapshotter
from tests.sandbox.host import Host
from tests.snapshot.rig import Rig


def chosen_in(host: Host, isolation: str | None = None) -> tuple[IsolationChoice, list[str]]:
    """What is chosen for a new store of the machine's, and what that leaves in it."""

    def work(_: Sandbox, namespace: BuildNamespace) -> tuple[IsolationChoice, list[str]]:
        store = tempfile.mkdtemp(dir=host.folder)
        return choose_isolation(isolation, namespace=namespace, store=store), os.listdir(store)

    choice, left = host.do(work)
    return choice, left


def test_namespaces_and_overlayfs_are_used_by_root_and_by_ordinary_users(host: Host) -> None:
    choice, left = chosen_in(host)
    assert (choice.name, choice.rejected, choice.overlay, choice.overlay_reason) == ("native", (), True, "")
    assert left == []


def test_where_nothing_can_be_mounted_a_root_directory_is_changed_and_trees_are_copied(root_host: Host) -> None:
    def work(*_: object) -> IsolationChoice:
        return choose_isolation(None, namespace=NoNamespace("a plain container"), store=root_host.folder)

    choice = root_host.do(work)
    assert (choice.name, choice.overlay) == ("chroot", False)
    assert choice.rejected == (("native", "a plain container"),)
    assert "NOT isolated" in choice.reason


def test_an_isolation_that_cannot_mount_gets_copied_trees(root_host: Host) -> None:
    choice, _ = chosen_in(root_host, "chroot")
    assert (choice.overlay, choice.overlay_reason) == (False, "isolation chroot mounts nothing")


def test_a_store_that_lies_on_overlayfs_gets_copied_trees(root_host: Host) -> None:
    """As in a container whose own root is an overlay."""

    def work(_: Sandbox, namespace: BuildNamespace) -> IsolationChoice:
        outer = Rig(Path(tempfile.mkdtemp(dir=root_host.folder)))
        active = OverlaySnapshotter(outer.place).prepare([], _empty_view())
        with outer.mounted(active.rootfs) as tree:
            return choose_isolation(None, namespace=namespace, store=str(tree))

    choice = root_host.do(work)
    assert (choice.name, choice.overlay) == ("native", False)
    assert choice.overlay_reason


def test_a_store_without_extended_attributes_gets_copied_trees(root_host: Host) -> None:
    """Overlayfs mounts there; that `rm -r d && mkdir d` fails in it would only be seen later."""

    def work(_: Sandbox, namespace: BuildNamespace) -> IsolationChoice:
        store = tempfile.mkdtemp(dir=root_host.folder)
        mount("ramfs", store, "ramfs", 0, "")
        try:
            return choose_isolation(None, namespace=namespace, store=store)
        finally:
            unmount(store)

    choice = root_host.do(work)
    assert (choice.name, choice.overlay) == ("native", False)
    assert "attributes that overlayfs needs" in choice.overlay_reason


def test_an_isolation_that_nobody_knows_is_an_error_that_names_the_others(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="unknown isolation 'docker'") as caught:
        choose_isolation("docker", namespace=NoNamespace("not asked"), store=str(tmp_path))
    assert "native, oci, chroot" in caught.value.hint


def _empty_view() -> MergedView:
    return MergedView([])


@pytest.mark.parametrize(
    ("runtime", "why"),
    [
        ("echo 'crun: no, thanks' >&2; exit 1", "no, thanks"),
        ("exit 0", "a trial ended with exit code 0"),
        ("exit 127", "a trial ended with exit code 127"),
        ("kill -9 $$", "a trial ended with exit code 137"),
    ],
)
def test_a_runtime_that_does_not_start_a_container_is_no_isolation(root_host: Host, runtime: str, why: str) -> None:
    def work(_: Sandbox, namespace: BuildNamespace) -> str:
        folder = tempfile.mkdtemp(dir=root_host.folder)
        program = Path(folder, "crun")
        program.write_text(f"#!/bin/sh\n{runtime}\n")
        program.chmod(0o755)
        os.environ["PATH"] = f"{folder}:/usr/bin:/bin"
        with pytest.raises(SandboxError) as caught:
            choose_isolation("oci", namespace=namespace, store=tempfile.mkdtemp(dir=root_host.folder))
        return caught.value.message

    assert why in root_host.do(work)
