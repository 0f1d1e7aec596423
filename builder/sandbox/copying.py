"""Copies of trees with everything that belongs to them: owners, modes, times, attributes, links, devices.

Only for the isolation that cannot mount; elsewhere nothing is copied to be run.
"""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress


def copy_tree(source: str, target: str) -> None:
    """Copy the object at `source` to `target`, which must not exist.

    Links within the tree are kept as links, hard links to one another too. Raises OSError.
    """
    _copy(source, target, {})


def link_tree(source: str, target: str) -> None:
    """Repeat the tree at `source` at `target`, with further names for the same files. Raises OSError."""
    look = os.lstat(source)
    if not stat.S_ISDIR(look.st_mode):
        os.link(source, target, follow_symlinks=False)
        return
    os.mkdir(target, 0o700)
    for name in os.listdir(source):
        link_tree(os.path.join(source, name), os.path.join(target, name))
    _copy_look(source, target, look)


def _copy(source: str, target: str, seen: dict[tuple[int, int], str]) -> None:
    look = os.lstat(source)
    key = (look.st_dev, look.st_ino)
    if stat.S_ISDIR(look.st_mode):
        os.mkdir(target, 0o700)
        for name in sorted(os.listdir(source)):
            _copy(os.path.join(source, name), os.path.join(target, name), seen)
    elif key in seen:
        os.link(seen[key], target, follow_symlinks=False)
        return
    else:
        _copy_leaf(source, target, look)
        if look.st_nlink > 1:
            seen[key] = target
    _copy_look(source, target, look)


def _copy_leaf(source: str, target: str, look: os.stat_result) -> None:
    if stat.S_ISREG(look.st_mode):
        shutil.copyfile(source, target, follow_symlinks=False)
    elif stat.S_ISLNK(look.st_mode):
        os.symlink(os.readlink(source), target)
    else:
        os.mknod(target, look.st_mode, look.st_rdev)


def _copy_look(source: str, target: str, look: os.stat_result) -> None:
    with suppress(PermissionError):  # one id only, or no right to give files away: everything is ours
        os.chown(target, look.st_uid, look.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(look.st_mode):
        os.chmod(target, stat.S_IMODE(look.st_mode))
        for name in os.listxattr(source, follow_symlinks=False):
            with suppress(OSError):
                os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)
    os.utime(target, ns=(look.st_atime_ns, look.st_mtime_ns), follow_symlinks=False)
