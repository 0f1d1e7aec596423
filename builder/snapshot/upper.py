"""Changes as overlayfs leaves them: an upper directory, and how it becomes the unpacked form of its layer.

    character device 0:0                     the name is deleted
    empty file with *.overlay.whiteout       the same, where device nodes can't be made (Linux 6.7)
    directory with *.overlay.opaque = "y"    nothing below shows through

`*` is trusted, or user when the mount was made in a user namespace (kernel doc filesystems/overlayfs.rst).

overlayfs marks new directories opaque, and keeps what the layer does without (sockets, copies without a change).
Another image may have other layers below the same layer. So while the changes are given out, the upper directory is
brought to exactly what unpacking the finished layer would give: marks go, explicit deletions come.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress

from builder.errors import LayerError
from builder.filesystem.still import StillTree, listing
from builder.layer.view import MergedView
from builder.layer.whiteout import PREFIX
from builder.snapshot.changes import Verdict

_WHITEOUT_DEVICE = os.makedev(0, 0)
_WHITEOUT_MODE = stat.S_IFCHR
_WHITEOUT_PREFIX = PREFIX.encode()
_REFUSED_MARKS = ("redirect", "metacopy")


class UpperDirectory:
    """A ChangeSource over an upper directory that is mounted nowhere any more."""

    def __init__(
        self,
        root: str,
        lower: Sequence[str],
        view: MergedView,
        *,
        user_namespace: bool = False,
        settles: bool = True,
    ) -> None:
        """`lower` are the directories it was mounted on, topmost first; `view` is of the same layers.

        Without `settles` nothing in the directory is changed, and it is no unpacked form of the layer at the end.
        """
        self.tree = StillTree(root)
        self._lower = [StillTree(directory) for directory in lower]
        self.marks = "user.overlay." if user_namespace else "trusted.overlay."
        self._settles = settles
        self.reusable = settles
        """Whether the directory is, at the end, the unpacked form of the layer."""
        self._view = view
        self._opened: list[_Opened] = []

    def __enter__(self) -> UpperDirectory:
        return self

    def __exit__(self, *_: object) -> None:
        for tree in (self.tree, *self._lower):
            tree.__exit__(None, None, None)

    def children(self, path: str) -> Iterator[tuple[bytes, Verdict]]:
        opened = _Opened(self.tree, path, self.marks)
        # Inherited: overlayfs marks a directory only where the one above it shows something of the layers below
        # (fs/overlayfs/dir.c, ovl_create_upper). What is new inside of a new one has no mark.
        hides_all = opened.is_opaque or (bool(self._opened) and self._opened[-1].hides_all)
        opened.hides_all = hides_all
        self._opened.append(opened)
        names = self._names(opened, path)
        # The layer of another image may lie on top of other layers, in which the mark would hide more than was there
        # when the step ran: it is spelled out, and goes.
        if hides_all:
            self._delete_hidden(opened, path, names)
            self._forget_mark(opened)
        # Under the names of their whiteouts, since by those they are sorted among their siblings in the layer. Both may
        # be there: a file that is called like the whiteout of another one, which is gone.
        whiteouts = {_WHITEOUT_PREFIX + name: name for name in opened.deleted}
        for name in sorted(names | whiteouts.keys()):
            if name in whiteouts:
                hidden = whiteouts[name]
                if opened.hides_all or self._view.find(_join(path, hidden)) is not None:
                    yield hidden, Verdict.REMOVED
                else:
                    self._remove(_join(path, hidden))  # it hides a mount point that only existed meanwhile
            if name in names:
                yield name, Verdict.CANDIDATE

    def has_old_time(self, path: str, status: os.stat_result) -> bool:
        for tree in self._lower:  # the topmost that has it is what overlayfs showed, and copied up with its time
            with suppress(FileNotFoundError, NotADirectoryError):
                return os.lstat(tree.at(path)).st_mtime_ns == status.st_mtime_ns
        return False

    def drop(self, path: str, status: os.stat_result) -> None:
        # overlayfs copied it up, and nothing came of it: without it the lower layer's is seen, which is the same.
        self._remove(path, directory=stat.S_ISDIR(status.st_mode))

    def leave(self, path: str) -> None:
        opened = self._opened.pop()
        # The time that the step left, and the layer has, which what was done here to its names has changed.
        if opened.touched and self._settles:
            os.utime(self.tree.at(path), ns=opened.times)

    def _names(self, opened: _Opened, path: str) -> set[bytes]:
        """Return the names in a directory that are no deletions; those are noted."""
        names: set[bytes] = set()
        with listing(self.tree.at(path)) as entries:
            for entry in list(entries):  # all of them, before sockets go and deletions come
                name = os.fsencode(entry.name)
                own = f"{path}/{entry.name}" if path else entry.name
                if self._is_deletion(entry, opened, own) or self._is_now_deletion(entry, opened, own):
                    opened.deleted.add(name)
                elif not _is_socket(entry):
                    names.add(name)
        return names

    def _is_deletion(self, entry: os.DirEntry[str], opened: _Opened, own: str) -> bool:
        if entry.is_dir(follow_symlinks=False) or entry.is_symlink():
            return False
        if entry.is_file(follow_symlinks=False):
            mark = opened.deletion_mark
            return mark != "" and mark in os.listxattr(self.tree.at(own), follow_symlinks=False)
        status = entry.stat(follow_symlinks=False)
        return stat.S_ISCHR(status.st_mode) and status.st_rdev == _WHITEOUT_DEVICE

    def _is_now_deletion(self, entry: os.DirEntry[str], opened: _Opened, own: str) -> bool:
        """Remove a socket, which a layer cannot hold. Say whether what it had replaced is a deletion now."""
        if not _is_socket(entry):
            return False
        self._remove(own)
        if opened.hides_all or self._view.find(own) is None:
            return False
        self._mark_deleted(opened, own)
        return True

    def _mark_deleted(self, opened: _Opened, path: str) -> None:
        if not self._settles:
            return
        # Since Linux 5.8 any user may make this one device; before, and on some file systems, the tree just isn't kept.
        try:
            opened.touched = True
            os.mknod(self.tree.at(path), _WHITEOUT_MODE, _WHITEOUT_DEVICE)
        except OSError:
            self.reusable = False

    def _delete_hidden(self, opened: _Opened, path: str, present: set[bytes]) -> None:
        """Mark as deleted what the layers below have in a directory that hides all."""
        before = self._view.find(path)
        if before is None or before.entry.kind != "directory":
            return
        for child in self._view.children(path):
            name = os.fsencode(child.entry.path.rpartition("/")[2])
            if name in present or name in opened.deleted:
                continue
            opened.deleted.add(name)
            self._mark_deleted(opened, child.entry.path)

    def _forget_mark(self, opened: _Opened) -> None:
        if not self._settles:
            return
        try:
            opened.forget_mark()
        except OSError:
            self.reusable = False

    def _remove(self, path: str, *, directory: bool = False) -> None:
        if not self._settles:
            return
        try:
            (os.rmdir if directory else os.unlink)(self.tree.at(path))
        except OSError:
            self.reusable = False
        self._opened[-1].touched = True


class _Opened:
    """A directory of the upper tree that is being listed."""

    def __init__(self, tree: StillTree, path: str, prefix: str) -> None:
        self._tree = tree
        self._path = path
        absolute = tree.at(path)
        status = os.stat(absolute)
        self.times = (status.st_atime_ns, status.st_mtime_ns)
        self.touched = False
        self.hides_all = False
        self.deleted: set[bytes] = set()
        self._mark = f"{prefix}opaque"
        value = _read_mark(absolute, prefix)
        self.is_opaque = value == b"y"
        self.deletion_mark = f"{prefix}whiteout" if value == b"x" else ""

    def forget_mark(self) -> None:
        """Raises OSError."""
        if self.is_opaque:
            os.removexattr(self._tree.at(self._path), self._mark)


def _read_mark(path: str, prefix: str) -> bytes:
    """Return the opaque mark of a directory: "y" hides all, "x" says that deletions are marked files."""
    try:
        names = os.listxattr(path)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return b""
        raise
    for refused in _REFUSED_MARKS:
        if f"{prefix}{refused}" in names:
            raise LayerError(f"overlayfs stored {path} in a form ({refused}) that isn't a layer's")
    return os.getxattr(path, f"{prefix}opaque") if f"{prefix}opaque" in names else b""


def _is_socket(entry: os.DirEntry[str]) -> bool:
    if entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False):
        return False  # known from the listing
    return stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode)


def _join(path: str, name: bytes) -> str:
    return f"{path}/{os.fsdecode(name)}" if path else os.fsdecode(name)
