"""Removes a tree that somebody else wrote, by descriptors alone: no symbolic link and no long path leads out of it."""

from __future__ import annotations

import os
import stat

from builder.filesystem.trail import Trail


def remove_tree(directory: int, name: str) -> None:
    """Remove `name` from the directory open at `directory`, with everything below it; links are removed, not followed.

    Nothing happens if it isn't there. Raises OSError.
    """
    try:
        os.unlink(name, dir_fd=directory)
        return
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):  # EISDIR on Linux, EPERM by POSIX
        if not _is_directory(directory, name):
            raise
    trail = Trail(directory)
    try:
        _empty(trail, name)
    finally:
        trail.close()
    os.rmdir(name, dir_fd=directory)


def _is_directory(directory: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _empty(trail: Trail, name: str) -> None:
    # A stack and not recursion: the tree may be deeper than Python's recursion limit.
    stack = [_listed(trail, name)]
    while stack:
        if not stack[-1]:
            stack.pop()
            own_name = trail.names[-1]
            above = trail.up(len(stack))
            if stack:
                os.rmdir(own_name, dir_fd=above)
            continue
        child = stack[-1].pop()
        try:
            os.unlink(child, dir_fd=trail.descriptor)
        except (IsADirectoryError, PermissionError):
            stack.append(_listed(trail, child))


def _listed(trail: Trail, name: str) -> list[str]:
    """Step into a directory, so that its names may be removed; return them."""
    try:
        descriptor = trail.down(name)
    except PermissionError:
        # Ours, but closed to ourselves (mode 0): only root is above that. Does not follow a link: ENOTDIR would
        # have come first.
        os.chmod(name, stat.S_IRWXU, dir_fd=trail.descriptor)
        descriptor = trail.down(name)
    if not os.access(".", os.W_OK | os.X_OK, dir_fd=descriptor, effective_ids=True):
        os.fchmod(descriptor, stat.S_IRWXU)
    return os.listdir(descriptor)
