"""The way into a container that all isolations share: imports end, a session begins, the working directory is found."""

from __future__ import annotations

import fcntl
import os
import sys
import termios

from builder.errors import SandboxError
from builder.linux.beneath import walk_in_root
from builder.sandbox.mounts.mount_points import MountPoint, open_mount_point


def forbid_imports() -> None:
    """From here on the file system is the image's: a module found there would be code that runs as us."""
    sys.meta_path.clear()
    sys.path.clear()


def begin_session(*, terminal: bool) -> None:
    """Leave the caller's session, and with it its terminal's signals; with `terminal`, take the one on descriptor 0."""
    os.setsid()
    if terminal:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def make_directory(path: str) -> None:
    """Make a missing working directory, as runtimes do: an image may name one that no layer has."""
    try:
        os.makedirs(path, 0o755, exist_ok=True)
    except OSError as error:
        raise SandboxError(f"cannot make the working directory {path}: {error.strerror}") from error


def make_directory_in(root: int, path: str) -> None:
    """The same inside a root that is not ours yet."""
    try:
        with walk_in_root(root, path) as walk:
            exists = not walk.missing
        if not exists:
            os.close(open_mount_point(root, MountPoint(path=path, directory=True), None))
    except OSError as error:
        raise SandboxError(f"cannot make the working directory {path}: {error.strerror}") from error


def change_directory(path: str) -> None:
    try:
        os.chdir(path)
        os.getcwd()  # fails for a directory outside the root, reached by a descriptor (CVE-2024-21626)
    except OSError as error:
        raise SandboxError(f"cannot use {path} as working directory: {error.strerror}") from error
