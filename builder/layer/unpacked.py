"""A tree on disk that one layer is unpacked into: its directories, and what whiteouts do there.

What a stream does not say in order is put right here: directories that are only implied, whiteouts after what they
do not hide, modes and times that writing would undo. apply.py puts the files in.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from builder.errors import LayerError, StoreError
from builder.filesystem.entry import Entry
from builder.filesystem.remove import remove_tree
from builder.layer.attributes import Attributes, set_time
from builder.layer.cursor import TreeCursor, find_status
from builder.layer.paths import twice_of_two_kinds
from builder.layer.view import MergedView
from builder.layer.whiteout import OPAQUE, PREFIX

_WHITEOUT_DEVICE = os.makedev(0, 0)


class UnpackedTree:
    """The directory that a layer is unpacked into; a context manager. `add_` and `hide` in the order of the tar."""

    def __init__(
        self, directory: str, overlay: bool, attributes: Attributes, userxattr: bool, below: MergedView | None
    ) -> None:
        self._overlay = overlay
        self.below = below
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

    def __enter__(self) -> UnpackedTree:
        return self

    def __exit__(self, *_: object) -> None:
        self._cursor.__exit__(None, None, None)
        self._sources.__exit__(None, None, None)

    def enter(self, path: str) -> int:
        """Return a descriptor of the directory `path`, made if the layer only implies it. Valid until the next call."""
        return self._cursor.enter(path)

    def enter_source(self, path: str) -> int:
        """Return a descriptor of a directory that must be there, without leaving the one that was entered."""
        return self._sources.enter(path)

    def made(self, path: str) -> None:
        """Take note that this layer has made `path`, which is no directory."""
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

    def add_directory(self, entry: Entry) -> None:
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
        if status is not None and not self.is_whiteout(status) and (self._overlay or path in self._made):
            raise twice_of_two_kinds(path)
        self.replace(directory, name, path)
        os.mkdir(name, stat.S_IRWXU, dir_fd=directory)
        if status is not None and self.is_whiteout(status):
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
            self._open_up(directory, name, path, status)
            return
        if status is not None and not self.is_whiteout(status) and (self._overlay or path in self._made):
            raise LayerError(f"the layer has {path!r} as something other than a directory, and entries below it")
        if status is not None:
            self._remove(directory, name, path)
        self._implied.add(path)
        os.mkdir(name, stat.S_IRWXU, dir_fd=directory)
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            if status is not None and self.is_whiteout(status):
                self._mark_opaque(descriptor)
            self._settle(descriptor, self._attributes_below(path))
        finally:
            os.close(descriptor)
        if not self._overlay:
            self._made.add(path)

    def _open_up(self, directory: int, name: str, path: str, status: os.stat_result) -> None:
        """Without root's rights, let ourselves into a directory that an earlier layer closed, until the end."""
        mode = stat.S_IMODE(status.st_mode)
        if os.geteuid() and mode & stat.S_IRWXU != stat.S_IRWXU:
            os.chmod(name, mode | stat.S_IRWXU, dir_fd=directory)
            kept = self._directories.get(path, (mode, status.st_mtime_ns // 1_000_000_000))
            self._directories[path] = (mode, kept[1])

    def _attributes_below(self, path: str) -> Entry:
        found = self.below.find(path) if self.below is not None else None
        if found is not None and found.entry.kind == "directory":
            return found.entry
        return Entry(path, "directory", 0o755)

    def make(self, directory: int, name: str, path: str, make: Callable[[], None]) -> None:
        """Make something that is no directory, in place of whatever is there."""
        try:
            make()
        except FileExistsError:
            self.replace(directory, name, path)
            make()

    def replace(self, directory: int, name: str, path: str) -> None:
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

    def hide(self, directory: int, parent: str, name: str) -> None:
        if name == OPAQUE:
            self._hidden.add(f"{parent}/" if parent else "")
            if self._overlay:
                self._mark_opaque(directory)
            else:
                self._clear(parent)
            return
        hidden = name[len(PREFIX) :]
        path = f"{parent}/{hidden}" if parent else hidden
        self._hidden.add(path)
        status = find_status(directory, hidden)
        if not self._overlay:
            if status is not None and path not in self._made:
                self._remove(directory, hidden, path)
            elif status is not None and stat.S_ISDIR(status.st_mode):
                self._clear(path)
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

    def _clear(self, parent: str) -> None:
        """Remove what layers below left in a directory, and keep what this one made."""
        pending = [parent]  # and not recursion: the tree may be deeper than Python's recursion limit
        while pending:
            parent = pending.pop()
            directory = self._sources.enter(parent)
            for name in os.listdir(directory):
                path = f"{parent}/{name}" if parent else name
                status = find_status(directory, name)
                if path not in self._made:
                    self._remove(directory, name, path)
                elif status is not None and stat.S_ISDIR(status.st_mode):
                    pending.append(path)

    def is_whiteout(self, status: os.stat_result) -> bool:
        return self._overlay and stat.S_ISCHR(status.st_mode) and status.st_rdev == _WHITEOUT_DEVICE

    def _mark_opaque(self, directory: int) -> None:
        try:
            os.setxattr(directory, self._opaque_name, b"y")
        except OSError as error:
            raise StoreError(
                f"a directory cannot be marked opaque here ({self._opaque_name}): {error.strerror}",
                hint="The store must lie on a file system that overlayfs can use.",
            ) from error
