"""A layer tar onto disk: into an empty directory for overlayfs, or over a tree that is there already.

    overlay=True    a directory of its own: `.wh.x` becomes the character device 0:0 `x`, an opaque directory gets
                    the attribute trusted.overlay.opaque=y (overlayfs.rst, "whiteouts and opaque directories")
    overlay=False   over the layers below, already unpacked there: what is hidden is removed

Both give the tree that view.py describes. A directory that is only implied (an entry stands below it) is left as the
layers below have it; where they have none, it is 0755 root:root.
Confined by never using a path: each step goes from an open directory to one name in it, without following links.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import Literal, assert_never

from builder.errors import LayerError, StoreError
from builder.filesystem.entry import Entry
from builder.layer.attributes import Attributes, set_time
from builder.layer.content import SliceCheck, SlicedContent, open_content
from builder.layer.cursor import find_status
from builder.layer.limits import LIMITS, Limits
from builder.layer.paths import LayerPaths, place_entry
from builder.layer.tar_reader import Readable, read_tar
from builder.layer.unpacked import UnpackedTree
from builder.layer.view import MergedView
from builder.layer.whiteout import PREFIX

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_COPY_BYTES = 1 << 20
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}


def apply_layer(
    stream: Readable,
    directory: str,
    *,
    overlay: bool,
    ids: Literal["exact", "ignore"] = "exact",
    userxattr: bool = False,
    below: MergedView | None = None,
    limits: Limits = LIMITS,
) -> tuple[str, ...]:
    """Unpack the uncompressed layer tar `stream` into `directory`, which exists.

    `ids="ignore"` leaves everything to the user we are. `userxattr` marks opaque directories as an overlay mounted in
    a user namespace reads them (user.overlay.opaque). `below` is the view of the layers below: with it, implied
    directories get their attributes from there, and hard links to files of lower layers become copies.
    Returns remarks on what could not be set here (device nodes, extended attributes), one line each.
    Raises LayerError for a bad layer, StoreError when the disk is full or read-only. What has been unpacked by then
    is left for the caller to remove.
    """
    attributes = Attributes(exact=ids == "exact")
    paths = LayerPaths()
    path = ""
    try:
        with UnpackedTree(directory, overlay, attributes, userxattr, below) as tree:
            applier = _Applier(tree)
            for member in read_tar(stream, limits):
                entry = place_entry(member.entry, paths)
                if entry is not None:
                    path = entry.path
                    applier.add(entry, member.read)
            tree.finish()
    except OSError as error:
        if error.errno in _DISK_ERRORS:
            raise StoreError(f"{path!r} cannot be unpacked into {directory}: {error.strerror}") from error
        raise LayerError(f"{path!r} of the layer cannot be unpacked: {error.strerror or error}") from error
    return tuple(attributes.notes)


class _Applier:
    def __init__(self, tree: UnpackedTree) -> None:
        self._tree = tree

    def add(self, entry: Entry, read: Callable[[int], bytes]) -> None:
        path = entry.path
        if entry.kind == "directory":
            self._tree.add_directory(entry)
            return
        parent, _, name = path.rpartition("/")
        directory = self._tree.enter(parent)
        if name.startswith(PREFIX):
            self._tree.hide(directory, parent, name)
            return
        match entry.kind:
            case "file":
                self._add_file(directory, name, entry, read)
            case "hardlink":
                self._add_hard_link(directory, name, entry)
            case "symlink":
                self._tree.make(directory, name, path, lambda: os.symlink(entry.link, name, dir_fd=directory))
                self._tree.attributes.set_named(directory, name, entry)
            case "fifo":
                self._tree.make(directory, name, path, lambda: os.mkfifo(name, stat.S_IRUSR, dir_fd=directory))
                self._tree.attributes.set_named(directory, name, entry)
            case "character" | "block":
                self._add_device(directory, name, entry)
            case _:
                assert_never(entry.kind)
        self._tree.made(path)

    def _add_file(self, directory: int, name: str, entry: Entry, read: Callable[[int], bytes]) -> None:
        try:
            descriptor = os.open(name, _CREATE, entry.mode & 0o777, dir_fd=directory)
        except FileExistsError:
            self._tree.replace(directory, name, entry.path)
            descriptor = os.open(name, _CREATE, entry.mode & 0o777, dir_fd=directory)
        try:
            left = entry.size
            while left:
                data = read(_COPY_BYTES)
                if not data:
                    raise LayerError(f"{entry.path!r} of the layer is cut short")
                left -= len(data)
                written = os.write(descriptor, data)
                while written < len(data):
                    written += os.write(descriptor, data[written:])
            self._tree.attributes.set_open(descriptor, entry, entry.mode, entry.mode & 0o777)
            set_time(descriptor, entry.mtime)
        finally:
            os.close(descriptor)

    def _add_hard_link(self, directory: int, name: str, entry: Entry) -> None:
        if entry.link == entry.path:
            raise LayerError(f"{entry.path!r} is a hard link to itself")
        parent, _, source = entry.link.rpartition("/")
        try:
            source_directory = self._tree.enter_source(parent)
            status = find_status(source_directory, source)
        except (FileNotFoundError, NotADirectoryError):
            status = None
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            status = None
        if status is None or self._tree.is_whiteout(status):
            self._copy_from_below(directory, name, entry)
            return
        if stat.S_ISDIR(status.st_mode):
            raise LayerError(f"{entry.path!r} is a hard link to the directory {entry.link!r}")
        self._tree.make(
            directory, name, entry.path,
            lambda: os.link(source, name, src_dir_fd=source_directory, dst_dir_fd=directory, follow_symlinks=False),
        )  # fmt: skip

    def _copy_from_below(self, directory: int, name: str, entry: Entry) -> None:
        """A hard link to a file of a lower layer cannot be made across directories of an overlay."""
        found = self._tree.below.find(entry.link) if self._tree.below is not None else None
        if found is None or self._tree.below is None or found.entry.kind not in ("file", "hardlink"):
            raise LayerError(
                f"{entry.path!r} is a hard link to {entry.link!r}, which is no file of its layer",
                hint="Some tools write such layers; those below are needed to unpack it.",
            )
        content = self._tree.below.content(found)
        copied = found.entry._replace(path=entry.path, kind="file", link="")
        if isinstance(content, bytes):
            rest = [content] if content else []
            self._add_file(directory, name, copied, lambda _: rest.pop() if rest else b"")
            return
        if not isinstance(content, SlicedContent):
            raise AssertionError(content)
        descriptor = open_content(content)
        try:
            left = [content.size]
            check = SliceCheck(content, descriptor)

            def read(size: int) -> bytes:
                data = os.read(descriptor, min(size, left[0]))
                left[0] -= len(data)
                check.update(data)
                return data

            self._add_file(directory, name, copied, read)
            check.finish()
        finally:
            os.close(descriptor)

    def _add_device(self, directory: int, name: str, entry: Entry) -> None:
        kind = stat.S_IFCHR if entry.kind == "character" else stat.S_IFBLK
        device = os.makedev(*entry.device)
        try:
            self._tree.make(directory, name, entry.path, lambda: os.mknod(name, kind | 0o600, device, dir_fd=directory))
        except PermissionError:
            self._tree.attributes.note(f"{entry.path}: device nodes cannot be made here; it was left out")
            return
        self._tree.attributes.set_named(directory, name, entry)
