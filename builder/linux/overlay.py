"""The overlay file system: one tree seen through a stack of directories (kernel doc filesystems/overlayfs.rst).

Directories are named to the kernel as descriptors (/proc/self/fd/N): no option grows with the length of a path, no
colon or comma in a path needs escaping, and what RUN reads in /proc/mounts says nothing of the host.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack

from builder.linux.mount import descriptor_path, mount, move_mount, new_filesystem, set_attributes

MAX_LAYERS = 500
"""The kernel's limit (OVL_MAX_STACK)."""

_MAX_OPTIONS_BYTES = 4095  # mount(2) takes one page, with its final NUL


def mount_overlay(
    target: int,
    lower: Sequence[str],
    upper: str = "",
    work: str = "",
    *,
    user_namespace: bool = False,
    flags: int = 0,
) -> None:
    """Mount the stack over the directory open at `target`.

    `lower` has the topmost layer first; without `upper` the mount is read-only and `lower` needs two directories.
    `flags` are MS_RDONLY, MS_NODEV and their like. `user_namespace` keeps overlay's own marks in user.overlay.*
    attributes, which an ordinary user may write. With `upper`, nothing is synced to disk on unmount ("volatile"):
    who keeps the directory syncs it. Raises OSError.
    """
    if len(lower) + bool(upper) > MAX_LAYERS:
        raise OSError(7, f"a stack of {len(lower)} layers is more than overlayfs can mount ({MAX_LAYERS})")
    with ExitStack() as stack:

        def handle(path: str) -> str:
            descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            return descriptor_path(descriptor)

        layers = [handle(path) for path in lower]
        writable = {"upperdir": handle(upper), "workdir": handle(work)} if upper else {}
        switches = _switches(bool(upper), user_namespace)
        try:
            _mount_by_context(target, layers, writable, switches, flags)
        except OSError as error:
            try:
                _mount_classic(target, layers, writable, switches, flags)
            except OSError:
                raise error from None  # the newer call tells the reason in words


def _switches(writable: bool, user_namespace: bool) -> dict[str, str | None]:
    if user_namespace:  # implies redirect_dir and metacopy off, and refuses to be told so
        return {"userxattr": None, **({"volatile": None} if writable else {})}
    # Whatever the machine's module parameters say: an upper directory must read as a plain layer.
    fixed: dict[str, str | None] = {"redirect_dir": "off", "metacopy": "off", "index": "off"}
    return {**fixed, "volatile": None} if writable else fixed


def _mount_by_context(
    target: int, layers: list[str], writable: dict[str, str], switches: dict[str, str | None], flags: int
) -> None:
    options = [*switches.items(), *(("lowerdir+", path) for path in layers), *writable.items()]
    tree = new_filesystem("overlay", options)
    try:
        set_attributes(tree, flags)
        move_mount(tree, target)
    finally:
        os.close(tree)


def _mount_classic(
    target: int, layers: list[str], writable: dict[str, str], switches: dict[str, str | None], flags: int
) -> None:
    """mount(2), for kernels before 6.5; retried without "volatile" for those before 5.10."""
    words = [f"lowerdir={':'.join(layers)}", *(f"{name}={path}" for name, path in writable.items())]
    for left_out in ((), ("volatile",), ("volatile", "metacopy", "index", "redirect_dir")):
        kept = [
            name if value is None else f"{name}={value}" for name, value in switches.items() if name not in left_out
        ]
        options = ",".join(kept + words)
        if len(options) > _MAX_OPTIONS_BYTES:
            raise OSError(7, f"a stack of {len(layers)} layers is more than this kernel can mount")
        try:
            mount("overlay", descriptor_path(target), "overlay", flags, options)
            return
        except OSError as error:
            if error.errno != 22:
                raise
            last = error
    raise last
