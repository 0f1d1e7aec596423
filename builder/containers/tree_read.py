"""What lies at a path of a tree on disk, as the entries of a tar: parents first, names sorted, nothing outside read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from builder.errors import StoreError
from builder.filesystem.entry import FILE, HARDLINK, Entry
from builder.filesystem.still import StillTree, listing
from builder.layer.content import Content, FileContent
from builder.linux.beneath import open_in_root
from builder.snapshot.metadata import read_entry

Owner = Callable[[str], tuple[int, int] | None]
"""Path in the tree → who owns it, where the disk cannot tell."""


class SourceTree:
    """What a path inside the directory `root` means. Raises StoreError when there is nothing."""

    def __init__(self, root: str, path: str, *, follow: bool = False) -> None:
        self._named = path
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        ends_open = path.endswith(("/", "/."))  # a link that is said to be a folder is one that leads there
        flags = os.O_PATH | (0 if follow or ends_open else os.O_NOFOLLOW)
        try:
            found = open_in_root(descriptor, path.lstrip("/") or ".", flags)
        except OSError as error:
            raise StoreError(f"cannot copy {path}: {(error.strerror or str(error)).lower()}") from error
        finally:
            os.close(descriptor)
        self.status = os.fstat(found)
        self._real = os.readlink(f"/proc/self/fd/{found}")
        os.close(found)
        self._inside = os.path.relpath(self._real, os.path.realpath(root))

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def name(self) -> str:
        """The last component of what was asked for; empty for the root, and for `folder/.`, which is its content."""
        if self._named.endswith("/."):
            return ""
        return os.path.basename(os.path.normpath("/" + self._named.lstrip("/")))

    def entries(self, name: str, owner: Owner | None = None) -> Iterator[tuple[Entry, Content | None]]:
        """Give everything there, with `name` in place of the path it has; "" gives a folder's content alone."""
        first: dict[tuple[int, int], str] = {}
        with StillTree(self._real) as tree:
            for relative, status in self._walk(tree):
                path = f"{name}/{relative}".strip("/")
                if not path:
                    continue
                entry = read_entry(tree.at(relative), path, status)
                owned = owner(os.path.normpath(f"{self._inside}/{relative}")) if owner is not None else None
                if owned is not None:
                    entry = entry._replace(uid=owned[0], gid=owned[1])
                if entry.kind != FILE:
                    yield entry, None
                    continue
                if status.st_nlink > 1:
                    earlier = first.setdefault((status.st_dev, status.st_ino), path)
                    if earlier != path:
                        yield entry._replace(kind=HARDLINK, link=earlier, size=0, xattrs=()), None
                        continue
                yield entry, FileContent(tree.at(relative))

    def _walk(self, tree: StillTree) -> Iterator[tuple[str, os.stat_result]]:
        pending = [""]
        while pending:
            path = pending.pop()
            try:
                status = os.lstat(tree.at(path))
                if stat.S_ISSOCK(status.st_mode):
                    continue
                yield path, status
                if stat.S_ISDIR(status.st_mode):
                    with listing(tree.at(path)) as found:
                        names = sorted((os.fsencode(item.name) for item in found), reverse=True)
                    pending += [os.path.join(path, os.fsdecode(name)) for name in names]
            except OSError as error:
                raise StoreError(f"cannot read {path or self._named}: {(error.strerror or '').lower()}") from error
