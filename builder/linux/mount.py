"""Mounting: the classic calls, and the descriptor-based ones of Linux 5.2 and later (man 2 mount, fsopen, open_tree).

Targets may be given as paths or, for targets inside a tree that is not ours, as descriptors: `descriptor_path` names
an O_PATH descriptor so that the kernel mounts on exactly the object that was opened, with no second path walk that
could be raced (CVE-2024-23651 and its kind).
"""

from __future__ import annotations

import ctypes
import errno
import os

from builder.linux.libc import (
    SYS_FSCONFIG,
    SYS_FSMOUNT,
    SYS_FSOPEN,
    SYS_MOUNT_SETATTR,
    SYS_MOVE_MOUNT,
    SYS_OPEN_TREE,
    call,
    older_number,
    syscall,
)

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

_ATTRIBUTE_FLAGS = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC  # the same bits in mount(2) and mount_setattr(2)
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6
_CLOEXEC = 1
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 0x04
_MOVE_MOUNT_T_EMPTY_PATH = 0x40
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_EMPTY = ctypes.c_char_p(b"")


class _Attributes(ctypes.Structure):
    """struct mount_attr of linux/mount.h."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns"))


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount (or bind, or remount) as mount(2) does. Raises OSError naming `target`."""
    data = options.encode() if options else None
    call("mount", os.fsencode(source), os.fsencode(target), kind.encode() or None, flags, data, path=target)


def unmount(target: str, flags: int = MNT_DETACH) -> None:
    """Unmount, by default at once and for good when the last user is gone. Raises OSError."""
    call("umount2", os.fsencode(target), flags, path=target)


def make_private() -> None:
    """Cut this mount namespace's tree off from its parent's, both ways."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)


def pivot_root_here() -> None:
    """Make the working directory, which must be a mount point, the root, and drop the old root with all below it."""
    # Both names are ".": the old root lands on top of the new one and is taken off again (man 2 pivot_root, NOTES).
    syscall(older_number("pivot_root"), ctypes.c_char_p(b"."), ctypes.c_char_p(b"."))
    unmount(".")
    os.chdir("/")


def descriptor_path(descriptor: int) -> str:
    """A path that means the object open at `descriptor`, for calls that take only paths."""
    return f"/proc/self/fd/{descriptor}"


def bind(source: int, target: int, *, flags: int = 0, recursive: bool = False) -> None:
    """Bind the object open at `source` over the one open at `target`. Raises OSError.

    `flags` (MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC) are added to those the source's mount has.
    """
    try:
        tree = open_tree(source, recursive=recursive)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        _bind_classic(source, target, flags, recursive)
        return
    try:
        if flags:
            set_attributes(tree, flags, recursive=recursive)
        move_mount(tree, target)
    finally:
        os.close(tree)


def open_tree(source: int, *, recursive: bool = False) -> int:
    """A detached copy of the mount, from the object open at `source` down, as a descriptor. Raises OSError."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    return syscall(SYS_OPEN_TREE, source, _EMPTY, flags)


def move_mount(tree: int, target: int) -> None:
    """Attach the detached mount `tree` over the object open at `target`. Raises OSError."""
    flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH
    syscall(SYS_MOVE_MOUNT, tree, _EMPTY, target, _EMPTY, flags)


def set_attributes(tree: int, flags: int, *, recursive: bool = False) -> None:
    """Add `flags` to the mount whose root is open at `tree`, keeping those it has. Raises OSError."""
    attributes = _Attributes(flags & _ATTRIBUTE_FLAGS, 0, 0, 0)
    at_flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    size = ctypes.sizeof(attributes)
    try:
        syscall(SYS_MOUNT_SETATTR, tree, _EMPTY, at_flags, ctypes.byref(attributes), size)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        # Before 5.12. A remount replaces all flags, and a user namespace may not lose one it inherited.
        inherited = os.fstatvfs(tree).f_flag & _ATTRIBUTE_FLAGS
        mount("none", descriptor_path(tree), flags=MS_BIND | MS_REMOUNT | inherited | flags)


def new_filesystem(kind: str, options: list[tuple[str, str | None]]) -> int:
    """Make a file system with fsopen(2) and give it as a detached mount. Options without a value are flags.

    Raises OSError with the kernel's own words where it has any (ENOSYS before 5.2).
    """
    context = syscall(SYS_FSOPEN, ctypes.c_char_p(kind.encode()), _CLOEXEC)
    try:
        for name, value in options:
            if value is None:
                syscall(SYS_FSCONFIG, context, _FSCONFIG_SET_FLAG, ctypes.c_char_p(name.encode()), None, 0)
            else:
                encoded = ctypes.c_char_p(os.fsencode(value))
                syscall(SYS_FSCONFIG, context, _FSCONFIG_SET_STRING, ctypes.c_char_p(name.encode()), encoded, 0)
        syscall(SYS_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0)
        return syscall(SYS_FSMOUNT, context, _CLOEXEC, 0)
    except OSError as error:
        raise OSError(error.errno, _kernel_words(context) or error.strerror) from None
    finally:
        os.close(context)


def _kernel_words(context: int) -> str:
    """What the kernel logged into a file system context: lines of "e overlay: ...", the last one is the reason."""
    words = ""
    try:
        while line := os.read(context, 4096):
            words = line.decode(errors="replace")[2:].strip()
    except OSError:
        pass  # ENODATA: the log is empty
    return words


def _bind_classic(source: int, target: int, flags: int, recursive: bool) -> None:
    mount(descriptor_path(source), descriptor_path(target), flags=MS_BIND | (MS_REC if recursive else 0))
    if flags:
        # The descriptor still means what lies below the new mount; its path finds the mount on top.
        opened = os.open(os.readlink(descriptor_path(target)), os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            set_attributes(opened, flags)
        finally:
            os.close(opened)
