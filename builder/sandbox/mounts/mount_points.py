"""Places to mount on inside a root: found through its links, made when missing, taken away again without a trace.

Two ways to make them, so that nothing of ours becomes part of a layer:

    an overlay        a directory of stubs becomes one more lower layer, on top of the others. Directories that the
                      stack has are repeated in it with the same owner, mode, times and attributes, so they look
                      unchanged, and the upper directory stays empty until the command itself writes.
    a directory       stubs are made in place, each reported with the directory it is in (an open descriptor), its
                      device and inode; afterwards exactly that object is removed if it is still empty, and the
                      directory gets its time back if nobody else changed it since.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from builder.errors import SandboxError
from builder.linux.beneath import open_in_root, walk_in_root

_STUB_DIRECTORY_MODE = 0o755
_STUB_FILE_MODE = 0o644
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class MountPoint:
    """A path inside the root that something is to be mounted on."""

    path: str
    directory: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stub:
    """A file or directory that was made to be mounted on."""

    name: str
    device: int
    inode: int
    directory: bool
    parent_mtime_before: int
    """Nanoseconds, before the stub was made."""

    parent_mtime_after: int


Report = Callable[[Stub, int], None]
"""Told of each stub, with a descriptor of the directory it is in; closes nothing."""


def open_mount_point(root: int, point: MountPoint, report: Report | None) -> int:
    """Open (O_PATH) the object to mount on, making it, and the directories to it, where missing.

    Raises OSError; SandboxError when what is there is of the wrong kind.
    """
    with walk_in_root(root, point.path) as walk:
        parent = os.dup(walk.descriptor)
        missing = walk.missing
        found = walk.found
    if not found and not missing:
        os.close(parent)
        raise SandboxError(f'invalid mount target "{point.path}"', hint="It is the root directory itself.")
    for index, name in enumerate(missing):
        directory = point.directory or index < len(missing) - 1
        opened = _make_stub(parent, name, directory, report)
        os.close(parent)
        parent = opened
    is_directory = stat.S_ISDIR(os.fstat(parent).st_mode)
    if is_directory != point.directory:
        os.close(parent)
        wanted = "directory" if point.directory else "file"
        raise SandboxError(f"cannot mount a {wanted} on /{'/'.join((*found, *missing))}, which is not one")
    return parent


def _make_stub(parent: int, name: str, directory: bool, report: Report | None) -> int:
    before = os.fstat(parent).st_mtime_ns
    if directory:
        os.mkdir(name, _STUB_DIRECTORY_MODE, dir_fd=parent)
    else:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(name, flags, _STUB_FILE_MODE, dir_fd=parent))
    opened = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    if report is not None:
        made = os.fstat(opened)
        stub = Stub(
            name=name,
            device=made.st_dev,
            inode=made.st_ino,
            directory=directory,
            parent_mtime_before=before,
            parent_mtime_after=os.fstat(parent).st_mtime_ns,
        )
        readable = os.open(".", _OPEN_DIRECTORY, dir_fd=parent)
        try:
            report(stub, readable)
        finally:
            os.close(readable)
    return opened


def remove_stub(stub: Stub, parent: int) -> None:
    """Take the stub out of the directory open at `parent`, unless it has been used or replaced. Never raises."""
    try:
        found = os.stat(stub.name, dir_fd=parent, follow_symlinks=False)
        # The command may have put something else there under the same name: that is its result.
        if (found.st_dev, found.st_ino) != (stub.device, stub.inode) or (not stub.directory and found.st_size):
            return
        before_removal = os.fstat(parent)
        if stub.directory:
            os.rmdir(stub.name, dir_fd=parent)
        else:
            os.unlink(stub.name, dir_fd=parent)
        if before_removal.st_mtime_ns == stub.parent_mtime_after:
            os.utime(parent, ns=(before_removal.st_atime_ns, stub.parent_mtime_before))
    except OSError:
        return  # not empty, or gone: the command's doing, and so part of the result


def write_stub_layer(view: int, points: Iterable[MountPoint], layer: str) -> bool:
    """Fill the empty directory `layer` with stubs for the points that the tree at `view` lacks; say if it lacks any.

    Points below another point are left out: they are made inside what is mounted there. Raises OSError.
    """
    wanted: list[tuple[tuple[str, ...], tuple[str, ...], bool]] = []
    covered: list[tuple[str, ...]] = []
    for point in points:
        with walk_in_root(view, point.path) as walk:
            whole = walk.found + walk.missing
            if any(whole[: len(above)] == above for above in covered):
                continue
            covered.append(whole)
            if walk.missing:
                if not stat.S_ISDIR(os.fstat(walk.descriptor).st_mode):
                    raise SandboxError(f"cannot mount on {point.path}: /{'/'.join(walk.found)} is not a directory")
                wanted.append((walk.found, walk.missing, point.directory))
    if not wanted:
        return False
    known: dict[tuple[str, ...], None] = {}
    for found, missing, directory in wanted:
        for depth in range(len(found) + 1):
            known.setdefault(found[:depth])
        _write_stub(layer, found + missing, directory)
    for path in sorted(known, key=len, reverse=True):  # times last, from the leaves up
        copy_metadata(view, "/".join(path), os.path.join(layer, *path))
    return True


def _write_stub(layer: str, path: tuple[str, ...], directory: bool) -> None:
    full = os.path.join(layer, *path)
    os.makedirs(full if directory else os.path.dirname(full), _STUB_DIRECTORY_MODE, exist_ok=True)
    if not directory:
        os.close(os.open(full, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _STUB_FILE_MODE))


def copy_metadata(view: int, path: str, copy: str) -> None:
    """Give the directory `copy` the owner, mode, attributes and times of `path` in the tree at `view`."""
    source = open_in_root(view, path or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        status = os.fstat(source)
        with suppress(OSError):  # an id that the user namespace has no number for
            os.chown(copy, status.st_uid, status.st_gid)
        # After chown(2), which takes set-id bits away.
        os.chmod(copy, stat.S_IMODE(status.st_mode))
        for name in os.listxattr(source):
            # Marks of another overlay would mean something to this one: an opaque directory hides what is below it.
            if ".overlay." not in name:
                with suppress(OSError):  # tmpfs has user.* only since Linux 6.6
                    os.setxattr(copy, name, os.getxattr(source, name))
        os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    finally:
        os.close(source)
