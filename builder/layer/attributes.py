"""Owner, mode, extended attributes and time of what has just been made, in the order in which the kernel keeps them.

chown(2) clears setuid, setgid and file capabilities: so first the owner, then the mode, then the attributes; the
time comes last, as the others do not change it but writing does.
"""

from __future__ import annotations

import errno
import os

from builder.errors import LayerError
from builder.filesystem.entry import Entry

_NS = 1_000_000_000
_OVERLAY_PREFIXES = ("trusted.overlay.", "user.overlay.")
"""How overlayfs marks its directories. From a layer they would be orders to it: never set on its behalf."""
_UNSUPPORTED = {errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOSPC, errno.ERANGE, errno.E2BIG}
_MAX_NOTES = 100


class Attributes:
    """How to set attributes here, and what could not be set: `notes`, one line each.

    `exact` false leaves the owner as it comes: for a user with one id.
    """

    def __init__(self, *, exact: bool) -> None:
        self._exact = exact
        self._umask = _umask()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep a remark for the caller."""
        if len(self.notes) < _MAX_NOTES:
            self.notes.append(text)

    def set_open(self, descriptor: int, entry: Entry, mode: int, made_with: int | None = None) -> None:
        """Set owner, mode and extended attributes of an open file or directory.

        `made_with` is the mode it was created with by open(2), when it was: often it is right as it is.
        """
        if self._exact:
            try:
                os.fchown(descriptor, entry.uid, entry.gid)
            except OSError as error:
                raise _owner_error(entry, error) from error
        if made_with is None or made_with & ~self._umask != mode:
            os.fchmod(descriptor, mode)
        if entry.xattrs:
            self._set_xattrs(descriptor, entry)

    def set_named(self, directory: int, name: str, entry: Entry) -> None:
        """Set everything of a symbolic link, device or FIFO, which must not be opened."""
        if self._exact:
            try:
                os.chown(name, entry.uid, entry.gid, dir_fd=directory, follow_symlinks=False)
            except OSError as error:
                raise _owner_error(entry, error) from error
        if entry.kind != "symlink":
            os.chmod(name, entry.mode, dir_fd=directory)  # made by us a moment ago, and no link
        if entry.xattrs:
            # There is no setxattrat(2) before Linux 6.13; the descriptor's name in /proc stands in for it.
            self._set_xattrs(f"/proc/self/fd/{directory}/{name}", entry)
        set_time(name, entry.mtime, directory)

    def replace_xattrs(self, descriptor: int, entry: Entry) -> None:
        """Take away from a directory that was there before what its new entry does not have."""
        keep = {name for name, _ in entry.xattrs}
        try:
            names = os.listxattr(descriptor)
        except OSError:
            return
        for name in names:
            if name not in keep and not name.startswith((*_OVERLAY_PREFIXES, "security.selinux")):
                os.removexattr(descriptor, name)

    def _set_xattrs(self, target: int | str, entry: Entry) -> None:
        for name, value in entry.xattrs:
            if name.startswith(_OVERLAY_PREFIXES):
                self.note(f"{entry.path}: the extended attribute {name} is overlayfs's own and was left out")
                continue
            try:
                os.setxattr(target, name, value, follow_symlinks=isinstance(target, int))
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
                self.note(f"{entry.path}: the extended attribute {name} cannot be set here: {error.strerror}")
            if name == "system.posix_acl_default":
                self._umask = 0o777  # files made below get their mode from it: always set it


def set_time(target: int | str, mtime: int, directory: int | None = None) -> None:
    """Set the times of a descriptor, or of a name in a directory, to whole seconds."""
    times = (mtime * _NS, mtime * _NS)
    if directory is None:
        os.utime(target, ns=times)
    else:
        os.utime(target, ns=times, dir_fd=directory, follow_symlinks=False)


def _owner_error(entry: Entry, error: OSError) -> LayerError:
    return LayerError(
        f"{entry.path!r} cannot be given to {entry.uid}:{entry.gid}: {error.strerror}",
        hint="Give your user a range of subordinate ids in /etc/subuid and /etc/subgid, or build as root.",
    )


def _umask() -> int:
    """This process's umask, read without changing it, as umask(2) cannot: other threads make files too."""
    try:
        with open("/proc/self/status", "rb") as status:
            for line in status:
                if line.startswith(b"Umask:"):
                    return int(line.split()[1], 8)
    except (OSError, ValueError, IndexError):
        pass
    return 0o777  # unknown: then every mode is set explicitly
