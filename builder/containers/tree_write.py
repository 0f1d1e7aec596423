"""Entries of a tar, written into a folder that others may have made: nothing leads out of it, nothing is half written.

Folders that are there stay and get the attributes of their entry; a file takes the place of a file or link; neither
takes the place of the other.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from builder.errors import StoreError
from builder.filesystem.entry import BLOCK, CHARACTER, DIRECTORY, SYMLINK, Entry
from builder.layer.content import Content, open_content
from builder.linux.beneath import open_in_root

Read = Callable[[int], bytes]

_BLOCK_BYTES = 1 << 20
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DEVICES = {CHARACTER: stat.S_IFCHR, BLOCK: stat.S_IFBLK}


class TreeWriter:
    """Writes below the folder `base`; with `owners` what is written belongs to whom its entry says."""

    def __init__(self, base: str, *, owners: bool) -> None:
        self._base = os.open(base, _OPEN_DIRECTORY)
        self._owners = owners
        self._directories: dict[str, Entry] = {}
        """Whose modes and times are set at the end: writing would undo them, and a mode may close the way."""

    def __enter__(self) -> TreeWriter:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._base)

    def put(self, entry: Entry, read: Read) -> None:
        """Write one entry; `read(n)` gives the bytes of a file. Raises StoreError."""
        try:
            self._put(entry, read)
        except OSError as error:
            raise StoreError(f"cannot write {entry.path}: {(error.strerror or str(error)).lower()}") from error

    def finish(self) -> None:
        """Give folders their modes and times. Raises StoreError."""
        for path in sorted(self._directories, reverse=True):
            entry = self._directories[path]
            try:
                descriptor = open_in_root(self._base, path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    self._own(descriptor, entry)
                    os.fchmod(descriptor, entry.mode)
                    os.utime(descriptor, (entry.mtime, entry.mtime))
                finally:
                    os.close(descriptor)
            except OSError as error:
                raise StoreError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from error

    def _put(self, entry: Entry, read: Read) -> None:
        parent, _, name = entry.path.rpartition("/")
        directory = self._parent(parent)
        try:
            there = _find(name, directory)
            if there is not None and stat.S_ISDIR(there.st_mode) != (entry.kind == DIRECTORY):
                kinds = ("a folder", "something else") if entry.kind == DIRECTORY else ("something else", "a folder")
                raise StoreError(f"cannot write {entry.path}: it is {kinds[0]} here and {kinds[1]} there")
            if entry.kind == DIRECTORY:
                if there is None:
                    os.mkdir(name, 0o700, dir_fd=directory)
                self._directories[entry.path] = entry
                return
            with _replaced(name, directory) as temporary:
                self._make(entry, temporary, directory, read)
        finally:
            os.close(directory)

    def _parent(self, path: str) -> int:
        made = ""
        for part in filter(None, path.split("/")):  # a tar need not have entries for its folders
            made = f"{made}/{part}".lstrip("/")
            try:
                return_to = open_in_root(self._base, made, os.O_PATH | os.O_DIRECTORY)
            except FileNotFoundError:
                above = open_in_root(self._base, os.path.dirname(made) or ".", os.O_PATH | os.O_DIRECTORY)
                os.mkdir(part, 0o755, dir_fd=above)
                os.close(above)
            else:
                os.close(return_to)
        return open_in_root(self._base, path or ".", os.O_RDONLY | os.O_DIRECTORY)

    def _make(self, entry: Entry, name: str, directory: int, read: Read) -> None:
        match entry.kind:
            case "file":
                descriptor = os.open(name, _CREATE, 0o600, dir_fd=directory)
                with open(descriptor, "wb") as file:
                    while block := read(_BLOCK_BYTES):
                        file.write(block)
                    file.flush()
                    self._own(descriptor, entry)
                    os.fchmod(descriptor, entry.mode)
                    for key, value in entry.xattrs:
                        with suppress(OSError):  # not every file system has them, nor may everybody set them
                            os.setxattr(descriptor, key, value)
                    os.utime(descriptor, (entry.mtime, entry.mtime))
                return
            case "hardlink":
                parent, _, target = entry.link.rpartition("/")
                source = self._parent(parent)
                try:
                    os.link(target, name, src_dir_fd=source, dst_dir_fd=directory, follow_symlinks=False)
                finally:
                    os.close(source)
                return
            case "symlink":
                os.symlink(entry.link, name, dir_fd=directory)
            case "fifo":
                os.mkfifo(name, entry.mode, dir_fd=directory)
            case "character" | "block":
                os.mknod(name, _DEVICES[entry.kind] | entry.mode, os.makedev(*entry.device), dir_fd=directory)
            case _:
                raise AssertionError(entry)
        if self._owners:
            os.chown(name, entry.uid, entry.gid, dir_fd=directory, follow_symlinks=False)
        if entry.kind != SYMLINK:
            os.chmod(name, entry.mode, dir_fd=directory)
        os.utime(name, (entry.mtime, entry.mtime), dir_fd=directory, follow_symlinks=False)

    def _own(self, descriptor: int, entry: Entry) -> None:
        if self._owners:
            os.fchown(descriptor, entry.uid, entry.gid)


def reader(content: Content | None) -> tuple[Read, Callable[[], None]]:
    """Return what reads a content, and what ends that. Raises OSError."""
    if content is None or isinstance(content, bytes):
        left = [content or b""]
        return lambda _: left.pop() if left else b"", lambda: None
    descriptor = open_content(content)
    return lambda size: os.read(descriptor, size), lambda: os.close(descriptor)


def _find(name: str, directory: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


@contextmanager
def _replaced(name: str, directory: int) -> Iterator[str]:
    """Give a name for what takes the place of `name` when it is whole."""
    temporary = f".pybuild-{os.urandom(8).hex()}"
    try:
        yield temporary
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=directory)
        raise
