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

_SPECIAL_NAMES = frozenset(("", ".", ".."))
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class Root:
    """A directory held open, whose tree holds still. A context manager; `fd` is an O_PATH descriptor of it.

    >>> with Root("/srv/rootfs") as root:
    ...     descriptor = root.open("etc/os-release", os.O_RDONLY)
    """

    __slots__ = ("_parents", "fd", "path")

    def __init__(self, path: str) -> None:
        """Open the directory `path`, following links in it. Raises OSError."""
        self.path = path
        self.fd = os.open(path, _DIRECTORY)
        self._parents: list[tuple[str, int]] = []
        """Directories opened lately, kept because the next file is most often in the same one."""

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
        while self._parents:
            os.close(self._parents.pop()[1])

    def open(self, path: str, flags: int, mode: int = 0) -> int:
        """Open `path` as it means inside the root and return a descriptor (close-on-exec). Raises OSError."""
        if "\0" in path:  # no name has one, and the kernel would read as far as there
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if not flags & os.O_CREAT and (flags & os.O_NOFOLLOW or not flags & os.O_PATH):
            try:
                return self._open_plain(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
            except OSError as error:
                if error.errno == errno.ENOENT:
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
                # A link is in the way, or it is no good at all; the kernel's own resolver tells.
        from builder.linux.beneath import open_in_root  # gate: rare. ctypes

        return open_in_root(self.fd, path.lstrip("/") or ".", flags | os.O_CLOEXEC, mode)

    def _open_plain(self, path: str, flags: int) -> int:
        """Open a path that is written canonically and has no link in it, by plain openat(2). Raises OSError."""
        parent, slash, name = path.rpartition("/")
        if not slash:
            return os.open(_plain(name) if name else ".", flags, dir_fd=self.fd)
        try:
            # A thread takes the directory out, and puts it back when it is done: both are atomic.
            held, descriptor = self._parents.pop()
        except IndexError:
            descriptor = self._open_directory(parent)
        else:
            if held != parent:
                descriptor = self._step_on(held, descriptor, parent)
        try:
            return os.open(_plain(name), flags, dir_fd=descriptor)
        finally:
            self._parents.append((parent, descriptor))

    def _step_on(self, held: str, descriptor: int, path: str) -> int:
        """Open the directory `path` from the one that is held, which is closed, where that is on the way to it."""
        if path.startswith(f"{held}/"):
            return self._open_directory(path[len(held) + 1 :], descriptor)
        os.close(descriptor)
        return self._open_directory(path)

    def _open_directory(self, path: str, start: int = -1) -> int:
        """Open a directory below the root, or below `start`, one name at a time, none of them a link. Raises OSError.

        `start` is closed.
        """
        descriptor = self.fd if start < 0 else start
        for name in path.split("/"):
            above = descriptor
            try:
                descriptor = os.open(_plain(name), _DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
            finally:
                if above != self.fd:
                    os.close(above)
        return descriptor

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


def _plain(name: str) -> str:
    """Return `name` unless it means something else than a name. Raises OSError EINVAL."""
    if name in _SPECIAL_NAMES:
        raise OSError(errno.EINVAL, "not a name", name)
    return name
