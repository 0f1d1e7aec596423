"""Copies of trees with everything that belongs to them: owners, modes, times, attributes, links, devices.

Only for the isolation that cannot mount; elsewhere nothing is copied to be run.
"""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress

from builder.filesystem.remove import remove_tree
from builder.filesystem.still import StillTree

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_tree(source: str, target: str) -> None:
    """Copy the object at `source` to `target`, which must not exist.

    Links within the tree are kept as links, hard links to one another too. Raises OSError.
    """
    _repeat(source, target, link=False)


def link_tree(source: str, target: str) -> None:
    """Repeat the tree at `source` at `target`, with further names for the same files. Raises OSError."""
    _repeat(source, target, link=True)


def replace_tree(path: str, name: str, folder: int) -> None:
    """Move the tree `name` in the directory open at `folder` to `path`, in place of the tree there. Raises OSError."""
    old = f"{path}.old-{os.getpid()}"
    fresh = f"{path}.new-{os.getpid()}"
    try:
        os.rename(name, fresh, src_dir_fd=folder)
    except OSError:  # another file system
        copy_tree(f"/proc/self/fd/{folder}/{name}", fresh)
        remove_tree(folder, name)
    os.rename(path, old)  # two steps: rename(2) replaces no directory that has something in it
    os.rename(fresh, path)
    remove_path(old)


def remove_path(path: str) -> None:
    """Remove the object at `path` with everything in it. Raises OSError."""
    parent = os.open(os.path.dirname(path), _OPEN_DIRECTORY)
    try:
        remove_tree(parent, os.path.basename(path))
    finally:
        os.close(parent)


def _repeat(source: str, target: str, *, link: bool) -> None:
    with StillTree(source) as old, StillTree(target) as new, StillTree(target) as names:
        copied: dict[tuple[int, int], str] = {}
        pending: list[tuple[str, os.stat_result | None]] = [("", None)]
        while pending:  # and not recursion: the tree may be deeper than Python's recursion limit
            path, directory = pending.pop()
            if directory is not None:  # everything is in it
                _copy_metadata(old.at(path), new.at(path), directory)
                continue
            status = os.lstat(old.at(path))
            key = (status.st_dev, status.st_ino)
            if stat.S_ISDIR(status.st_mode):
                os.mkdir(new.at(path), 0o700)
                pending.append((path, status))
                below = sorted(os.listdir(old.at(path)), reverse=True)
                pending += [(f"{path}/{name}" if path else name, None) for name in below]
            elif link:
                # Directories cannot have a second name, so they are made; files are the keeper's own.
                os.link(old.at(path), new.at(path), follow_symlinks=False)
            elif key in copied:
                os.link(names.at(copied[key]), new.at(path), follow_symlinks=False)
            else:
                _copy_leaf(old.at(path), new.at(path), status)
                _copy_metadata(old.at(path), new.at(path), status)
                if status.st_nlink > 1:
                    copied[key] = path


def _copy_leaf(source: str, target: str, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        shutil.copyfile(source, target, follow_symlinks=False)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), target)
    else:
        os.mknod(target, status.st_mode, status.st_rdev)


def _copy_metadata(source: str, target: str, status: os.stat_result) -> None:
    with suppress(PermissionError):  # one id only, or no right to give files away: everything is ours
        os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))
        for name in os.listxattr(source, follow_symlinks=False):
            # Attributes that this file system has not, or that only the kernel may write: the copy is for one run.
            with suppress(OSError):
                os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)
