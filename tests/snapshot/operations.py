"""What a RUN may do to a tree, as data: few names, so that operations meet in every way."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from contextlib import suppress
from random import Random
from typing import NamedTuple

from hypothesis import strategies as st

from builder.sandbox.chroot.copying import copy_tree

NAMES = ("a", "b", "c", "ln")
KINDS = (
    "write", "write", "append", "mkdir", "mkdir", "symlink", "link", "rename", "remove", "remove", "chmod", "chown",
    "touch", "fifo", "device", "socket", "open", "replace", "xattr", "same-mode", "rewrite-same",
)  # fmt: skip


class Operation(NamedTuple):
    kind: str
    path: str
    other: str = ""
    number: int = 0


def paths() -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)


def operations() -> st.SearchStrategy[list[Operation]]:
    one = st.builds(Operation, st.sampled_from(KINDS), paths(), paths(), st.integers(0, 3))
    return st.lists(one, min_size=1, max_size=12)


def random_operations(generator: Random) -> list[Operation]:
    """The same without hypothesis, for children that can't load it any more."""

    def path() -> str:
        return "/".join(generator.choice(NAMES) for _ in range(generator.randint(1, 3)))

    count = generator.randint(1, 12)
    return [Operation(generator.choice(KINDS), path(), path(), generator.randint(0, 3)) for _ in range(count)]


def perform(root: str, todo: list[Operation]) -> None:
    """Do it all below `root`; what can't be done is left out, as a shell script without -e would."""
    for operation in todo:
        with suppress(OSError, ValueError, shutil.Error):
            _perform(f"{root}/{operation.path}", f"{root}/{operation.other}", operation)


def _perform(path: str, other: str, operation: Operation) -> None:
    number = operation.number
    match operation.kind:
        case "write":
            with open(path, "wb", opener=_without_waiting) as file:
                file.write(b"x" * number)
        case "append":
            with open(path, "ab", opener=_without_waiting) as file:
                file.write(b"y")
        case "mkdir":
            os.makedirs(path)
        case "symlink":
            os.symlink(operation.other, path)
        case "link":
            os.link(other, path, follow_symlinks=False)
        case "rename":
            if os.path.islink(path) or not os.path.isdir(path):
                shutil.move(path, other)
            else:
                _move_directory(path, os.path.join(other, os.path.basename(path)) if os.path.isdir(other) else other)
        case "remove":
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        case "replace":
            if os.path.isdir(path):  # of anything else rmtree would wait for what opens it
                shutil.rmtree(path)
                os.mkdir(path)
        case "chmod":
            os.chmod(path, (0o600, 0o755, 0o4711, 0o1777)[number])
        case "same-mode":
            os.chmod(path, os.stat(path).st_mode & 0o7777)
        case "chown":
            os.chown(path, number, number + 7, follow_symlinks=False)
        case "touch":
            os.utime(path, (1_200_000_000 + number, 1_200_000_000 + number), follow_symlinks=False)
        case "open":
            os.close(os.open(path, os.O_RDWR))
        case "rewrite-same":
            status = os.stat(path)
            with open(path, "rb+", opener=_without_waiting) as file:
                data = file.read()
                file.seek(0)
                file.write(data)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        case "fifo":
            os.mkfifo(path)
        case "device":
            os.mknod(path, 0o020600, os.makedev(1, 3))
        case "socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path)
        case "xattr":
            os.setxattr(path, "user.note", b"\0" * number)
        case _:
            raise AssertionError(operation)


def _move_directory(path: str, target: str) -> None:
    """As mv(1): copied where overlayfs refuses to rename it. The outcome is the same on any file system."""
    inside = f"{os.path.realpath(target)}/".startswith(f"{os.path.realpath(path)}/")
    # A copy would part the names of a file that has some elsewhere; a renamed directory keeps them together.
    shared = any(os.lstat(f"{top}/{name}").st_nlink > 1 for top, _, names in os.walk(path) for name in names)
    if inside or shared or os.path.lexists(target):
        return
    try:
        os.rename(path, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy_tree(path, target)
        shutil.rmtree(path)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK, 0o666)  # a FIFO would wait for a reader that never comes
