"""A directory, as entries in tree order, links not followed: what tests hold layers and trees against."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from builder.filesystem.entry import Entry, Kind

_KIND_BY_FORMAT: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "character",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    # A tar has no sockets. As BuildKit does (fsutil), they become empty files.
    stat.S_IFSOCK: "file",
}
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def walk_entries(
    directory: int | str, *, xattrs: bool = False, prune: Callable[[str], bool] | None = None
) -> Iterator[tuple[Entry, os.stat_result]]:
    """Yield everything below `directory` (a path, or a descriptor that stays the caller's), but not itself.

    Hard links come as plain files: the stat result tells device, inode and link count. Where `prune(path)` is true
    for a directory, it is yielded and not entered. With `xattrs`, entries carry their extended attributes.
    A file that vanishes meanwhile is left out. Raises OSError.
    """
    descriptor = (
        os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if isinstance(directory, str) else directory
    )
    try:
        yield from _walk(descriptor, prune, xattrs)
    finally:
        if isinstance(directory, str):
            os.close(descriptor)


def entry_of(path: str, status: os.stat_result, link: str = "") -> Entry:
    """Return the entry a stat result stands for; `link` is a symbolic link's target."""
    kind = _KIND_BY_FORMAT[status.st_mode & 0o170000]
    mode = status.st_mode & 0o7777
    mtime = status.st_mtime_ns // 1_000_000_000
    if kind == "file":
        size = status.st_size if status.st_mode & 0o170000 == stat.S_IFREG else 0
        return Entry(path, kind, mode, status.st_uid, status.st_gid, mtime, size)
    device = (0, 0)
    if kind in ("character", "block"):
        device = (os.major(status.st_rdev), os.minor(status.st_rdev))
    return Entry(path, kind, mode, status.st_uid, status.st_gid, mtime, 0, link, device)


def read_xattrs(target: int | str) -> tuple[tuple[str, bytes], ...]:
    """Return the extended attributes of a descriptor or of a path (links not followed), sorted; else ()."""
    follow = isinstance(target, int)
    try:
        names = os.listxattr(target, follow_symlinks=follow)
    except OSError:
        return ()
    found = []
    for name in sorted(names):
        try:
            found.append((name, os.getxattr(target, name, follow_symlinks=follow)))
        except OSError:  # gone meanwhile, or not ours to read
            continue
    return tuple(found)


def _walk(root: int, prune: Callable[[str], bool] | None, xattrs: bool) -> Iterator[tuple[Entry, os.stat_result]]:
    # A stack and not recursion: trees deeper than Python's recursion limit exist.
    stack: list[tuple[int, str, Iterator[str]]] = [(root, "", _sorted_names(root))]
    try:
        while stack:
            descriptor, prefix, names = stack[-1]
            for name in names:
                path = prefix + name
                try:
                    status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                    link = os.readlink(name, dir_fd=descriptor) if stat.S_ISLNK(status.st_mode) else ""
                except FileNotFoundError:
                    continue
                entry = entry_of(path, status, link)
                if xattrs and (attributes := read_xattrs(f"/proc/self/fd/{descriptor}/{name}")):
                    entry = entry._replace(xattrs=attributes)
                yield entry, status
                if entry.kind == "directory" and (prune is None or not prune(path)):
                    try:
                        child = os.open(name, _OPEN, dir_fd=descriptor)
                    except FileNotFoundError:
                        continue
                    stack.append((child, path + "/", iter(())))
                    stack[-1] = (child, path + "/", _sorted_names(child))
                    break
            else:
                if stack.pop()[0] != root:
                    os.close(descriptor)
    finally:
        for descriptor, _, _ in stack[1:]:
            os.close(descriptor)


def _sorted_names(descriptor: int) -> Iterator[str]:
    with os.scandir(descriptor) as listing:
        names = [item.name for item in listing]
    if len(names) > 1:
        # Code point order is byte order in UTF-8, but not for the surrogates that stand for other bytes.
        if all(map(str.isascii, names)):
            names.sort()
        else:
            names.sort(key=os.fsencode)
    return iter(names)
