"""Writing whole files so that they are there entirely or not at all: temp → fsync → rename → fsync of the directory."""

from __future__ import annotations

import os


def write_file(path: str, temporary: str, data: bytes, mode: int = 0o644) -> None:
    """Replace `path` with `data` by way of `temporary` (same file system). Raises OSError; `temporary` is gone then."""
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        rename(temporary, path)
    except BaseException:
        remove(temporary)
        raise


def rename(source: str, target: str) -> None:
    """Rename, and wait until the new name is on the disk (fsync(2): the directory needs one of its own)."""
    os.rename(source, target)
    sync_directory(os.path.dirname(target))


def sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: str) -> bool:
    """Unlink `path`; says whether it was there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True
