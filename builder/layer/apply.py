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
from builder.layer.content import SlicedContent, open_content
from builder.layer.cursor import TreeCursor, find_status, remove_tree
from builder.layer.limits import LIMITS, Limits
from builder.layer.paths import LayerPaths, place_entry, twice_of_two_kinds
from builder.layer.reader import Readable, read_tar
from builder.layer.view import MergedView
from builder.layer.whiteout import OPAQUE, PREFIX

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_COPY_BYTES = 1 << 20
_WHITEOUT_DEVICE = os.makedev(0, 0)
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
    applier = _Applier(directory, overlay, Attributes(exact=ids == "exact"), userxattr, below)
    paths = LayerPaths()
    path = ""
    try:
        with applier:
            for member in read_tar(stream, limits):
                entry = place_entry(member.entry, paths)
                if entry is not None:
                    path = entry.path
                    applier.add(entry, member.read)
            applier.finish()
    except OSError as error:
        if error.errno in _DISK_ERRORS:
            raise StoreError(f"{path!r} cannot be unpacked into {directory}: {error.strerror}") from error
        raise LayerError(f"{path!r} of the layer cannot be unpacked: {error.strerror or error}") from error
    return tuple(applier.attributes.notes)


class _Applier:
    def __init__(
        self, directory: str, overlay: bool, attributes: Attributes, userxattr: bool, below: MergedView | None
    ) -> None:
        self._overlay = overlay
        self._below = below
        self._opaque_name = "user.overlay.opaque" if userxattr else "trusted.overlay.opaque"
        self.attributes = attributes
        self._made: set[str] = set()
        """What this layer has made or changed, for whiteouts that come late; overlay keeps layers apart by itself."""
        self._directories: dict[str, tuple[int, int]] = {}
        """Mode and mtime to give to directories when nothing more is written into them."""
        self._implied: set[str] = set()
        """Directories without an entry (so far), with the attributes they have below."""
        self._hidden: set[str] = set()
        """What a whiteout hides, and `directory/` for what an opaque marker does: below that, there is no below."""
        self._cursor = TreeCursor(directory, self._arrive)
        self._sources = TreeCursor(directory)

    def __enter__(self) -> _Applier:
        return self

    def __exit__(self, *_: object) -> None:
        self._cursor.__exit__(None, None, None)
        self._sources.__exit__(None, None, None)

    def add(self, entry: Entry, read: Callable[[int], bytes]) -> None:
        path = entry.path
        if entry.kind == "directory":
            self._add_directory(entry)
            return
        parent, _, name = path.rpartition("/")
        directory = self._cursor.enter(parent)
        if name.startswith(PREFIX):
            self._hide(directory, parent, name)
            return
        match entry.kind:
            case "file":
                self._add_file(directory, name, entry, read)
            case "hardlink":
                self._add_hard_link(directory, name, entry)
            case "symlink":
                self._make(directory, name, path, lambda: os.symlink(entry.link, name, dir_fd=directory))
                self.attributes.set_named(directory, name, entry)
            case "fifo":
                self._make(directory, name, path, lambda: os.mkfifo(name, stat.S_IRUSR, dir_fd=directory))
                self.attributes.set_named(directory, name, entry)
            case "character" | "block":
                self._add_device(directory, name, entry)
            case _:
                assert_never(entry.kind)
        if not self._overlay:
            self._made.add(path)

    def finish(self) -> None:
        """Give directories their modes and times, the deepest first: a mode may close the way to what is below."""
        for path in self._implied:
            if self._hidden and self._is_hidden(path):
                entry = Entry(path, "directory", 0o755)
                descriptor = self._cursor.enter(path)
                self.attributes.replace_xattrs(descriptor, entry)
                self._settle(descriptor, entry)
        if self._overlay and "" not in self._directories:
            # overlayfs shows the root of the topmost layer, which a layer seldom has an entry for.
            self._settle(self._cursor.enter(""), self._attributes_below(""))
        for path in sorted(self._directories, reverse=True):
            mode, mtime = self._directories[path]
            descriptor = self._sources.enter(path)
            if mode >= 0:
                os.fchmod(descriptor, mode)
            set_time(descriptor, mtime)

    def _add_directory(self, entry: Entry) -> None:
        path = entry.path
        parent, _, name = path.rpartition("/")
        replaces = not path
        if path:
            replaces = self._make_directory(self._cursor.enter(parent), name, path)
            if not self._overlay:
                self._made.add(path)
        descriptor = self._cursor.enter(path)
        self._implied.discard(path)
        if replaces:
            self.attributes.replace_xattrs(descriptor, entry)
        self._settle(descriptor, entry)

    def _settle(self, descriptor: int, entry: Entry) -> None:
        """Give a directory its attributes, and what writing into it would undo, at the end."""
        # Without root's rights a mode can keep us out of our own directory until then.
        usable = entry.mode | (0 if os.geteuid() == 0 else stat.S_IRWXU)
        self.attributes.set_open(descriptor, entry, usable)
        self._directories[entry.path] = (entry.mode if usable != entry.mode else -1, entry.mtime)

    def _make_directory(self, directory: int, name: str, path: str) -> bool:
        """Make a directory where none is; say whether one was there."""
        try:
            os.mkdir(name, stat.S_IRWXU, dir_fd=directory)
            return False
        except FileExistsError:
            status = find_status(directory, name)
        if status is not None and stat.S_ISDIR(status.st_mode):
            return True
        if status is not None and not self._is_whiteout(status) and (self._overlay or path in self._made):
            raise twice_of_two_kinds(path)
        self._replace(directory, name, path)
        os.mkdir(name, stat.S_IRWXU, dir_fd=directory)
        if status is not None and self._is_whiteout(status):
            self._mark_opaque(self._cursor.enter(path))
        return False

    def _arrive(self, directory: int, name: str, path: str) -> None:
        """Before the cursor enters a directory: make it if the layer only implies it."""
        status = find_status(directory, name)
        if status is not None and stat.S_ISDIR(status.st_mode):
            if not self._overlay and path not in self._made:
                self._made.add(path)
                self._implied.add(path)
                self._directories.setdefault(path, (-1, status.st_mtime_ns // 1_000_000_000))
            return
        if status is not None and not self._is_whiteout(status) and (self._overlay or path in self._made):
            raise LayerError(f"the layer has {path!r} as something other than a directory, and entries below it")
        if status is not None:
            self._remove(directory, name, path)
        self._implied.add(path)
        os.mkdir(name, stat.S_IRWXU, dir_fd=directory)
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            if status is not None and self._is_whiteout(status):
                self._mark_opaque(descriptor)
            self._settle(descriptor, self._attributes_below(path))
        finally:
            os.close(descriptor)
        if not self._overlay:
            self._made.add(path)

    def _attributes_below(self, path: str) -> Entry:
        found = self._below.find(path) if self._below is not None else None
        if found is not None and found.entry.kind == "directory":
            return found.entry
        return Entry(path, "directory", 0o755)

    def _add_file(self, directory: int, name: str, entry: Entry, read: Callable[[int], bytes]) -> None:
        try:
            descriptor = os.open(name, _CREATE, entry.mode & 0o777, dir_fd=directory)
        except FileExistsError:
            self._replace(directory, name, entry.path)
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
            self.attributes.set_open(descriptor, entry, entry.mode, entry.mode & 0o777)
            set_time(descriptor, entry.mtime)
        finally:
            os.close(descriptor)

    def _add_hard_link(self, directory: int, name: str, entry: Entry) -> None:
        if entry.link == entry.path:
            raise LayerError(f"{entry.path!r} is a hard link to itself")
        parent, _, source = entry.link.rpartition("/")
        try:
            source_directory = self._sources.enter(parent)
            status = find_status(source_directory, source)
        except (FileNotFoundError, NotADirectoryError):
            status = None
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            status = None
        if status is None or self._is_whiteout(status):
            self._copy_from_below(directory, name, entry)
            return
        if stat.S_ISDIR(status.st_mode):
            raise LayerError(f"{entry.path!r} is a hard link to the directory {entry.link!r}")
        self._make(
            directory, name, entry.path,
            lambda: os.link(source, name, src_dir_fd=source_directory, dst_dir_fd=directory, follow_symlinks=False),
        )  # fmt: skip

    def _copy_from_below(self, directory: int, name: str, entry: Entry) -> None:
        """A hard link to a file of a lower layer cannot be made across directories of an overlay."""
        found = self._below.find(entry.link) if self._below is not None else None
        if found is None or self._below is None or found.entry.kind not in ("file", "hardlink"):
            raise LayerError(
                f"{entry.path!r} is a hard link to {entry.link!r}, which is no file of its layer",
                hint="Some tools write such layers; those below are needed to unpack it.",
            )
        content = self._below.content(found)
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

            def read(size: int) -> bytes:
                data = os.read(descriptor, min(size, left[0]))
                left[0] -= len(data)
                return data

            self._add_file(directory, name, copied, read)
        finally:
            os.close(descriptor)

    def _add_device(self, directory: int, name: str, entry: Entry) -> None:
        kind = stat.S_IFCHR if entry.kind == "character" else stat.S_IFBLK
        device = os.makedev(*entry.device)
        try:
            self._make(directory, name, entry.path, lambda: os.mknod(name, kind | 0o600, device, dir_fd=directory))
        except PermissionError:
            self.attributes.note(f"{entry.path}: device nodes cannot be made here; it was left out")
            return
        self.attributes.set_named(directory, name, entry)

    def _make(self, directory: int, name: str, path: str, make: Callable[[], None]) -> None:
        """Make something that is no directory, in place of whatever is there."""
        try:
            make()
        except FileExistsError:
            self._replace(directory, name, path)
            make()

    def _replace(self, directory: int, name: str, path: str) -> None:
        """Remove what an entry of another kind, or a later one of the same path, takes the place of."""
        status = find_status(directory, name)
        if status is not None and stat.S_ISDIR(status.st_mode) and (self._overlay or path in self._made):
            raise twice_of_two_kinds(path)
        self._remove(directory, name, path)

    def _remove(self, directory: int, name: str, path: str) -> None:
        self._cursor.forget(path)
        self._sources.forget(path)
        if path in self._directories:
            below = path + "/"
            self._directories = {
                other: kept
                for other, kept in self._directories.items()
                if other != path and not other.startswith(below)
            }
        remove_tree(directory, name)

    def _hide(self, directory: int, parent: str, name: str) -> None:
        if name == OPAQUE:
            self._hidden.add(f"{parent}/" if parent else "")
            if self._overlay:
                self._mark_opaque(directory)
            else:
                self._clear(directory, parent)
            return
        hidden = name[len(PREFIX) :]
        path = f"{parent}/{hidden}" if parent else hidden
        self._hidden.add(path)
        status = find_status(directory, hidden)
        if not self._overlay:
            if status is not None and path not in self._made:
                self._remove(directory, hidden, path)
            elif status is not None and stat.S_ISDIR(status.st_mode):
                self._clear(self._cursor.enter(path), path)
        elif status is None:
            os.mknod(hidden, stat.S_IFCHR, _WHITEOUT_DEVICE, dir_fd=directory)
        elif stat.S_ISDIR(status.st_mode):
            self._mark_opaque(self._cursor.enter(path))

    def _is_hidden(self, path: str) -> bool:
        """Say whether a whiteout or an opaque marker of this layer hides `path`, or a directory it is in."""
        above = "" in self._hidden
        at = path.find("/")
        while at >= 0 and not above:
            above = path[:at] in self._hidden or path[: at + 1] in self._hidden
            at = path.find("/", at + 1)
        return above or path in self._hidden

    def _clear(self, directory: int, parent: str) -> None:
        """Remove what layers below left in a directory, and keep what this one made."""
        for name in os.listdir(directory):
            path = f"{parent}/{name}" if parent else name
            status = find_status(directory, name)
            if path not in self._made:
                self._remove(directory, name, path)
            elif status is not None and stat.S_ISDIR(status.st_mode):
                child = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
                try:
                    self._clear(child, path)
                finally:
                    os.close(child)

    def _is_whiteout(self, status: os.stat_result) -> bool:
        return self._overlay and stat.S_ISCHR(status.st_mode) and status.st_rdev == _WHITEOUT_DEVICE

    def _mark_opaque(self, directory: int) -> None:
        try:
            os.setxattr(directory, self._opaque_name, b"y")
        except OSError as error:
            raise StoreError(
                f"a directory cannot be marked opaque here ({self._opaque_name}): {error.strerror}",
                hint="The store must lie on a file system that overlayfs can use.",
            ) from error
