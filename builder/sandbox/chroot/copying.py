"""Copies of trees with everything that belongs to them: owners, modes, times, attributes, links, devices.

Only for the isolation that cannot mount; elsewhere nothing is copied to be run.
"""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress

from builder.filesystem.still import StillTree


def copy_tree(source: str, target: str) -> None:
    """Copy the object at `source` to `target`, which must not exist.

    Links within the tree are kept as links, hard links to one another too. Raises OSError.
    """
    _repeat(source, target, link=False)


def link_tree(source: str, target: str) -> None:
    """Repeat the tree at `source` at `target`, with further names for the same files. Raises OSError."""
    _repeat(source, target, link=True)


def _repeat(source: str, target: str, *, link: bool) -> None:
    with StillTree(source) as old, StillTree(target) as new, StillTree(target) as names:
        copied: dict[tuple[int, int], str] = {}
        pending: list[tuple[str, os.stat_result | None]] = [("", None)]
        while pending:  # and not recursion: the tree may be deeper than Python's recursion limit
            path, directory = pending.pop()
            if directory is not None:  # everything is in it
                _copy_look(old.at(path), new.at(path), directory)
                continue
            look = os.lstat(old.at(path))
            key = (look.st_dev, look.st_ino)
            if stat.S_ISDIR(look.st_mode):
                os.mkdir(new.at(path), 0o700)
                pending.append((path, look))
                below = sorted(os.listdir(old.at(path)), reverse=True)
                pending += [(f"{path}/{name}" if path else name, None) for name in below]
            elif link:
                os.link(old.at(path), new.at(path), follow_symlinks=False)
            elif key in copied:
                os.link(names.at(copied[key]), new.at(path), follow_symlinks=False)
            else:
                _copy_leaf(old.at(path), new.at(path), look)
                _copy_look(old.at(path), new.at(path), look)
                if look.st_nlink > 1:
                    copied[key] = path


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
