"""The tree of a container, mounted for this process: in its own mount namespace, so that nobody else sees it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from builder.errors import StoreError
from builder.linux.mount import MS_NODEV, MS_NOSUID, unmount
from builder.linux.overlay import mount_overlay
from builder.sandbox.mounts.root_mount import mount_stack_readonly
from builder.sandbox.spec import DirectoryRoot, Rootfs

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_PRIVATE_MODE = 0o700


@contextmanager
def mounted_tree(
    rootfs: Rootfs, temporary: Callable[[str], str], user_namespace: bool, *, writes: bool
) -> Iterator[str]:
    """Give the path of the tree; what is written to it is the container's. Raises StoreError."""
    if isinstance(rootfs, DirectoryRoot):
        yield rootfs.path
        return
    point, empty = temporary("merged"), temporary("empty")
    try:
        os.mkdir(point, _PRIVATE_MODE)
        os.mkdir(empty, _PRIVATE_MODE)
        if writes:
            work = f"{rootfs.work}/overlay"
            os.mkdir(work, _PRIVATE_MODE)
            target = os.open(point, _OPEN_DIRECTORY)
            try:
                mount_overlay(
                    target, rootfs.lower or (empty,), rootfs.upper, work,
                    user_namespace=user_namespace, flags=MS_NODEV | MS_NOSUID,
                )  # fmt: skip
            finally:
                os.close(target)
            path = point
        else:
            path = mount_stack_readonly(rootfs, point, user_namespace=user_namespace)
    except OSError as error:
        raise StoreError(
            f"the tree of the container cannot be mounted: {(error.strerror or str(error)).lower()}"
        ) from error
    try:
        yield path
    finally:
        if os.path.ismount(point):
            unmount(point)
        for directory in (point, empty):
            with suppress(OSError):
                os.rmdir(directory)


def can_mount_overlay(lower: str, upper: str, work: str, point: str, *, user_namespace: bool) -> bool:
    """Say whether an overlay can be mounted here that keeps changes, by trying; the paths are made and removed."""
    made: list[str] = []
    try:
        for path in (lower, upper, work, point):
            os.mkdir(path, _PRIVATE_MODE)
            made.append(path)
        os.setxattr(upper, f"{'user' if user_namespace else 'trusted'}.overlay.trial", b"y")
        target = os.open(point, _OPEN_DIRECTORY)
        try:
            mount_overlay(target, (lower,), upper, work, user_namespace=user_namespace)
        finally:
            os.close(target)
        unmount(point)
        return True
    except OSError:
        return False
    finally:
        for path in made:
            with suppress(OSError):
                os.rmdir(path)
