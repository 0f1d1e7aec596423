"""Writes the files that a user asks for: whole or not at all."""

from __future__ import annotations

import os

from builder.errors import PybuildError


def write_file(path: str, data: bytes) -> None:
    """Write beside, then rename; a device or a pipe is written to as it is. Raises PybuildError, OSError."""
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as file:
            file.write(data)
        return
    temporary = f"{path}.{os.getpid()}.part"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError as error:
        raise PybuildError(f"cannot write {path}: {error.strerror}") from error
