"""Writes the files that a user asks for: whole or not at all."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from builder.errors import PybuildError


def write_file(path: str, data: bytes) -> None:
    """Write beside, then rename; a device or a pipe is written to as it is. Raises PybuildError, OSError.

    A file that is there keeps its mode and, where that is allowed, its owner; a link to it stays one.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as file:
            file.write(data)
        return
    target = os.path.realpath(path)
    temporary = f"{target}.{os.getpid()}.part"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            if os.path.exists(target):
                _take_over(file.fileno(), os.stat(target))
        os.replace(temporary, target)
    except OSError as error:
        raise PybuildError(f"cannot write {path}: {error.strerror}") from error


def _take_over(descriptor: int, old: os.stat_result) -> None:
    """Give a file the owner and mode of the one that it takes the place of."""
    with suppress(PermissionError):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
