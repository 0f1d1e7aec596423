"""The root file system of one run, mounted: a descriptor of the new root, ready for everything else to go on top.

OverlayRoot.work/
    overlay/    overlayfs's own work directory
    stubs/      the layer of mount points, when any is missing (mount_points.py)
    view/       where the stack is looked at, without that layer
    root/       where the final stack is mounted
    scratch/    a tmpfs: secrets, generated files, mount points for the sources of bind mounts
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from builder.errors import SandboxError
from builder.linux.mount import MS_NODEV, MS_NOSUID, MS_RDONLY, bind, descriptor_path, mount, unmount
from builder.linux.overlay import mount_overlay
from builder.sandbox.mount_points import MountPoint, Report, open_mount_point, write_stub_layer
from builder.sandbox.spec import DirectoryRoot, OverlayRoot, Rootfs

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_PRIVATE_MODE = 0o700


def mount_scratch(rootfs: Rootfs, report: Report) -> str:
    """Mount a tmpfs that only this run's set-up sees, and give its path.

    In a plain directory it goes where /proc will be: the one place sure to be covered by something later.
    """
    match rootfs:
        case OverlayRoot(_, _, work):
            path = os.path.join(work, "scratch")
            os.mkdir(path, _PRIVATE_MODE)
            mount("tmpfs", path, "tmpfs", MS_NOSUID, "mode=0700")
            return path
        case DirectoryRoot(path):
            root = os.open(path, _OPEN_DIRECTORY)
            try:
                point = open_mount_point(root, MountPoint(path="proc", directory=True), report)
                mount("tmpfs", descriptor_path(point), "tmpfs", MS_NOSUID, "mode=0700")
                os.close(point)
            finally:
                os.close(root)
            return os.path.join(path, "proc")


def mount_root(rootfs: Rootfs, points: Sequence[MountPoint], *, user_namespace: bool, devices: bool) -> int:
    """Mount the tree, with stubs for `points` where it is an overlay; a descriptor of its root. Raises OSError.

    Device nodes in the tree can be made but not opened unless `devices`: there is no device cgroup to tell apart
    the machine's disks from /dev/null, so the six usual nodes are mounted one by one instead.
    """
    flags = 0 if devices else MS_NODEV
    match rootfs:
        case OverlayRoot():
            return _mount_stack(rootfs, points, user_namespace, flags)
        case DirectoryRoot(path):
            source = os.open(path, _OPEN_DIRECTORY)
            bind(source, source, flags=flags, recursive=True)  # recursive: the scratch tmpfs is already below
            os.close(source)
            return os.open(path, _OPEN_DIRECTORY)


def mount_stack_readonly(rootfs: OverlayRoot, place: str, *, user_namespace: bool) -> str:
    """Make the stack readable as one tree; its path, which is `place` (an empty directory) if anything was mounted."""
    layers = (rootfs.upper, *rootfs.lower) if rootfs.upper and os.listdir(rootfs.upper) else rootfs.lower
    if not layers:
        return place
    if len(layers) == 1:
        return layers[0]
    target = os.open(place, _OPEN_DIRECTORY)
    try:
        mount_overlay(target, layers, user_namespace=user_namespace, flags=MS_RDONLY | MS_NODEV)
    finally:
        os.close(target)
    return place


def _mount_stack(rootfs: OverlayRoot, points: Sequence[MountPoint], user_namespace: bool, flags: int) -> int:
    if not rootfs.upper or not rootfs.work:
        raise SandboxError("the stack to run in has no upper directory")
    overlay, stubs, view, root = (os.path.join(rootfs.work, name) for name in ("overlay", "stubs", "view", "root"))
    for path in (overlay, stubs, view, root):
        os.mkdir(path, _PRIVATE_MODE if path == overlay else 0o755)
    seen = mount_stack_readonly(rootfs, view, user_namespace=user_namespace)
    descriptor = os.open(seen, _OPEN_DIRECTORY)
    used = write_stub_layer(descriptor, points, stubs)
    os.close(descriptor)
    if seen == view and rootfs.lower:
        unmount(view)
    # A stack needs a directory at the bottom, even the one of an image that has no layer yet.
    lower = (stubs, *rootfs.lower) if used or not rootfs.lower else rootfs.lower
    target = os.open(root, _OPEN_DIRECTORY)
    mount_overlay(target, lower, rootfs.upper, overlay, user_namespace=user_namespace, flags=flags)
    os.close(target)
    return os.open(root, _OPEN_DIRECTORY)
