"""The root file system of one run, mounted: a descriptor of the new root, ready for everything else to go on top.

OverlayRoot.work/
    overlay/    overlayfs's own work directory, on the disk of the upper directory
    N/          a writable bind mount's scratch overlay
a tmpfs mounted over OverlayRoot.work, seen by nobody else
    stubs/      the layer of mount points, when any is missing (mount_points.py)
    view/       where the stack is looked at, without that layer
    root/       where the final stack is mounted
    N           secrets, generated files, mount points for the sources of bind mounts
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from builder.errors import SandboxError
from builder.linux.mount import MS_NODEV, MS_NOSUID, MS_RDONLY, bind, descriptor_path, mount, unmount
from builder.linux.overlay import mount_overlay
from builder.sandbox.mounts.mount_points import MountPoint, Report, copy_metadata, open_mount_point, write_stub_layer
from builder.sandbox.spec import DirectoryRoot, OverlayRoot, Rootfs

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_PRIVATE_MODE = 0o700


@dataclass(frozen=True, slots=True)
class Scratch:
    """Space for the set-up, gone with the mount namespace."""

    memory: str
    """Path of a tmpfs."""

    disk: int | None
    """Descriptor of OverlayRoot.work, below the tmpfs; None for a plain directory."""

    def disk_path(self) -> str:
        return self.memory if self.disk is None else descriptor_path(self.disk)


def mount_scratch(rootfs: Rootfs, report: Report) -> Scratch:
    """Mount a tmpfs that only this run's set-up sees.

    In a plain directory it goes where /proc will be: the one directory sure to be covered by something later.
    """
    match rootfs:
        case OverlayRoot(_, upper, work):
            if not upper or not work:
                raise SandboxError("the stack to run in has no upper or work directory")
            disk = os.open(work, _OPEN_DIRECTORY)  # before the tmpfs covers it: overlay's work area must be on its disk
            mount("tmpfs", work, "tmpfs", MS_NOSUID, "mode=0700")
            return Scratch(work, disk)
        case DirectoryRoot(path):
            root = os.open(path, _OPEN_DIRECTORY)
            try:
                point = open_mount_point(root, MountPoint(path="proc", directory=True), report)
                # By descriptor: a link in the image cannot lead the mount elsewhere.
                mount("tmpfs", descriptor_path(point), "tmpfs", MS_NOSUID, "mode=0700")
                os.close(point)
            finally:
                os.close(root)
            return Scratch(os.path.join(path, "proc"), None)


def mount_root(
    rootfs: Rootfs, scratch: Scratch, points: Sequence[MountPoint], *, user_namespace: bool, devices: bool
) -> int:
    """Mount the tree, an overlay with stubs for `points`; return a descriptor of its root. Raises OSError.

    Device nodes in the tree can be made but not opened unless `devices`: without a control group that tells the
    machine's disks from /dev/null (cgroups.py), there are only the six usual nodes that are mounted one by one.
    """
    flags = 0 if devices else MS_NODEV
    match rootfs:
        case OverlayRoot():
            return _mount_stack(rootfs, scratch, points, user_namespace, flags)
        case DirectoryRoot(path):
            source = os.open(path, _OPEN_DIRECTORY)
            # Onto itself: pivot_root(2) takes nothing but a mount point. Recursive: the scratch tmpfs is already below.
            bind(source, source, flags=flags, recursive=True)
            os.close(source)
            return os.open(path, _OPEN_DIRECTORY)


def mount_stack_readonly(rootfs: OverlayRoot, point: str, *, user_namespace: bool) -> str:
    """Make the stack readable as one tree; return its path: `point`, an empty directory, where that took a mount."""
    layers = (rootfs.upper, *rootfs.lower) if rootfs.upper and os.listdir(rootfs.upper) else rootfs.lower
    if not layers:
        return point
    if len(layers) == 1:  # overlayfs mounts no fewer than two without an upper directory
        return layers[0]
    target = os.open(point, _OPEN_DIRECTORY)
    try:
        mount_overlay(target, layers, user_namespace=user_namespace, flags=MS_RDONLY | MS_NODEV)
    finally:
        os.close(target)
    return point


def _mount_stack(
    rootfs: OverlayRoot, scratch: Scratch, points: Sequence[MountPoint], user_namespace: bool, flags: int
) -> int:
    stubs, view, root = (os.path.join(scratch.memory, name) for name in ("stubs", "view", "root"))
    for path in (stubs, view, root):
        os.mkdir(path)
    seen = mount_stack_readonly(rootfs, view, user_namespace=user_namespace)
    descriptor = os.open(seen, _OPEN_DIRECTORY)
    used = write_stub_layer(descriptor, points, stubs)
    if not os.listdir(rootfs.upper):  # overlayfs shows the upper directory's own mode and owner as those of "/"
        copy_metadata(descriptor, "", rootfs.upper)
    os.close(descriptor)
    if os.path.ismount(view):  # the upper directory is part of it, and may not be of two mounts (overlayfs.rst)
        unmount(view)
    # A stack needs a directory at the bottom, even the one of an image that has no layer yet.
    lower = (stubs, *rootfs.lower) if used or not rootfs.lower else rootfs.lower
    overlay = os.path.join(scratch.disk_path(), "overlay")
    os.mkdir(overlay, _PRIVATE_MODE)  # empty, as the kernel wants it: other scratch lies beside it
    target = os.open(root, _OPEN_DIRECTORY)
    mount_overlay(target, lower, rootfs.upper, overlay, user_namespace=user_namespace, flags=flags)
    os.close(target)
    return os.open(root, _OPEN_DIRECTORY)
