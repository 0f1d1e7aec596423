"""A directory as a root: whatever a path inside it says, it leads nowhere else.

The paths come from Dockerfiles, build contexts and images; symbolic links in them mean what they would mean after
chroot(2). Everything that opens, makes or removes a file below a root we did not write goes through here.
"""

from __future__ import annotations

import errno
import os
import stat
from types import TracebackType

from builder.filesystem.links import MAX_LINKS, follow_links

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class Root:
    """A directory held open. A context manager; `fd` is an O_PATH descriptor of it.

    >>> with Root("/srv/rootfs") as root:
    ...     descriptor = root.open("etc/os-release", os.O_RDONLY)
    """

    __slots__ = ("fd", "path")

    def __init__(self, path: str) -> None:
        """Open the directory `path`, following links in it. Raises OSError."""
        self.path = path
        self.fd = os.open(path, _DIRECTORY)

    def __enter__(self) -> Root:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the directory; harmless when done already."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def open(self, path: str, flags: int, mode: int = 0) -> int:
        """Open `path` as it means inside the root and return a descriptor (close-on-exec). Raises OSError."""
        from builder.linux.beneath import open_in_root  # ctypes: a cached build walks without it

        return open_in_root(self.fd, path.lstrip("/") or ".", flags | os.O_CLOEXEC, mode)

    def stat(self, path: str, *, follow_last: bool = True) -> os.stat_result:
        """Return the status of `path` inside the root, without opening what it names. Raises OSError."""
        descriptor = self.open(path, os.O_PATH | (0 if follow_last else os.O_NOFOLLOW))
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def read_link(self, path: str) -> str | None:
        """Return the target of the symbolic link `path`, or None for anything else, missing ones included."""
        try:
            descriptor = self.open(path, os.O_PATH | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                return None
            raise
        try:
            return os.readlink("", dir_fd=descriptor) if stat.S_ISLNK(os.fstat(descriptor).st_mode) else None
        finally:
            os.close(descriptor)

    def resolve(self, path: str, *, follow_last: bool = True) -> str:
        """Return the canonical path inside the root, without leading slash; missing components stay as written.

        Raises OSError ELOOP after MAX_LINKS links.
        """
        return follow_links(path, self.read_link, follow_last=follow_last, limit=MAX_LINKS)

    def open_parent(self, path: str) -> tuple[int, str]:
        """Return a descriptor of the directory that holds `path`, and the last name in it, itself not followed.

        For the calls that take a directory and a name (mkdirat, unlinkat, linkat). The root itself has no name:
        OSError EINVAL.
        """
        canonical = self.resolve(path, follow_last=False)
        parent, _, name = canonical.rpartition("/")
        if not name:
            raise OSError(errno.EINVAL, "the root has no parent", path)
        return self.open(parent, _DIRECTORY), name
