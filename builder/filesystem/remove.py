"""Removes a tree that somebody else wrote, by descriptors alone: no symbolic link and no long path leads out of it."""

from __future__ import annotations

import os
import stat

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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
    _empty(directory, name)
    os.rmdir(name, dir_fd=directory)


def _is_directory(directory: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _empty(directory: int, name: str) -> None:
    # A stack and not recursion: the tree may be deeper than Python's recursion limit.
    stack: list[tuple[int, str, list[str]]] = []
    try:
        stack.append(_listed(directory, name))
        while stack:
            descriptor, own_name, names = stack[-1]
            if not names:
                stack.pop()
                os.close(descriptor)
                if stack:
                    os.rmdir(own_name, dir_fd=stack[-1][0])
                continue
            child = names.pop()
            try:
                os.unlink(child, dir_fd=descriptor)
            except (IsADirectoryError, PermissionError):
                stack.append(_listed(descriptor, child))
    finally:
        for descriptor, _, _ in stack:
            os.close(descriptor)


def _listed(directory: int, name: str) -> tuple[int, str, list[str]]:
    try:
        descriptor = os.open(name, _OPEN, dir_fd=directory)
    except PermissionError:
        # Ours, but closed to ourselves (mode 0): only root is above that. Does not follow a link: ENOTDIR would
        # have come first.
        os.chmod(name, stat.S_IRWXU, dir_fd=directory)
        descriptor = os.open(name, _OPEN, dir_fd=directory)
    if not os.access(".", os.W_OK | os.X_OK, dir_fd=descriptor, effective_ids=True):
        os.fchmod(descriptor, stat.S_IRWXU)
    return descriptor, name, os.listdir(descriptor)
